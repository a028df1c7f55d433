//! The process's side of the handshake.
//!
//! Invariant: it ends, with a channel or a reason, also if the daemon is stopped or is none.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, recvmsg, send, socket_with,
};

use super::bell::Bell;
use super::hello::{Greeting, HELLO_MAX, Hello, Refusal, Welcome};
use super::listen::too_long;
use super::outbox::Outbox;
use super::path::check_directory;
use super::queues::Queues;
use super::shm::Shm;
use super::{Channel, Kind};

/// How long a process waits for the daemon's answer: a daemon that works answers in milliseconds, also
/// while thousands come at once.
pub(crate) const ATTACH_WAIT: Duration = Duration::from_secs(10);

/// A process's end of an attachment.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) welcome: Welcome,
    pub(crate) outbox: Outbox,
    pub(crate) bell: Bell,
}

/// Why a process is not attached to a daemon.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Nobody listens there.
    #[error("no daemon is reached at {}: {error}", path.display())]
    NoDaemon {
        /// Where it was looked for.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// It was told why not.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It may be stopped, or busy beyond measure.
    #[error("the daemon does not answer")]
    Silent,
    /// Something else listens there.
    #[error("what answers is no daemon of this kind")]
    Garbled,
    /// This process has no memory or descriptor left, or its queues are gone.
    #[error("the channel cannot be used: {0}")]
    Channel(io::Error),
}

/// Attaches this process to the daemon that listens there.
pub(crate) fn attach(path: &Path, kind: Kind) -> Result<Attachment, AttachError> {
    attach_unless(ATTACH_WAIT, path, kind, None)
}

/// The same, but waits so long to be let in, and so long for the answer; or until this can be read, if
/// it is given.
pub(crate) fn attach_unless(
    so_long: Duration,
    path: &Path,
    kind: Kind,
    given_up: Option<BorrowedFd>,
) -> Result<Attachment, AttachError> {
    let socket = open(path, so_long)
        .map_err(|error| AttachError::NoDaemon { path: path.to_owned(), error })?;
    // What cannot be sent any more was refused before it was read.
    let _ = send(&socket, &Hello { kind }.encode(), SendFlags::NOSIGNAL);
    let (greeting, came) = receive(&socket, Instant::now() + so_long, given_up)?;
    match (greeting, <[OwnedFd; 2]>::try_from(came)) {
        (Greeting::Refused(refusal), _) => Err(refusal.into()),
        (Greeting::Welcome(_), Err(_)) => Err(AttachError::Garbled),
        (Greeting::Welcome(welcome), Ok([memory, rings])) => {
            let channel: Box<dyn Channel> = match welcome.queues {
                Some(names) => {
                    Box::new(Queues::open(&memory, names).map_err(AttachError::Channel)?)
                }
                None => Box::new(Shm::open(&memory).map_err(AttachError::Channel)?),
            };
            Ok(Attachment {
                welcome,
                outbox: Outbox::new(channel).logged(),
                bell: Bell::of_process(socket, rings),
            })
        }
    }
}

fn open(path: &Path, so_long: Duration) -> io::Result<OwnedFd> {
    check_directory(path)?;
    let address = SocketAddrUnix::new(path).map_err(|_| too_long())?;
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // If too many wait to be accepted, it waits for them.
    set_socket_timeout(&socket, Timeout::Send, Some(so_long))?;
    loop {
        match connect(&socket, &address) {
            Ok(()) => return Ok(socket),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn receive(
    socket: &OwnedFd,
    until: Instant,
    given_up: Option<BorrowedFd>,
) -> Result<(Greeting, Vec<OwnedFd>), AttachError> {
    let both: Vec<BorrowedFd> = [Some(socket.as_fd()), given_up].into_iter().flatten().collect();
    if !wait(&both, until) {
        return Err(AttachError::Silent);
    }
    let mut bytes = [0; HELLO_MAX + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut receive =
        || recvmsg(socket, &mut [io::IoSliceMut::new(&mut bytes)], &mut control, flags);
    let came = match receive() {
        // It went before it had read the hello; what it said is there nevertheless.
        Err(Errno::CONNRESET) => receive(),
        other => other,
    };
    let came = came.map_err(|_| AttachError::Silent)?;
    if came.bytes == 0 {
        return Err(AttachError::Silent);
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            descriptors.extend(some);
        }
    }
    let greeting = Greeting::decode(&bytes[..came.bytes]).map_err(|_| AttachError::Garbled)?;
    Ok((greeting, descriptors))
}

/// `false` if none of these can be read until then.
fn wait(descriptors: &[BorrowedFd], until: Instant) -> bool {
    let mut descriptors: Vec<PollFd> =
        descriptors.iter().map(|it| PollFd::new(it, PollFlags::IN)).collect();
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now()));
        match poll(&mut descriptors, left.ok().as_ref()) {
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return true,
        }
    }
}
