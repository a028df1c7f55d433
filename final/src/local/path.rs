//! Where the daemon's socket is, if nobody says otherwise: the library and the daemon agree on it.
//!
//! Invariant: a directory that everybody may write to is never trusted for more than a name that bears
//! the user's number, in a directory that is this user's alone.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

const FILE: &str = "unavezd.sock";
const SYSTEM: &str = "/run/unavez";

/// `$UNAVEZ_SOCKET`; else in `$XDG_RUNTIME_DIR/unavez`; else in `/run/unavez`, if that is there; else in
/// `/tmp/unavez-<user>`.
pub(crate) fn socket() -> PathBuf {
    let wanted = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    choose(wanted("UNAVEZ_SOCKET"), wanted("XDG_RUNTIME_DIR"), Path::new(SYSTEM).is_dir())
}

fn choose(socket: Option<PathBuf>, runtime: Option<PathBuf>, system: bool) -> PathBuf {
    match (socket, runtime) {
        (Some(socket), _) => socket,
        (None, Some(runtime)) => runtime.join("unavez").join(FILE),
        (None, None) if system => Path::new(SYSTEM).join(FILE),
        (None, None) => PathBuf::from(format!("/tmp/unavez-{}", geteuid().as_raw())).join(FILE),
    }
}

/// Makes the directory of a socket, for this user alone, if it is not there.
pub(crate) fn make_directory(socket: &Path) -> io::Result<()> {
    let Some(directory) = socket.parent().filter(|it| !it.as_os_str().is_empty()) else {
        return Ok(());
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    check_directory(socket)
}

/// In a directory of somebody else that others may write to, anybody could have put the socket.
pub(crate) fn check_directory(socket: &Path) -> io::Result<()> {
    let Some(directory) = socket.parent().filter(|it| !it.as_os_str().is_empty()) else {
        return Ok(());
    };
    let found = fs::symlink_metadata(directory)?;
    let trusted = [0, geteuid().as_raw()].contains(&found.uid());
    if !trusted && directory.starts_with(env::temp_dir()) {
        let what = format!("{} is another user's", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    if found.permissions().mode() & 0o022 != 0 && directory.starts_with("/tmp/unavez-") {
        let what = format!("others may write to {}", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first that is said counts.
    #[test]
    fn the_socket_is_where_it_is_said_to_be() {
        let path = |text: &str| Some(PathBuf::from(text));
        let user = geteuid().as_raw();
        assert_eq!(choose(path("/a/b"), path("/run/user/7"), true), Path::new("/a/b"));
        let runtime = Path::new("/run/user/7/unavez/unavezd.sock");
        assert_eq!(choose(None, path("/run/user/7"), true), runtime);
        assert_eq!(choose(None, None, true), Path::new("/run/unavez/unavezd.sock"));
        let last = PathBuf::from(format!("/tmp/unavez-{user}/unavezd.sock"));
        assert_eq!(choose(None, None, false), last);
    }

    /// The directory is made for this user alone.
    #[test]
    fn the_directory_is_private() {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("unavez").join(FILE);
        make_directory(&socket).unwrap();
        make_directory(&socket).unwrap();
        let mode = fs::metadata(socket.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
