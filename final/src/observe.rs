//! Looks at the daemon of this host: what it counts, whose processes are there, and what they call.
//!
//! ```no_run
//! let mut observer = unavez::observe::Observer::open(None)?;
//! for process in observer.processes()? {
//!     println!("process {} of user {}: {} calls", process.pid, process.user, process.calls);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariant: whoever looks, or stops to, changes nothing of any call.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::clock;
use crate::embedded::trace::Stamped;
use crate::local::attach::{ATTACH_WAIT, AttachError, Attachment, attach};
use crate::local::bell::{Bell, Heard};
use crate::local::hello::Welcome;
use crate::local::message::{Answer, Down, ROUND_TRIPS_MAX, Seen, Up, What};
use crate::local::outbox::Outbox;
use crate::local::seen::join;
use crate::local::{Broken, Kind, path};
use crate::protocol::{Counters, Entries, Epoch, ServerPort, SiteId, Time};

pub use crate::local::seen::{PortInfo, ProcessInfo};

/// A process that is attached to the daemon and only looks.
#[derive(Debug)]
pub struct Observer {
    welcome: Welcome,
    outbox: Box<Outbox>,
    bell: Arc<Bell>,
    /// The number of the last question.
    serial: u64,
    buffer: Vec<u8>,
}

/// Why nothing is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// Processes of other users, and what they say, are not for everybody.
    #[error(
        "user {user} may not see the processes and calls of this daemon; root and user {owner} may"
    )]
    NotAllowed {
        /// Who asks.
        user: u32,
        /// Whose daemon it is.
        owner: u32,
    },
    /// It stops, has stopped or was killed.
    #[error("the daemon is gone")]
    Gone,
    /// It may be stopped, or busy beyond measure.
    #[error("the daemon does not answer")]
    Silent,
    /// Library and daemon are of different releases.
    #[error("the daemon is of another release")]
    Garbled,
}

impl Observer {
    /// Attaches to the daemon that listens there; by default where the library looks for it:
    /// `$UNAVEZ_SOCKET`, or in `$XDG_RUNTIME_DIR/unavez`, `/run/unavez` or `/tmp/unavez-<user>`.
    ///
    /// # Errors
    /// There is none, or it serves no process of this user, or has no room.
    pub fn open(socket: Option<&Path>) -> Result<Observer, AttachError> {
        let at = socket.map_or_else(path::find, Path::to_owned);
        let Attachment { welcome, outbox, bell } = attach(&at, Kind::Shm)?;
        let outbox = Box::new(outbox);
        Ok(Observer { welcome, outbox, bell: Arc::new(bell), serial: 0, buffer: Vec::new() })
    }

    /// Who the daemon is.
    pub fn site(&self) -> SiteId {
        self.welcome.site
    }

    /// Which life of it this is.
    pub fn epoch(&self) -> Epoch {
        self.welcome.epoch
    }

    /// Where others reach it.
    pub fn address(&self) -> SocketAddr {
        self.welcome.address
    }

    /// How often each thing happened.
    ///
    /// # Errors
    /// The daemon is gone, or does not answer.
    pub fn counters(&mut self) -> Result<Counters, ObserveError> {
        match self.look(What::Counters)? {
            Seen::Counters(counters) => Ok(counters),
            _ => Err(ObserveError::Garbled),
        }
    }

    /// How full its tables are.
    ///
    /// # Errors
    /// The daemon is gone, or does not answer.
    pub fn entries(&mut self) -> Result<Entries, ObserveError> {
        match self.look(What::Entries)? {
            Seen::Entries(entries) => Ok(entries),
            _ => Err(ObserveError::Garbled),
        }
    }

    /// The smoothed round trip to each site that was measured, and its variation.
    ///
    /// # Errors
    /// The daemon is gone, or does not answer.
    pub fn round_trips(&mut self) -> Result<Vec<(SiteId, Duration, Duration)>, ObserveError> {
        let (mut all, mut what) = (Vec::new(), What::RoundTrips);
        loop {
            let Seen::RoundTrips(some) = self.look(what)? else {
                return Err(ObserveError::Garbled);
            };
            let may_be_more = some.len() >= ROUND_TRIPS_MAX;
            all.extend(some);
            match all.last() {
                Some((last, _, _)) if may_be_more => what = What::MoreRoundTrips { after: *last },
                _ => return Ok(all),
            }
        }
    }

    /// The processes that are attached, without this observer, in the order in which they came.
    ///
    /// # Errors
    /// This process is neither root's nor of the daemon's own user; the daemon is gone, or does not
    /// answer.
    pub fn processes(&mut self) -> Result<Vec<ProcessInfo>, ObserveError> {
        let (mut all, mut after) = (Vec::<ProcessInfo>::new(), 0);
        loop {
            let Seen::Processes { processes, more } = self.look(What::Processes { after })? else {
                return Err(ObserveError::Garbled);
            };
            all.extend(processes);
            match all.last() {
                Some(last) if more && last.id > after => after = last.id,
                _ => return Ok(all),
            }
        }
    }

