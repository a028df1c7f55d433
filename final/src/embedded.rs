//! A site inside the process: the default. No daemon to start, nothing to configure.
//!
//! Invariant: everything enters the core by one door: lock, read the clock, one event, every action,
//! and a wake-up only for an *earlier* deadline (R5). The thread that waits does the receiving.

mod inside;
mod lead;
pub(crate) mod network;
pub(crate) mod trace;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use sync::{Arc, Mutex};

pub use crate::link::Link;

pub(crate) use inside::{ClientNumber, Event, Inside};

use crate::ipc::SiteError;
use crate::protocol::{Config, Counters, Entries, Epoch, SiteId, Time};
use crate::state::{self, Life};
use crate::udp::{Bell, Socket};
use crate::{clock, fork, protocol};
use lead::Sleeper;
use network::Network;
use trace::Trace;

/// What the threads meet at, in one place, so that the test of their schedules can put another in it.
mod sync {
    pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
}

/// One host's part in the protocol, inside this process: what clients and servers are made at.
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

/// How a site is set up.
///
/// ```
/// use unavez::embedded::{Options, Site};
///
/// let listen = "127.0.0.1:0".parse()?;
/// let site = Site::with(Options { listen, ..Options::default() })?;
/// assert!(site.address().ip().is_loopback());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens. By default at all IPv4 addresses of this machine, and a port that is free.
    pub listen: SocketAddr,
    /// The address that its ports bear, if clients reach it by another one than it listens at.
    pub advertise: Option<SocketAddr>,
    /// Where it keeps who it is and how many lives it had (R7). Without it, it is another site each
    /// time: right for clients, and for servers that nobody knows by a port of an earlier life.
    pub state: Option<PathBuf>,
    /// What the protocol is tuned by.
    pub config: Config,
    /// Whether each packet is printed to the standard error stream, and what else happens.
    pub trace: bool,
    /// A worse network, to try things on.
    pub link: Option<Link>,
}

pub(crate) type Door = lead::Door<Inside, Sleepers>;

/// The last one stops the site.
struct Handle {
    door: Arc<Door>,
    background: Mutex<Option<JoinHandle<()>>>,
    id: SiteId,
    epoch: Epoch,
    address: SocketAddr,
    config: Config,
    generation: u64,
    _life: Life,
}

/// What the threads sleep on.
#[derive(Debug)]
pub(crate) struct Sleepers {
    socket: Arc<Socket>,
    leader: Bell,
    background: Bell,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: (Ipv4Addr::UNSPECIFIED, 0).into(),
            advertise: None,
            state: None,
            config: Config::default(),
            trace: false,
            link: None,
        }
    }
}

impl Site {
    /// A site that needs no setting up, at a port that is free.
    ///
    /// # Errors
    /// The kernel has no socket or no thread left.
    pub fn embedded() -> io::Result<Site> {
        Site::with(Options::default())
    }

    /// A site set up in this way.
    ///
    /// # Errors
    /// The address cannot be listened at; the state directory is another site's, damaged or cannot be
    /// written; the kernel has no socket or no thread left.
    ///
    /// # Panics
    /// The configuration contradicts itself.
    pub fn with(options: Options) -> io::Result<Site> {
        let Options { listen, advertise, state, config, trace, link } = options;
        let life = Life::begin(state.as_deref())?;
        let socket = Arc::new(Socket::bind(listen)?);
        let address = advertise.map_or_else(|| socket.address(), Ok)?;
        let (id, epoch, seed) = (life.site, life.epoch, state::random()?);
        let mut core = protocol::Site::new(clock::now(), config, id, epoch, seed);
        let trace = Trace::new(id, trace);
        core.set_trace(trace.wants_notes());
        let network = Network::new(Arc::clone(&socket), link, trace);
        let sleepers = Sleepers { socket, leader: Bell::new()?, background: Bell::new()? };
        let inside = Inside::new(core, network, config.calls_max);
        let door = Arc::new(lead::Door::new(inside, sleepers));
        let watched = Arc::clone(&door);
        let background =
            thread::Builder::new().name("unavez".into()).spawn(move || watched.watch())?;
        let handle = Handle {
            door,
            background: Mutex::new(Some(background)),
            id,
            epoch,
            address,
            config,
            generation: fork::generation(),
            _life: life,
        };
        Ok(Site { handle: Arc::new(handle) })
    }

    /// Where others reach it.
    pub fn address(&self) -> SocketAddr {
        self.handle.address
    }

    /// Who it is.
    pub fn id(&self) -> SiteId {
        self.handle.id
    }

    /// Which life of it this is.
    pub fn epoch(&self) -> Epoch {
        self.handle.epoch
    }

    /// What the protocol is tuned by.
    pub fn config(&self) -> &Config {
        &self.handle.config
    }

    /// How often each thing happened.
    ///
    /// # Errors
    /// This is a child of the process that made the site.
    pub fn counters(&self) -> Result<Counters, SiteError> {
        Ok(self.door()?.enter(|inside| inside.site.counters().clone()))
    }

    /// How full its tables are.
    ///
    /// # Errors
    /// This is a child of the process that made the site.
    pub fn entries(&self) -> Result<Entries, SiteError> {
        Ok(self.door()?.enter(|inside| inside.site.entries()))
    }

    /// The smoothed round trip to each site that was measured, and its variation.
    ///
    /// # Errors
    /// This is a child of the process that made the site.
    pub fn round_trips(&self) -> Result<Vec<(SiteId, Duration, Duration)>, SiteError> {
        Ok(self.door()?.enter(|inside| inside.site.round_trips()))
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
        let Handle { id, epoch, address, .. } = &*self.handle;
        write!(f, "Site({address}, {id}, {epoch})")
    }
}

impl lead::Sleep for Sleepers {
    fn now(&self) -> Time {
        clock::now().running
    }

    fn sleep(&self, who: Sleeper, socket: bool, until: Option<Time>) {
        let so_long = until.map(|until| until.saturating_sub(self.now()));
        match who {
            Sleeper::Leader => self.socket.sleep(&self.leader, so_long),
            Sleeper::Background => {
                self.background.sleep(socket.then_some(&*self.socket), so_long);
            }
        }
    }

    fn wake(&self, who: Sleeper) {
        match who {
            Sleeper::Leader => self.socket.wake(&self.leader),
            Sleeper::Background => self.background.ring(),
        }
    }
}
