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

/// Where a process looks for the daemon: at `$UNAVEZ_SOCKET`; else where there is a socket, in
/// `$XDG_RUNTIME_DIR/unavez`, in `/run/unavez` or in `/tmp/unavez-<user number>`.
pub(crate) fn find() -> PathBuf {
    let places = places(variable("UNAVEZ_SOCKET"), variable("XDG_RUNTIME_DIR"));
    let found = places.iter().find(|place| place.exists());
    found.unwrap_or(&places[0]).clone()
}

/// Where a daemon listens: at `$UNAVEZ_SOCKET`; else in `/run/unavez`, if it is root's or if that
/// directory is its user's; else in `$XDG_RUNTIME_DIR/unavez` or in `/tmp/unavez-<user number>`.
pub(crate) fn listen() -> PathBuf {
    let user = geteuid().as_raw();
    let system = user == 0 || fs::metadata(SYSTEM).is_ok_and(|found| found.uid() == user);
    match variable("UNAVEZ_SOCKET") {
        None if system => Path::new(SYSTEM).join(FILE),
        socket => places(socket, variable("XDG_RUNTIME_DIR"))[0].clone(),
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The first is where a user's own daemon is.
fn places(socket: Option<PathBuf>, runtime: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(socket) = socket {
        return vec![socket];
    }
    let own = PathBuf::from(format!("/tmp/unavez-{}", geteuid().as_raw()));
    let runtime = runtime.map(|runtime| runtime.join("unavez"));
    let directories = match runtime {
        Some(runtime) => vec![runtime, SYSTEM.into(), own],
        None => vec![own, SYSTEM.into()],
    };
    directories.into_iter().map(|directory| directory.join(FILE)).collect()
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

    /// What is said counts; else a user's own daemon before that of the system.
    #[test]
    fn the_socket_is_where_it_is_said_to_be() {
        let path = |text: &str| Some(PathBuf::from(text));
        let own = PathBuf::from(format!("/tmp/unavez-{}/unavezd.sock", geteuid().as_raw()));
        let system = PathBuf::from("/run/unavez/unavezd.sock");
        assert_eq!(places(path("/a/b"), path("/run/user/7")), [Path::new("/a/b")]);
        let runtime = PathBuf::from("/run/user/7/unavez/unavezd.sock");
        assert_eq!(places(None, path("/run/user/7")), [runtime, system.clone(), own.clone()]);
        assert_eq!(places(None, None), [own, system]);
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
