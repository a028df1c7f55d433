//! A process's link to its daemon: its queue, the thread that reads it, and what came out of it.
//!
//! Invariant: whoever removes a call from `calls` tells its end, and once the link is lost nothing waits.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use super::local::{Letter, Place, ToDaemon, ToProcess};
use super::noted::Noted;
use super::sysv::{Queue, open_process};
use super::{IpcError, IpcPort, MsgId};
use crate::epoch::Epoch;
use crate::site::Port;

/// A process's link to the daemon of its host. A clone is the same link; it ends with the last one.
#[derive(Debug, Clone)]
pub struct Attachment {
    pub(super) link: Arc<Link>,
    _last: Arc<Last>,
}

/// What all threads of the process share.
#[derive(Debug)]
pub(super) struct Link {
    daemon: Queue,
    own: Noted,
    life: Epoch,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    last_tag: u64,
    /// Of clients; an end stays until somebody receives it.
    pub(super) calls: HashMap<MsgId, Call>,
    /// Of ports that are being opened.
    pub(super) opening: HashMap<u64, Option<Result<IpcPort, IpcError>>>,
    /// Of servers, by port.
    pub(super) inboxes: HashMap<u64, VecDeque<(MsgId, Vec<u8>)>>,
    /// Requests that somebody has received, each with its port.
    pub(super) in_hand: HashMap<MsgId, u64>,
    pub(super) lost: bool,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) client: u64,
    pub(super) until: Option<Instant>,
    pub(super) end: Option<Result<Vec<u8>, IpcError>>,
}

/// Detaches when the last clone goes.
#[derive(Debug)]
struct Last {
    link: Arc<Link>,
    watcher: Arc<EventFd>,
}

impl Attachment {
    /// Attaches this process to the daemon with this state directory.
    ///
    /// Two threads serve the link from then on; both only wait. A child made by `fork` has to attach by itself.
    ///
    /// # Errors
    /// No daemon runs there, it is another user's, or it refuses.
    pub fn new(state: &Path) -> io::Result<Attachment> {
        let none = |error| io::Error::other(format!("no daemon at {}: {error}", state.display()));
        let place = Place::read(state).map_err(none)?;
        let (process, daemon) =
            (open_process(place.pid).map_err(none)?, place.queue().map_err(none)?);
        let own = Noted::make(state)?;
        let attach = ToDaemon::Attach { pid: std::process::id(), key: own.key() };
        let (state, changed) = (Mutex::default(), Condvar::new());
        let link = Arc::new(Link { daemon, own, life: place.life, state, changed });
        // From now on, so that the wait for the answer ends with the daemon.
        let watcher = Arc::new(EventFd::new()?);
        let (watched, stop) = (Arc::clone(&link), Arc::clone(&watcher));
        let watch = move || watched.watch(&process, &stop);
        thread::Builder::new().spawn(watch)?;
        let last = Last { link: Arc::clone(&link), watcher };
        link.tell(attach, Vec::new()).map_err(io::Error::other)?;
        let take = link.receive_attached().map_err(none)?;
        let reader = Arc::clone(&link);
        thread::Builder::new().spawn(move || reader.read(take))?;
        Ok(Attachment { link, _last: Arc::new(last) })
    }
}

impl Link {
    /// Says something to the daemon; blocks while its queue is full, which its I/O Local never leaves it.
    pub(super) fn tell(&self, what: ToDaemon, body: Vec<u8>) -> Result<(), IpcError> {
        let letter = Letter { life: self.life, process: self.own.queue().id(), what, body };
        self.daemon.send(&letter.encode()).map_err(|_| IpcError::NoDaemon)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the lock")
    }

