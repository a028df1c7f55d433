//! A site inside the process: the default. No daemon to start, nothing to configure.
//!
//! Where the kernel can, it cuts what is sent into datagrams, and joins those that come (UDP_SEGMENT,
//! UDP_GRO). `UNAVEZ_UDP_OFFLOAD=off` in the environment keeps it from that, for a network driver that does
//! it wrong.
//!
//! Invariant: whoever sleeps here sleeps on the network's own socket.

mod core;
pub(crate) mod network;
pub(crate) mod trace;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use nix::poll::PollFlags;

pub use crate::link::Link;

use self::core::Core;
use crate::clock;
use crate::protocol::{Config, Site, Time};
use crate::site::lead::{Sleep, Sleeper};
use crate::site::{Parts, Whereabouts};
use crate::state::{self, Life};
use crate::udp::{Bell, Socket};
use network::Network;
use trace::Trace;

/// How a site is set up.
///
/// ```
/// use unavez::{Options, Site};
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

/// What a site in this process is made of.
pub(crate) fn start(options: Options) -> io::Result<Parts> {
    let Options { listen, advertise, state, config, trace, link } = options;
    let life = Life::begin(state.as_deref())?;
    let socket = Arc::new(Socket::bind(listen)?);
    let address = advertise.map_or_else(|| socket.address(), Ok)?;
    let (id, epoch, seed) = (life.site, life.epoch, state::random()?);
    let mut site = Site::new(clock::now(), config, id, epoch, seed);
    let trace = Trace::new(id, trace);
    site.set_trace(trace.wants_notes());
    site.set_room(socket.room());
    let network = Network::new(Arc::clone(&socket), link, trace);
    let sleepers = Sleepers { socket, leader: Bell::new()?, background: Bell::new()? };
    Ok(Parts {
        behind: Box::new(Core::new(site, network, config.calls_max)),
        sleep: Box::new(sleepers),
        whereabouts: Arc::new(Mutex::new(Whereabouts { id, epoch, address })),
        config,
        life: Some(life),
        meanwhile: Box::new(|_| {}),
    })
}

impl Sleep for Sleepers {
    fn now(&self) -> Time {
        clock::running()
    }

    fn sleep(&self, who: Sleeper, socket: bool, until: Option<Time>) {
        let so_long = until.map(|until| until.saturating_sub(self.now()));
        match who {
            Sleeper::Leader => self.socket.sleep(&self.leader, so_long),
            Sleeper::Background => {
                self.background
                    .sleep(socket.then(|| (self.socket.as_fd(), PollFlags::POLLIN)), so_long);
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
