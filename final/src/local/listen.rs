//! The daemon's side of the handshake: who comes, and what they get.
//!
//! Invariant: whoever is accepted is either given a channel or told why not; nothing here waits for
//! the other side.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, accept_with, bind, connect, listen, recv, send, sendmsg, socket_with,
    sockopt as options,
};

use super::bell::Bell;
use super::groups::groups_of;
use super::hello::{Greeting, HELLO_MAX, Hello, Refusal, Welcome};
use super::path::make_directory;

/// How many processes may wait to be accepted; the kernel takes less if it is set to.
const BACKLOG: i32 = 4096;
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Where processes come.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// Which file it is, so that no other is removed.
    file: (u64, u64),
    /// Kept so that, when there are no descriptors left, one more process can be told so.
    spare: Option<File>,
}

/// Who has come.
#[derive(Debug)]
pub(crate) enum Came {
    Caller(Caller),
    /// Somebody who is gone or was told that there is no room. There may be more.
    Refused,
    /// There is nobody at the moment.
    Nobody,
}

/// A process that has connected.
#[derive(Debug)]
pub(crate) struct Caller {
    socket: OwnedFd,
    pub(crate) user: u32,
    group: u32,
    pub(crate) pid: i32,
}

impl Listener {
    /// Listens there, for whomever: who may be attached is for the daemon to say. A socket that an
    /// earlier daemon left is removed; one where a daemon answers is an error.
    pub(crate) fn bind(path: &Path) -> io::Result<Listener> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("socket {}: {error}", path.display()))
        };
        Listener::try_bind(path).map_err(failed)
    }

    fn try_bind(path: &Path) -> io::Result<Listener> {
        make_directory(path)?;
        let address = SocketAddrUnix::new(path).map_err(|_| too_long())?;
        // Two daemons that start at once look, remove and bind one after the other. It is a file that
        // nobody else can open, so that nobody else can hold it; and it stays, for who waits for it.
        let mut lock = OpenOptions::new();
        let lock = lock.create(true).append(true).mode(0o600).open(lock_of(path))?;
        lock.lock()?;
        remove_left(path, &address)?;
        let socket = new_socket()?;
        bind(&socket, &address)?;
        fs::set_permissions(path, Permissions::from_mode(0o666))?;
        listen(&socket, BACKLOG)?;
        let file = identity(path)?;
        Ok(Listener { socket, path: path.into(), file, spare: open_spare() })
    }

    /// The next process that has come.
    pub(crate) fn accept(&mut self) -> io::Result<Came> {
        self.spare = self.spare.take().or_else(open_spare);
        match accept_with(&self.socket, FLAGS) {
            Ok(socket) => Ok(Caller::new(socket).map_or(Came::Refused, Came::Caller)),
            Err(Errno::INTR | Errno::CONNABORTED) => Ok(Came::Refused),
            Err(Errno::AGAIN) => Ok(Came::Nobody),
            Err(Errno::MFILE | Errno::NFILE) if self.spare.take().is_some() => {
                let came = accept_with(&self.socket, FLAGS);
                if let Ok(socket) = &came {
                    say(socket, Refusal::NoRoom);
                }
                // The kernel says that there are no descriptors also when nobody has come.
                let answered = if came.is_ok() { Came::Refused } else { Came::Nobody };
                drop(came);
                self.spare = open_spare();
                Ok(answered)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As if the daemon had been killed.
    #[cfg(test)]
    pub(super) fn forget_file(&mut self) {
        self.file = (0, 0);
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Caller {
    fn new(socket: OwnedFd) -> Option<Caller> {
        let who = options::socket_peercred(&socket).ok()?;
        let (user, group) = (who.uid.as_raw(), who.gid.as_raw());
        Some(Caller { socket, user, group, pid: who.pid.as_raw_nonzero().get() })
    }

    /// What it says; `None` if it has not said anything yet, an error if it is gone or said nonsense.
    pub(crate) fn hello(&self) -> Result<Option<Hello>, Refusal> {
        let mut bytes = [0; HELLO_MAX + 1];
        match recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((len, _)) => Hello::decode(&bytes[..len]).map(Some),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(_) => Err(Refusal::Malformed),
        }
    }

    /// Tells it why not. What it has no room for it does not hear. (What it has said and nobody has read
    /// makes its next call an error, and only the one after that brings this: it asks twice.)
    pub(crate) fn refuse(self, refusal: Refusal) {
        say(&self.socket, refusal);
    }

    /// Whether it is a member of one of these groups.
    pub(crate) fn is_of(&self, groups: &[u32]) -> bool {
        if groups.is_empty() {
            return false;
        }
        let mut its = groups_of(&self.socket);
        its.push(self.group);
        groups.iter().any(|group| its.contains(group))
    }

    /// Gives it its channel, and the eventfd that it rings by; the socket is the bell from now on.
    pub(crate) fn welcome(
        self,
        welcome: Welcome,
        memory: &OwnedFd,
        rings: &OwnedFd,
    ) -> io::Result<Bell> {
        let bytes = Greeting::Welcome(welcome).encode();
        let descriptors = [memory.as_fd(), rings.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(&self.socket, &[io::IoSlice::new(&bytes)], &mut control, flags)?;
        Ok(Bell::new(self.socket))
    }

    /// A descriptor that is readable when the process has ended, also if a child of it still holds the
    /// socket. The kernel may be too old for that (6.5), or the process in another world.
    pub(crate) fn process(&self) -> Option<OwnedFd> {
        getsockopt(&self.socket, sockopt::PeerPidfd).ok()
    }
}

impl AsFd for Caller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket that keeps messages apart.
pub(crate) fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?)
}

fn say(socket: &OwnedFd, refusal: Refusal) {
    let bytes = Greeting::Refused(refusal).encode();
    let _ = send(socket, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

fn lock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

/// Removes the socket of a daemon that is gone.
fn remove_left(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other("there is something else of that name"));
        }
        Ok(_) => {}
    }
    match connect(&new_socket()?, address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        // A full backlog, or a socket of another type: somebody listens.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon listens there"))
        }
        Err(error) => Err(error.into()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn open_spare() -> Option<File> {
    File::open("/dev/null").ok()
}

pub(super) fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a path of a socket has at most 107 bytes")
}