    /// The ports that processes have opened, in the order in which they were.
    ///
    /// # Errors
    /// This process is neither root's nor of the daemon's own user; the daemon is gone, or does not
    /// answer.
    pub fn ports(&mut self) -> Result<Vec<PortInfo>, ObserveError> {
        let (mut rows, mut next) = (Vec::new(), (ServerPort(0), 0));
        loop {
            let what = What::Ports { from: next.0, name: next.1 };
            let Seen::Ports { ports, more } = self.look(what)? else {
                return Err(ObserveError::Garbled);
            };
            rows.extend(ports);
            match rows.last().map(|last| (last.port, last.number.saturating_add(1))) {
                Some(after) if more && after > next => next = after,
                _ => return Ok(join(rows)),
            }
        }
    }

    /// Watches all calls from now on, until this moment if there is one.
    ///
    /// ```no_run
    /// let observer = unavez::observe::Observer::open(None)?;
    /// for line in observer.trace(None)? {
    ///     println!("{}", line?);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// This process is neither root's nor of the daemon's own user; the daemon is gone, or does not
    /// answer.
    pub fn trace(mut self, until: Option<Instant>) -> Result<Trace, ObserveError> {
        let began = clock::now().running;
        match self.look(What::Trace)? {
            Seen::Watching => {}
            _ => return Err(ObserveError::Garbled),
        }
        let stopper = Stopper { told: Arc::default(), bell: Arc::clone(&self.bell) };
        Ok(Trace { observer: self, began, until, stopper, is_over: false })
    }

    /// Asks, and waits for the answer.
    fn look(&mut self, what: What) -> Result<Seen, ObserveError> {
        self.serial += 1;
        Up::Look { serial: self.serial, what }.encode(&[], &mut self.buffer);
        let ring = self.outbox.push(&self.buffer)?;
        self.ring_if(ring);
        match self.hear(Some(Instant::now() + ATTACH_WAIT))? {
            None => Err(ObserveError::Silent),
            Some(Seen::NotAllowed { user, owner }) => Err(ObserveError::NotAllowed { user, owner }),
            Some(seen) => Ok(seen),
        }
    }

    /// The next answer to the last question; `None` if none comes until then.
    fn hear(&mut self, until: Option<Instant>) -> Result<Option<Seen>, ObserveError> {
        let mut is_end = false;
        loop {
            if self.outbox.channel().try_receive(&mut self.buffer)? {
                let ring = self.outbox.channel().freed();
                self.ring_if(ring);
                match Down::decode(&self.buffer)? {
                    (Down::Answer { serial, answer: Answer::Seen }, body)
                        if serial == self.serial =>
                    {
                        return Ok(Some(Seen::decode(body)?));
                    }
                    (Down::Stopping, _) => return Err(ObserveError::Gone),
                    // An answer that was not waited for any more.
                    _ => continue,
                }
            }
            if is_end {
                return Err(ObserveError::Gone);
            }
            let ring = self.outbox.flush()?;
            self.ring_if(ring);
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            if self.outbox.channel().may_sleep()? {
                // What was written before the end is read first.
                is_end = self.bell.sleep(left) == Heard::End;
                self.outbox.channel().woke();
            }
        }
    }

    fn ring_if(&self, ring: bool) {
        if ring {
            self.bell.ring();
        }
    }
}

impl From<Broken> for ObserveError {
    fn from(_: Broken) -> ObserveError {
        ObserveError::Garbled
    }
}

/// The calls of a daemon as they go by: packets that leave and come, requests handed over, ends of
/// calls, and what no packet shows.
///
/// It ends when its time is over or it is stopped; when the daemon ends, with an error before. Whoever
/// reads too slowly loses lines, and gets one that says how many; the daemon waits for nobody.
#[derive(Debug)]
pub struct Trace {
    observer: Observer,
    began: Time,
    until: Option<Instant>,
    stopper: Stopper,
    is_over: bool,
}

/// A line of it; `Display` is how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceLine {
    /// How long after the trace began.
    pub at: Duration,
    /// What happened.
    pub text: String,
}

/// Ends a [`Trace`], also while another thread waits for its next line.
#[derive(Debug, Clone)]
pub struct Stopper {
    told: Arc<AtomicBool>,
    bell: Arc<Bell>,
}

impl Trace {
    /// What ends it.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    fn next_line(&mut self) -> Result<Option<TraceLine>, ObserveError> {
        let mut whole = String::new();
        loop {
            match self.observer.hear(self.until) {
                Ok(Some(Seen::Line { at, text, more })) => {
                    whole.push_str(&text);
                    if !more {
                        let at = at.saturating_sub(self.began);
                        return Ok(Some(TraceLine { at, text: whole }));
                    }
                }
                Ok(Some(_)) => return Err(ObserveError::Garbled),
                Ok(None) => return Ok(None),
                Err(_) if self.stopper.told.load(Ordering::Relaxed) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Iterator for Trace {
    type Item = Result<TraceLine, ObserveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.next_line().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Stopper {
    /// The next line is the last that has already come, or none.
    pub fn stop(&self) {
        self.told.store(true, Ordering::Relaxed);
        self.bell.end();
    }
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        Stamped(self.at, &self.text).fmt(f)
    }
}
