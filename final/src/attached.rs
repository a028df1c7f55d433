//! The site of a host, played by its daemon `unavezd` for all processes (§4).
//!
//! Invariant: when the daemon is gone, the background thread looks for the next one; until then nothing
//! is lost that the old one has not seen.

mod behind;
mod calls;
mod channel;
mod daemon;
mod heard;
mod ports;

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use crate::local::Kind;
pub use crate::local::attach::AttachError;
pub use crate::local::hello::Refusal;

use nix::poll::PollFlags;

use crate::clock;
use crate::local::attach::{Attachment, attach, attach_unless};
use crate::local::bell::Bell as Line;
use crate::local::control::Lane;
use crate::local::memory::Memory;
use crate::local::path;
use crate::protocol::{Config, Time};
use crate::site::lead::{Inside, Sleep, Sleeper};
use crate::site::{Door, Parts};
use crate::udp::Bell;
use daemon::Daemon;

/// How long the background thread waits before it looks for the daemon again: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long it waits for the answer of a daemon that it has found: whoever stops the site waits for it.
const SEEK_WAIT: Duration = Duration::from_secs(2);

/// Where the daemon is, and how to talk to it.
///
/// ```no_run
/// use unavez::Site;
/// use unavez::attached::{Kind, Options};
///
/// let site = Site::attach_with(Options { channel: Kind::Sysv, ..Options::default() })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The daemon's socket; by default where [`crate::Site::attach`] looks for it.
    pub socket: Option<PathBuf>,
    /// How messages travel between this process and the daemon.
    pub channel: Kind,
}

/// What the threads, the daemon's stand-in and the background thread share.
#[derive(Debug)]
struct Shared {
    /// What the daemon rings, and whose end is its end; none while it is gone.
    line: Mutex<Option<Arc<Line>>>,
    /// It was seen to ring, or to end.
    rang: AtomicBool,
    /// Where the thread that leads sleeps, if it said so: messages wake it there, and nothing else.
    word: Mutex<Option<Lane<Arc<Memory>>>>,
    /// The next attachment.
    next: Mutex<Option<Attachment>>,
    leader: Bell,
    background: Bell,
}

#[derive(Debug)]
struct Sleepers(Arc<Shared>);

/// What an attached site is made of.
pub(crate) fn start(options: Options) -> Result<Parts, AttachError> {
    let Options { socket, channel } = options;
    let first = attach(&socket.clone().unwrap_or_else(path::find), channel)?;
    let bell = || Bell::new().map_err(AttachError::Channel);
    let shared = Arc::new(Shared {
        line: Mutex::new(None),
        rang: AtomicBool::new(false),
        word: Mutex::new(None),
        next: Mutex::new(None),
        leader: bell()?,
        background: bell()?,
    });
    let terms = first.welcome.terms;
    let config = Config {
        patience_default: terms.patience_default,
        message_max: terms.message_max as usize,
        calls_max: terms.calls_max as usize,
        ..Config::default()
    };
    let whereabouts = Arc::new(Mutex::new(first.welcome.whereabouts()));
    let daemon = Daemon::new(Arc::clone(&shared), Arc::clone(&whereabouts), first);
    let (found, pause) = (Time::ZERO, Duration::ZERO);
    let mut seeker = Seeker { shared: Arc::clone(&shared), socket, channel, found, pause };
    Ok(Parts {
        behind: Box::new(daemon),
        sleep: Box::new(Sleepers(shared)),
        whereabouts,
        config,
        life: None,
        meanwhile: Box::new(move |door| seeker.seek(door)),
    })
}

/// What the background thread is while there is no daemon.
struct Seeker {
    shared: Arc<Shared>,
    socket: Option<PathBuf>,
    channel: Kind,
    /// When it found the last one.
    found: Time,
    pause: Duration,
}

impl Seeker {
    /// Looks for the daemon until it is found, or the site is stopped.
    fn seek(&mut self, door: &Door) {
        // What breaks as soon as it is found is not found again at once.
        if clock::running() - self.found > PAUSE_MAX * 2 {
            self.pause = Duration::ZERO;
        }
        let Seeker { shared, socket, channel, found, pause } = self;
        loop {
            // What it was rung for so far it sees now.
            shared.background.sleep(None, Some(*pause));
            *pause = (*pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
            // Perhaps nobody waits who would end what is overdue.
            let goes_on = door.enter(|inside| {
                inside.round();
                !inside.is_stopped()
            });
            if !goes_on {
                return;
            }
            let given_up = Some(shared.background.as_fd());
            // It may listen elsewhere now.
            let path = socket.clone().unwrap_or_else(path::find);
            match attach_unless(SEEK_WAIT, &path, *channel, given_up) {
                Ok(attachment) => {
                    *found = clock::running();
                    *shared.next.lock().expect(UNBROKEN) = Some(attachment);
                    door.enter(|inside| inside.round());
                    // If a leader was faster it may sleep already, and the round has said that nobody does.
                    shared.wake_leader();
                    // The site may have been stopped meanwhile.
                    *shared.next.lock().expect(UNBROKEN) = None;
                    return;
                }
                Err(error) => tracing::debug!("the daemon is not back: {error}"),
            }
        }
    }
}

const UNBROKEN: &str = "no thread panics here";

impl Sleep for Sleepers {
    fn now(&self) -> Time {
        clock::running()
    }

    fn sleep(&self, who: Sleeper, socket: bool, until: Option<Time>) {
        let so_long = until.map(|until| until.saturating_sub(self.now()));
        self.0.sleep(who, socket, so_long);
    }

    fn wake(&self, who: Sleeper) {
        match who {
            Sleeper::Leader => self.0.wake_leader(),
            Sleeper::Background => self.0.background.ring(),
        }
    }
}

impl Shared {
    fn sleep(&self, who: Sleeper, socket: bool, so_long: Option<Time>) {
        let word = self.word.lock().expect(UNBROKEN).clone();
        if let (Sleeper::Leader, Some(word)) = (who, word) {
            return word.sleep(so_long);
        }
        let line = self.line.lock().expect(UNBROKEN).clone();
        let own = if who == Sleeper::Leader { &self.leader } else { &self.background };
        // The end is always heard: a leader on the word does not hear it.
        let wanted = if socket { PollFlags::POLLIN } else { PollFlags::empty() };
        // It is heeded under the lock: who else sleeps here must not miss it.
        if own.sleep(line.as_ref().map(|line| (line.as_fd(), wanted)), so_long) {
            self.rang.store(true, Ordering::Relaxed);
            if who == Sleeper::Background {
                self.wake_leader();
            }
        }
    }

    fn wake_leader(&self) {
        match &*self.word.lock().expect(UNBROKEN) {
            Some(word) => word.rouse(),
            None => self.leader.ring(),
        }
    }
}
