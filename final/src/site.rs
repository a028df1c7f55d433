//! A host's part in the protocol, as programs hold it: the same whether it is played in this process
//! or in the daemon of the host.
//!
//! Invariant: everything enters by one door: lock, one event, everything that comes of it, and a
//! wake-up only for an *earlier* deadline (R5). The thread that waits does the receiving.

pub(crate) mod desk;
pub(crate) mod inside;
pub(crate) mod lead;

use std::net::SocketAddr;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use sync::{Arc, Mutex};

use crate::attached::{self, AttachError};
use crate::ipc::{SendError, SiteError};
use crate::protocol::{Config, Counters, Entries, Epoch, SiteId};
use crate::state::Life;
use crate::{embedded, fork};
use desk::{Done, Event};
use inside::{Behind, Inside, Job, Look};
use lead::{Sleep, Sleeper};

/// What the threads meet at, in one place, so that the test of their schedules can put another in it.
mod sync {
    pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
}

/// One host's part in the protocol: what clients and servers are made at.
///
/// It is played in this process ([`Site::embedded`]) or in the daemon of the host ([`Site::attach`]);
/// programs are the same.
///
/// Clones are the same site. When the last of them is dropped, with all clients and servers, the site
/// stops and nothing of it is left, no thread and no open file. After `fork` the child cannot use it
/// and makes its own.
///
/// ```
/// use unavez::{IpcClient, IpcServer, Site};
///
/// let site = Site::embedded()?;
/// let server = IpcServer::new(&site)?;
/// let client = IpcClient::new(&site, server.port());
/// std::thread::spawn(move || {
///     let (request, id) = server.receive_request()?;
///     server.send_reply(request, id)
/// });
/// assert_eq!(client.call("hello")?.body(), "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Site {
    handle: Arc<Handle>,
}

/// How the threads of a site sleep.
pub(crate) type Sleepers = Box<dyn Sleep + Send + Sync + UnwindSafe + RefUnwindSafe>;
pub(crate) type Door = lead::Door<Inside, Sleepers>;

/// The last one stops the site.
struct Handle {
    door: Arc<Door>,
    background: Mutex<Option<JoinHandle<()>>>,
    whereabouts: Arc<Mutex<Whereabouts>>,
    config: Config,
    generation: u64,
    _life: Option<Life>,
}

/// Who a site is and where others reach it. An attached one has another life when its daemon has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whereabouts {
    pub(crate) id: SiteId,
    pub(crate) epoch: Epoch,
    pub(crate) address: SocketAddr,
}

/// What a site is made of.
pub(crate) struct Parts {
    pub(crate) behind: Box<dyn Behind>,
    pub(crate) sleep: Sleepers,
    pub(crate) whereabouts: Arc<Mutex<Whereabouts>>,
    pub(crate) config: Config,
    pub(crate) life: Option<Life>,
    /// What the background thread does when there is nothing to watch, and not all is over.
    pub(crate) meanwhile: Box<dyn FnMut(&Door) + Send>,
}

impl Site {
    /// A site in this process that needs no setting up, at a port that is free.
    ///
    /// # Errors
    /// The kernel has no socket or no thread left.
    pub fn embedded() -> io::Result<Site> {
        Site::with(embedded::Options::default())
    }

    /// A site in this process, set up in this way.
    ///
    /// # Errors
    /// The address cannot be listened at; the state directory is another site's, damaged or cannot be
    /// written; the kernel has no socket or no thread left.
    ///
    /// # Panics
    /// The configuration contradicts itself.
    pub fn with(options: embedded::Options) -> io::Result<Site> {
        Site::new(embedded::start(options)?)
    }

    /// The site of this host, which its daemon `unavezd` plays for all processes: found at
    /// `$UNAVEZ_SOCKET`; else in `$XDG_RUNTIME_DIR/unavez`, `/run/unavez` or `/tmp/unavez-<user number>`,
    /// where there is a socket.
    ///
    /// When the daemon is restarted, this process attaches itself again: servers open their ports and
    /// register their names again, requests that the old daemon did not see are sent by the new one.
    /// Calls that it did see end as unknown ([`SiteError::Restarted`]).
    ///
    /// # Errors
    /// There is no daemon, or it does not serve this process; the kernel has no thread left.
    pub fn attach() -> Result<Site, AttachError> {
        Site::attach_with(attached::Options::default())
    }

    /// The same, but where and how these options say.
    ///
    /// # Errors
    /// As [`Site::attach`].
    pub fn attach_with(options: attached::Options) -> Result<Site, AttachError> {
        Site::new(attached::start(options)?).map_err(AttachError::Channel)
    }