    /// Looks at the state again and again, each time that it changed, until there is what is looked for.
    pub(super) fn wait<T>(
        &self,
        mut look: impl FnMut(&mut State, Instant) -> ControlFlow<T, Option<Instant>>,
    ) -> T {
        const HELD: &str = "no thread panics while it holds the lock";
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state = match look(&mut state, now) {
                ControlFlow::Break(found) => return found,
                ControlFlow::Continue(None) => self.changed.wait(state).expect(HELD),
                ControlFlow::Continue(Some(until)) => {
                    let left = until.saturating_duration_since(now);
                    self.changed.wait_timeout(state, left).expect(HELD).0
                }
            };
        }
    }

    fn receive_attached(&self) -> io::Result<u32> {
        loop {
            let letter = Letter::decode(&self.own.queue().receive()?);
            match letter.map(|letter| letter.what) {
                Ok(ToProcess::Attached { take }) => return Ok(take),
                Ok(ToProcess::Refused { error }) => return Err(io::Error::other(error)),
                _ => {}
            }
        }
    }

    /// The reader: takes what comes and hands it to whoever waits for it, until the queue is gone.
    fn read(&self, take: u32) {
        let mut taken = 0;
        while let Ok(bytes) = self.own.queue().receive() {
            // The queue is this user's alone: what is no message is this user's own doing.
            if let Ok(letter) = Letter::decode(&bytes)
                && letter.life == self.life
            {
                self.distribute(letter);
            }
            taken += 1;
            if taken == take {
                taken = 0;
                let _ = self.tell(ToDaemon::Taken, Vec::new());
            }
        }
        self.lose();
        // If somebody else removed the queue, the daemon must not vouch for this process.
        let _ = self.tell(ToDaemon::Detach, Vec::new());
    }

    fn distribute(&self, letter: Letter<ToProcess>) {
        let mut state = self.lock();
        match letter.what {
            ToProcess::Reply { tag } => state.end(tag, Ok(letter.body)),
            ToProcess::Failed { tag, error } => state.end(tag, Err(error)),
            ToProcess::Opened { tag, address, port } => {
                let site = Port { address, epoch: self.life };
                if let Some(opening) = state.opening.get_mut(&tag) {
                    *opening = Some(Ok(IpcPort { site, number: port }));
                    // Its first request may come before the opener looks.
                    state.inboxes.insert(port, VecDeque::new());
                }
            }
            ToProcess::Request { call, port } => {
                if let Some(inbox) = state.inboxes.get_mut(&port) {
                    inbox.push_back((MsgId(call), letter.body));
                }
            }
            ToProcess::Refused { error: IpcError::NotAttached } => state.lost = true,
            // The library asks for nothing that is refused otherwise.
            ToProcess::Refused { .. } | ToProcess::Attached { .. } => {}
        }
        self.changed.notify_all();
    }

    /// The watcher: ends everything when the daemon is gone, however it went.
    fn watch(&self, daemon: &OwnedFd, stop: &EventFd) {
        let waits_for = [daemon.as_fd(), stop.as_fd()];
        let mut waits_for = waits_for.map(|what| PollFd::new(what, PollFlags::POLLIN));
        while poll(&mut waits_for, PollTimeout::NONE) == Err(Errno::EINTR) {}
        self.lose();
        // Wakes the reader. Who removes the note is whoever drops the link.
        let _ = self.own.queue().remove();
    }

    fn lose(&self) {
        self.lock().lost = true;
        self.changed.notify_all();
    }
}

impl State {
    /// A name that was never used by this process.
    pub(super) fn next_tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }

    fn end(&mut self, tag: u64, end: Result<Vec<u8>, IpcError>) {
        if let Some(call) = self.calls.get_mut(&MsgId(tag)) {
            call.end = Some(end);
        } else if let (Some(opening), Err(error)) = (self.opening.get_mut(&tag), end) {
            *opening = Some(Err(error));
        }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let _ = self.link.tell(ToDaemon::Detach, Vec::new());
        let _ = self.watcher.write(1);
        // The process may end before the watcher does it.
        let _ = self.link.own.queue().remove();
    }
}
