//! The communication server of a host (§4 of the paper): one site for all of its processes.
//!
//! Figure 4 in threads: *I/O Local* waits for the processes, *Receive* for the network, *Timer* for
//! what is due. The paper's fourth, *Send*, waits at a FIFO for packets and gives them to the socket.
//! We let whoever has a packet write it to the socket itself instead: that never blocks (what the
//! kernel has no room for is lost, as it might be on the way), and a FIFO would cost two switches of
//! threads for each packet and gain nothing but a place where packets get old.
//!
//! Invariant: everything enters the core by one door: lock, read the clock, one event, every action,
//! and Timer is woken only for what is due *earlier* than it sleeps to. Nobody polls, and nobody waits
//! for a process.

mod asked;
mod door;
mod inside;
mod io_local;
mod limits;
mod long;
mod look;
mod process;
mod receive;
#[cfg(test)]
mod tests;
mod timer;
mod watch;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, geteuid, getrlimit};

use crate::clock;
use crate::embedded::network::Network;
use crate::embedded::trace::Trace;
use crate::link::Link;
use crate::local::hello::{Terms, Welcome};
use crate::local::listen::Listener;
use crate::local::{noted, path, queues};
use crate::protocol::{Config, Counters, Entries, Epoch, Site, SiteId};
use crate::state::{self, Life};
use crate::udp::{Bell, Socket};
use door::Door;
use inside::Inside;
use io_local::{Guests, IoLocal};
use long::Long;

/// A daemon that runs; it stops when it is dropped.
///
/// ```
/// use unavez::daemon::{Daemon, Options};
///
/// let place = tempfile::tempdir()?;
/// let options = Options {
///     listen: "127.0.0.1:0".parse()?,
///     socket: Some(place.path().join("unavezd.sock")),
///     ..Options::new(place.path().join("state"))
/// };
/// let daemon = Daemon::start(options)?;
/// println!("{}, processes at {}", daemon.address(), daemon.socket().display());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Daemon {
    door: Arc<Door>,
    wakes: Wakes,
    threads: Vec<JoinHandle<()>>,
    id: SiteId,
    epoch: Epoch,
    address: SocketAddr,
    socket: PathBuf,
    pid: PathBuf,
    _life: Life,
}

/// How a daemon is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens: an address that other hosts can reach.
    pub listen: SocketAddr,
    /// The address that its ports bear, if clients reach it by another one than it listens at.
    pub advertise: Option<SocketAddr>,
    /// Where it keeps who it is, how many lives it had (R7), and which queues it made.
    pub state: PathBuf,
    /// Where processes come to be attached. By default `$UNAVEZ_SOCKET`; else in `/run/unavez`, if this
    /// is root's or that directory its user's; else in `$XDG_RUNTIME_DIR/unavez` or in
    /// `/tmp/unavez-<user number>`.
    pub socket: Option<PathBuf>,
    /// Whose processes may be attached, beside its own user's and root's.
    pub allow_users: Vec<u32>,
    /// The groups whose members' processes may be.
    pub allow_groups: Vec<u32>,
    /// How many processes are attached at most. Each takes three descriptors; less are, if the limit of
    /// these is lower.
    pub processes_max: usize,
    /// How many calls of one process are open at most. By default an eighth of what a site has, so that
    /// one process does not take them all.
    pub process_calls_max: u32,
    /// How many bytes the daemon holds at most of the long messages of one process: of those that have
    /// come by half, of requests that have not ended, and of what waits until the process reads, of each.
    /// (At least as many as the longest message has.)
    pub process_bytes_max: usize,
    /// How many it holds of all of them; no user's processes may have more than is left for the others.
    /// (At least twice as many.) What there is no room for is refused; a call whose reply comes too late
    /// for it ends as [`crate::protocol::Unknown::ReplyTooBig`].
    pub bytes_max: usize,
    /// What the protocol is tuned by.
    pub config: Config,
    /// A worse network, to try things on.
    pub link: Option<Link>,
}

/// What wakes the threads for the last time.
#[derive(Debug)]
struct Wakes {
    receive: (Arc<Socket>, Arc<Bell>),
    io_local: OwnedFd,
}

impl Options {
    /// With this state directory, and all else by default.
    pub fn new(state: impl Into<PathBuf>) -> Options {
        Options {
            listen: ([0, 0, 0, 0], 7373).into(),
            advertise: None,
            state: state.into(),
            socket: None,
            allow_users: Vec::new(),
            allow_groups: Vec::new(),
            processes_max: 4096,
            process_calls_max: 16_384,
            process_bytes_max: 128 << 20,
            bytes_max: 1 << 30,
            config: Config::default(),
            link: None,
        }
    }
}