    fn new(parts: Parts) -> io::Result<Site> {
        let Parts { behind, sleep, whereabouts, config, life, mut meanwhile } = parts;
        let door: Arc<Door> = Arc::new(lead::Door::new(Inside::new(behind), sleep));
        let watched = Arc::clone(&door);
        let background = thread::Builder::new().name("unavez".into()).spawn(move || {
            watched.watch();
            while !watched.enter(|inside| inside.is_stopped()) {
                meanwhile(&watched);
                watched.watch();
            }
        })?;
        let handle = Handle {
            door,
            background: Mutex::new(Some(background)),
            whereabouts,
            config,
            generation: fork::generation(),
            _life: life,
        };
        Ok(Site { handle: Arc::new(handle) })
    }

    /// Where others reach it.
    pub fn address(&self) -> SocketAddr {
        self.whereabouts().address
    }

    /// Who it is.
    pub fn id(&self) -> SiteId {
        self.whereabouts().id
    }

    /// Which life of it this is.
    pub fn epoch(&self) -> Epoch {
        self.whereabouts().epoch
    }

    /// What the protocol is tuned by. (Of an attached site only what its processes need to know is the
    /// daemon's; the rest is usual.)
    pub fn config(&self) -> &Config {
        &self.handle.config
    }

    /// How often each thing happened.
    ///
    /// # Errors
    /// This is a child of the process that made the site; or the daemon cannot be asked.
    pub fn counters(&self) -> Result<Counters, SiteError> {
        match self.look(Look::Counters)? {
            Done::Counters(counters) => Ok(*counters),
            other => unreachable!("it was asked for counters: {other:?}"),
        }
    }

    /// How full its tables are.
    ///
    /// # Errors
    /// As [`Site::counters`].
    pub fn entries(&self) -> Result<Entries, SiteError> {
        match self.look(Look::Entries)? {
            Done::Entries(entries) => Ok(entries),
            other => unreachable!("it was asked for entries: {other:?}"),
        }
    }

    /// The smoothed round trip to each site that was measured, and its variation.
    ///
    /// # Errors
    /// As [`Site::counters`].
    pub fn round_trips(&self) -> Result<Vec<(SiteId, Duration, Duration)>, SiteError> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|(site, _, _)| *site);
            match self.look(Look::RoundTrips(after))? {
                Done::RoundTrips(some, more) => {
                    all.extend(some);
                    if !more {
                        return Ok(all);
                    }
                }
                other => unreachable!("it was asked for round trips: {other:?}"),
            }
        }
    }

    /// Stops it at once, before its last handle is dropped: each open call ends, as not executed if it
    /// was never sent; clients whose requests are not answered are told; all threads that wait return.
    /// Its address and its state directory are free again when the last handle is dropped.
    pub fn stop(&self) {
        self.handle.stop();
    }

    pub(crate) fn door(&self) -> Result<&Door, SiteError> {
        match self.handle.is_here() {
            true => Ok(&self.handle.door),
            false => Err(SiteError::Forked),
        }
    }

    pub(crate) fn whereabouts(&self) -> Whereabouts {
        *self.handle.whereabouts.lock().expect("no thread panics here")
    }

    /// Has a job done, and waits for it.
    pub(crate) fn have_done(&self, job: &Job) -> Result<Done, SendError> {
        let door = self.door()?;
        let until = crate::ipc::after(self.config().patience_default);
        let serial = door.enter(|inside| inside.begin(job));
        let done = door.wait(Event::Done(serial), until, |inside| inside.desk.take_done(serial));
        done.unwrap_or_else(|| {
            door.enter(|inside| inside.forget(serial));
            Err(SiteError::Away.into())
        })
    }

    fn look(&self, what: Look) -> Result<Done, SiteError> {
        self.have_done(&Job::Look(what)).map_err(|error| match error {
            SendError::Site(error) => error,
            // Nothing is sent, so nothing else can be refused.
            SendError::Refused(_) => SiteError::Away,
        })
    }
}

impl Handle {
    /// In a child of `fork` the background thread does not exist, and the lock may never be free.
    fn is_here(&self) -> bool {
        self.generation == fork::generation()
    }

    fn stop(&self) {
        if !self.is_here() {
            return;
        }
        let mut background = self.background.lock().expect("no thread panics here");
        let Some(thread) = background.take() else { return };
        self.door.stop(Inside::stop);
        // It panics never: else the lock is broken, and whoever enters next says so.
        let _ = thread.join();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Whereabouts { id, epoch, address } = self.whereabouts();
        write!(f, "Site({address}, {id}, {epoch})")
    }
}

impl Sleep for Sleepers {
    fn now(&self) -> Duration {
        (**self).now()
    }

    fn sleep(&self, who: Sleeper, socket: bool, until: Option<Duration>) {
        (**self).sleep(who, socket, until);
    }

    fn wake(&self, who: Sleeper) {
        (**self).wake(who);
    }
}
