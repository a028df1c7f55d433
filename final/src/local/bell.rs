//! What wakes a side that sleeps: one byte through the socket of the attachment, whose end also tells
//! that the other side is gone.
//!
//! A process rings by an eventfd, which costs the daemon no read: it is told of each ring by epoll. The
//! daemon rings through the socket and by no eventfd: that is one open file for both sides, so a hostile
//! process could make it block and fill it, and the daemon would hang in its next `write`. On the socket
//! each call says for itself that it does not wait.
//!
//! Invariant: nothing here blocks the daemon.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

/// One side's end of the socket.
#[derive(Debug)]
pub(crate) struct Bell {
    socket: OwnedFd,
    /// The process's: what it rings by.
    rings: Option<OwnedFd>,
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It rang, once or more.
    Rang,
    /// Nothing.
    Silence,
    /// The other side is gone. What it wrote before can still be received.
    End,
}

impl Bell {
    /// The daemon's end, or one that rings as the daemon does.
    pub(crate) fn new(socket: OwnedFd) -> Bell {
        Bell { socket, rings: None }
    }

    /// The process's end.
    pub(crate) fn of_process(socket: OwnedFd, rings: OwnedFd) -> Bell {
        Bell { socket, rings: Some(rings) }
    }

    /// What the process rings by.
    #[cfg(test)]
    pub(crate) fn rings(&self) -> &OwnedFd {
        self.rings.as_ref().expect("it is a process's")
    }

    /// Wakes the other side. If there is no room, it was rung often enough; if it is gone, [`Bell::heed`]
    /// says so.
    pub(crate) fn ring(&self) {
        let _ = match &self.rings {
            Some(rings) => write(rings, &1_u64.to_ne_bytes()),
            None => send(&self.socket, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
        };
    }

    /// Takes what has come, so that the next sleep is one.
    pub(crate) fn heed(&self) -> Heard {
        let mut byte = [0; 1];
        match recv(&self.socket, &mut byte, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Heard::End,
            Ok(_) => Heard::Rang,
            Err(Errno::AGAIN | Errno::INTR) => Heard::Silence,
            Err(_) => Heard::End,
        }
    }

    /// Sleeps until it rings or the other side is gone, or so long.
    pub(crate) fn sleep(&self, so_long: Option<Duration>) -> Heard {
        let so_long = so_long.and_then(|time| Timespec::try_from(time).ok());
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut sockets, so_long.as_ref()) {
            Ok(0) | Err(_) => Heard::Silence,
            Ok(_) => self.heed(),
        }
    }

    /// The other side hears the end; its own end is still heard.
    pub(crate) fn say_end(&self) {
        let _ = shutdown(&self.socket, Shutdown::Write);
    }

    /// The other side hears the end; what it says after this is not heard any more.
    pub(crate) fn end(&self) {
        let _ = shutdown(&self.socket, Shutdown::Both);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
