//! What wakes a thread that sleeps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use crate::protocol::Time;

/// A socket, and what is wanted of it; its end is always heard.
pub(crate) type Wanted<'a> = (BorrowedFd<'a>, PollFlags);

/// Wakes one thread that sleeps.
#[derive(Debug)]
pub(crate) struct Bell(EventFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Bell> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Bell(EventFd::from_value_and_flags(0, flags)?))
    }

    pub(crate) fn ring(&self) {
        // It fails only if it has been rung 2^64 times and nobody woke.
        let _ = self.0.write(1);
    }

    /// Sleeps until it rings, something comes to the socket, if one is given, or so long. Whether
    /// something came.
    pub(crate) fn sleep(&self, socket: Option<Wanted>, so_long: Option<Time>) -> bool {
        let so_long = so_long.map(TimeSpec::from_duration);
        let bell = PollFd::new(self.0.as_fd(), PollFlags::POLLIN);
        let ready = |fd: &PollFd| fd.revents().is_some_and(|came| !came.is_empty());
        let (rang, came) = match socket {
            Some((socket, wanted)) => {
                let mut both = [bell, PollFd::new(socket, wanted)];
                // An error is a signal that came meanwhile: as good as nothing.
                match ppoll(&mut both, so_long, None) {
                    Ok(_) => (ready(&both[0]), ready(&both[1])),
                    Err(_) => (false, false),
                }
            }
            None => (ppoll(&mut [bell], so_long, None).is_ok_and(|ready| ready > 0), false),
        };
        if rang {
            let _ = self.0.read();
        }
        came
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
