//! A scenario: who asks whom for what, and what goes wrong.
//!
//! Invariant: a scenario and a core determine the run, byte for byte.

use std::fmt;
use std::time::Duration;

use unavez::protocol::{Config, Flags};

/// All that a run follows from.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// How all sites are tuned.
    pub config: Config,
    /// The sites; the first is `A`.
    pub hosts: Vec<HostPlan>,
    /// What is asked, in the order in which it is numbered.
    pub calls: Vec<CallPlan>,
    /// What goes wrong for certain.
    pub faults: Vec<Fault>,
    /// What goes wrong by chance.
    pub weather: Weather,
    /// What must hold besides the promise.
    pub demands: Demands,
}

/// A site and its processes.
#[derive(Debug, Clone, Default)]
pub struct HostPlan {
    /// By how many parts of a million its clocks are fast.
    pub drift_ppm: i64,
    /// How many datagrams it reads at a time; 0 is all that came.
    pub batch: usize,
    /// How many processes ask.
    pub clients: usize,
    /// One process each, with one port and one name.
    pub services: Vec<ServicePlan>,
}

/// A process that serves.
#[derive(Debug, Clone, Copy)]
pub struct ServicePlan {
    /// How long it leaves a request in its channel.
    pub take_after: Duration,
    /// How many requests it has in hand at most.
    pub hands: usize,
}

/// One call.
#[derive(Debug, Clone)]
pub struct CallPlan {
    /// When it is made.
    pub at: Duration,
    /// By which process of which site.
    pub from: (usize, usize),
    /// To which service of which site.
    pub to: (usize, usize),
    /// Through its name instead of its port.
    pub by_name: bool,
    /// Through a port that was published so many lives of the process ago.
    pub old: usize,
    /// Its properties.
    pub flags: Flags,
    /// How long the caller waits.
    pub patience: Option<Duration>,
    /// The longest reply it takes.
    pub max_reply: u32,
    /// How long its body is, in bytes.
    pub size: usize,
    /// How long the answer is, in bytes.
    pub reply: usize,
    /// How long the service takes.
    pub service: Duration,
    /// Whether the service stops early when it hears that nobody waits.
    pub heeds: bool,
    /// After how long the caller calls it off.
    pub cancel: Option<Duration>,
}

/// One thing that goes wrong for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The network does this to the `n`th datagram, from 1.
    Packet(u32, Fate),
    /// This befalls a site.
    Host(When, usize, Mishap),
}

/// What the network does to a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Drop,
    /// A copy arrives, so long after it was sent.
    Double(Duration),
    /// It arrives so long after it was sent.
    Delay(Duration),
    /// The kernel refuses to send it; maybe because an earlier one met nobody.
    Unsent(bool),
}

/// When a mishap strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At this time.
    At(Duration),
    /// Just before the `n`th event, from 1.
    Event(u32),
}

/// What befalls a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It loses its memory and comes back so much later.
    Crash(Duration),
    /// It stands still for so long.
    Freeze(Freeze, Duration),
    /// It stands still for so long the next time that it has read all that came.
    FreezeReading(Freeze, Duration),
    /// The process behind this service dies and comes back so much later.
    ServerDies(usize, Duration),
    /// The process behind this service closes its port and opens another.
    Reopens(usize),
    /// This process that asks dies; another takes its place.
    ClientDies(usize),
    /// Nothing goes in or out for so long.
    Cut(Duration),
    /// It changes addresses with that site.
    Swap(usize),
    /// It is found at another address from now on.
    Move,
}

/// Which clocks stand still with the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeze {
    /// Both: its hypervisor paused it.
    Pause,
    /// The running one: it sleeps.
    Suspend,
    /// None: its process was stopped.
    Stall,
}

/// What the network does by chance, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Where the chances come from.
    pub seed: u64,
    /// The least that a datagram takes.
    pub latency: Duration,
    /// By how much more, usually.
    pub jitter: Duration,
    /// That it is lost.
    pub loss: u32,
    /// That one to three more copies arrive.
    pub double: u32,
    /// That a copy takes up to its lifetime.
    pub late: u32,
    /// That a bit of it turns.
    pub damage: u32,
    /// That the kernel refuses to send it.
    pub unsent: u32,
    /// How large datagrams leave a site, as it knows, in bytes, if that is more than what every network
    /// carries.
    pub leaves: usize,
    /// How large ones the network carries, in bytes, if that is more.
    pub passes: usize,
}

/// What must hold besides the promise, where it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demands {
    /// Every call ends with a reply.
    pub replies: bool,
    /// What it costs if nothing goes wrong.
    pub calm: Option<Calm>,
    /// No call ends because the server has forgotten it: no client stood still or was cut off.
    pub remembered: bool,
}

/// What a scenario without faults costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calm {
    /// So many datagrams at most (R4).
    pub datagrams_max: u32,
    /// So many records at most, at any time (R24).
    pub records_max: usize,
}

impl Scenario {
    /// Sites with nothing to do on a network without faults, 5 ms wide.
    pub fn new(config: Config, hosts: Vec<HostPlan>) -> Scenario {
        let latency = Duration::from_millis(5);
        let weather = Weather { latency, ..Weather::default() };
        let (calls, faults, demands) = (Vec::new(), Vec::new(), Demands::default());
        Scenario { config, hosts, calls, faults, weather, demands }
    }

    /// The same, and one more fault.
    #[must_use]
    pub fn and(&self, fault: Fault) -> Scenario {
        let mut scenario = self.clone();
        scenario.faults.push(fault);
        scenario
    }
}

impl Default for ServicePlan {
    fn default() -> Self {
        ServicePlan { take_after: Duration::ZERO, hands: usize::MAX }
    }
}

impl Default for CallPlan {
    fn default() -> Self {
        CallPlan {
            at: Duration::ZERO,
            from: (0, 0),
            to: (1, 0),
            by_name: false,
            old: 0,
            flags: Flags::NONE,
            patience: Some(Duration::from_secs(2)),
            max_reply: 1000,
            size: 0,
            reply: 0,
            service: Duration::ZERO,
            heeds: false,
            cancel: None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::Packet(number, Fate::Drop) => write!(f, "drop datagram {number}"),
            Fault::Packet(number, Fate::Double(at)) => {
                write!(f, "double datagram {number}, the copy after {at:?}")
            }
            Fault::Packet(number, Fate::Delay(at)) => {
                write!(f, "delay datagram {number} by {at:?}")
            }
            Fault::Packet(number, Fate::Unsent(_)) => write!(f, "datagram {number} is not sent"),
            Fault::Host(When::At(at), host, what) => {
                write!(f, "{} {what:?} at {at:?}", host_name(*host))
            }
            Fault::Host(When::Event(event), host, what) => {
                write!(f, "{} {what:?} before event {event}", host_name(*host))
            }
        }
    }
}

/// A site's letter.
pub(crate) fn host_name(host: usize) -> char {
    char::from(b'A' + host.min(25) as u8)
}
