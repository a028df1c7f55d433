//! Deaths: notices the end of a process, and says so to I/O Local.
//!
//! The paper has four threads and does not say how it notices. None of the four can: I/O Local waits for a message, and
//! nobody can wait for a message and for a process at once.
//!
//! Invariant: it never enters the site; it only sends the message that a process that ends in good order sends itself.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use crate::epoch::Epoch;
use crate::ipc::local::{Letter, ToDaemon};
use crate::ipc::sysv::Queue;

/// The processes that are watched, by the number of their queue.
#[derive(Debug)]
pub(super) struct Deaths {
    watched: Mutex<Vec<(i32, Arc<OwnedFd>)>>,
    changed: EventFd,
}

impl Deaths {
    pub(super) fn new() -> nix::Result<Deaths> {
        Ok(Deaths { watched: Mutex::default(), changed: EventFd::new()? })
    }

    /// Watches a process from now on.
    pub(super) fn watch(&self, process: i32, descriptor: OwnedFd) {
        self.watched
            .lock()
            .expect("no thread panics with it")
            .push((process, Arc::new(descriptor)));
        self.wake();
    }

    /// Watches it no more.
    pub(super) fn forget(&self, process: i32) {
        self.watched.lock().expect("no thread panics with it").retain(|(id, _)| *id != process);
        self.wake();
    }

    fn wake(&self) {
        // A counter that is full wakes as well.
        let _ = self.changed.write(1);
    }

    /// Waits for deaths until the daemon stops.
    pub(super) fn run(&self, life: Epoch, daemon: Queue, stop: &EventFd) {
        while !stopped(stop) {
            for process in self.wait(stop) {
                let letter = Letter { life, process, what: ToDaemon::Detach, body: Vec::new() };
                // An error says that the daemon's queue is gone, and the daemon with it.
                let _ = daemon.send(&letter.encode());
            }
        }
    }

    /// The processes that have ended, which are watched no more.
    fn wait(&self, stop: &EventFd) -> Vec<i32> {
        // A copy, so that nobody waits for the lock while this thread sleeps.
        let watched = self.watched.lock().expect("no thread panics with it").clone();
        let mut waits_for = vec![stop.as_fd(), self.changed.as_fd()];
        waits_for.extend(watched.iter().map(|(_, descriptor)| descriptor.as_fd()));
        let mut waits_for: Vec<PollFd> =
            waits_for.into_iter().map(|what| PollFd::new(what, PollFlags::POLLIN)).collect();
        while poll(&mut waits_for, PollTimeout::NONE) == Err(Errno::EINTR) {}
        if waits_for[1].any() == Some(true) {
            let _ = self.changed.read();
        }
        let ended = |(poll, (id, _)): (&PollFd, &(i32, Arc<OwnedFd>))| {
            poll.any().unwrap_or(true).then_some(*id)
        };
        let ended: Vec<i32> = waits_for[2..].iter().zip(&watched).filter_map(ended).collect();
        let mut watched = self.watched.lock().expect("no thread panics with it");
        watched.retain(|(id, _)| !ended.contains(id));
        ended
    }
}

fn stopped(stop: &EventFd) -> bool {
    let mut stop = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
    poll(&mut stop, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