impl Daemon {
    /// Begins the next life of the site with this state directory, and removes what an earlier one left.
    ///
    /// # Errors
    /// The state directory is another site's, damaged or cannot be written; one of the addresses cannot
    /// be listened at; the kernel has no socket or no thread left.
    ///
    /// # Panics
    /// The configuration contradicts itself.
    pub fn start(options: Options) -> io::Result<Daemon> {
        let message_max = options.config.message_max;
        Daemon::start_with(options, message_max)
    }

    /// With bodies of such a length, whatever the protocol takes.
    fn start_with(options: Options, message_max: usize) -> io::Result<Daemon> {
        let Options { listen, advertise, state, config, link, .. } = options;
        let life = Life::begin(Some(&state))?;
        let pid = note_pid(&state)?;
        noted::clean(&state)?;
        let udp = Socket::bind(listen)
            .map_err(|error| io::Error::new(error.kind(), format!("{listen}: {error}")))?;
        let udp = Arc::new(udp);
        let address = advertise.map_or_else(|| udp.address(), Ok)?;
        let listener = Listener::bind(&options.socket.unwrap_or_else(path::listen))?;
        let (id, epoch, socket) = (life.site, life.epoch, listener.path().to_owned());

        let mut site = Site::new(clock::now(), config, id, epoch, state::random()?);
        let trace = Trace::new(id, false);
        site.set_trace(trace.wants_notes());
        site.set_room(udp.room());
        let network = Network::new(Arc::clone(&udp), link, trace);
        let long = Long::new(message_max, options.process_bytes_max, options.bytes_max);
        let terms = Terms {
            calls_max: options.process_calls_max,
            takes_max: limits::TAKES_MAX,
            patience_default: config.patience_default,
            message_max: message_max as u32,
            long_bytes_max: long.process_max as u64,
        };
        let mut inside = Inside::new(site, network, options.process_calls_max);
        inside.long = long;
        let door = Arc::new(Door::new(inside));
        let guests = Guests {
            welcome: Welcome { site: id, epoch, address, process: 0, queues: None, terms },
            state,
            sysv: queues::check_limits().is_ok(),
            users: [vec![0, geteuid().as_raw()], options.allow_users].concat(),
            groups: options.allow_groups,
            processes_max: processes_max(options.processes_max),
        };

        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wakes = Wakes { receive: (udp, Arc::new(Bell::new()?)), io_local: eventfd(0, flags)? };
        let local = IoLocal::new(Arc::clone(&door), listener, guests, wakes.io_local.try_clone()?)?;
        let threads = Vec::new();
        let mut daemon =
            Daemon { door, wakes, threads, id, epoch, address, socket, pid, _life: life };
        // From here on whoever started is stopped if another does not start.
        let (door, wakes) = (Arc::clone(&daemon.door), daemon.wakes.receive.clone());
        daemon.spawn("Receive", move || receive::run(&door, &wakes.0, &wakes.1))?;
        let (door, wakes) = (Arc::clone(&daemon.door), daemon.wakes.receive.clone());
        daemon.spawn("Timer", move || timer::run(&door, &wakes.0, &wakes.1))?;
        daemon.spawn("I/O Local", move || local.run())?;
        Ok(daemon)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.into()).spawn(run)?);
        Ok(())
    }

    /// Where others reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where processes come to be attached.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Who it is.
    pub fn id(&self) -> SiteId {
        self.id
    }

    /// Which life of it this is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How often each thing happened.
    pub fn counters(&self) -> Counters {
        self.door.enter(|inside| inside.site.counters().clone())
    }

    /// How full its tables are.
    pub fn entries(&self) -> Entries {
        self.door.enter(|inside| inside.site.entries())
    }

    /// How many processes are attached.
    pub fn processes(&self) -> usize {
        self.door.enter(|inside| inside.processes.len())
    }
}

impl Drop for Daemon {
    /// Every call ends and every process is told, and has a moment to read it.
    fn drop(&mut self) {
        self.door.stop(limits::STOP_WAIT);
        let (socket, bell) = &self.wakes.receive;
        socket.wake(bell);
        // It is there, so it can be written to.
        let _ = rustix::io::write(&self.wakes.io_local, &1_u64.to_ne_bytes());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.pid);
    }
}

/// As many as there are descriptors for.
fn processes_max(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let possible = limit.saturating_sub(limits::OWN_DESCRIPTORS) / limits::DESCRIPTORS;
    if possible < wanted {
        tracing::warn!("at most {possible} processes, as a process may open {limit} files");
    }
    wanted.min(possible)
}

/// Whoever wants to end the daemon finds its number there. The state directory is locked.
fn note_pid(state: &Path) -> io::Result<PathBuf> {
    let file = state.join("pid");
    fs::write(&file, format!("{}\n", std::process::id()))?;
    Ok(file)
}
