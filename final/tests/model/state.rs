//! One client's process, one server's site, and the network between them, in few and small numbers.
//!
//! Invariant: time is whole ticks. A packet is delivered as often as anybody likes, in any order, until it
//! has lived for its lifetime; so loss, duplication, delay and reordering need no actions of their own.

use std::collections::{BTreeMap, BTreeSet};

/// The most calls, and numbers of a port.
pub(crate) const CALLS_MAX: usize = 3;
/// The most client ports that are drawn.
pub(crate) const PORTS_MAX: usize = 4;
/// A patience that never ends.
pub(crate) const UNLIMITED: u8 = u8::MAX;
/// How much there is of everything, how often what goes wrong, and which rules are broken.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) calls: u8,
    pub(crate) packet_lifetime: u8,
    pub(crate) rto: u8,
    pub(crate) attempts_max: u8,
    pub(crate) patience: u8,
    /// How long a caller waits for ABORTED (R13).
    pub(crate) certain_wait: u8,
    pub(crate) heartbeat_every: u8,
    pub(crate) heartbeats_missed_max: u8,
    pub(crate) resends_max: u8,
    pub(crate) reply_lifetime: u8,
    pub(crate) evict_after: u8,
    pub(crate) window: u8,
    /// The server may raise the window once (R26).
    pub(crate) window_grows: bool,
    /// The service takes long enough for WORKING (R27).
    pub(crate) slow_service: bool,
    /// A reply is longer than three times the request (R36).
    pub(crate) long_replies: bool,
    pub(crate) faults: Faults,
    pub(crate) broken: &'static [Broken],
}

/// How often something goes wrong, at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// The client's machine sleeps: its timers stop, its socket buffer does not.
    pub(crate) pauses: u8,
    /// The server's receive queue is not read, while its clock runs on.
    pub(crate) stalls: u8,
    pub(crate) restarts: u8,
    /// The server's process dies under its living site.
    pub(crate) deaths: u8,
    pub(crate) busies: u8,
    /// Strangers that must show a token.
    pub(crate) challenges: u8,
    pub(crate) evictions: u8,
    /// The filter of evicted clients knows a stranger.
    pub(crate) false_positives: u8,
    /// The server marks what is queued: its patience is over there, or its client silent (R21, R30).
    pub(crate) marks: u8,
}

/// A rule left out or read wrongly, to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    FloorPassesOpenCalls,
    DuplicateHasNoBit,
    BelowTheFloorIsRun,
    ForgottenProves,
    NoCallIsSentAgain,
    PortIsCheckedFirst,
    QueuedUntilAnswered,
    ForgetsBeforeDraining,
    ClientIgnoresItsWindow,
    DeathMeansNotRun,
    SiteVouchesForTheDead,
    StaleAlwaysProves,
    FreshAtOnce,
    FreshWhenHandled,
    AbortForAnyLife,
    ClosedAlwaysProves,
    ClosedProvesIfSentOnce,
    ClosedProvesAfterWorking,
    ClosedProvesForThePort,
    HeartbeatIsEchoed,
    AbortIsEchoed,
    TombstoneIsRebuilt,
    AbortRebuildsTombstone,
    EvictedAbortSaysNotRun,
    FilterIsAskedFirst,
    FilterFades,
    ChallengedCopyIsNotCounted,
    EachChallengeIsHeeded,
    TokensAreNeverValid,
    AbortLeavesNoMark,
    AbortHasNoFloor,
    BeyondTheWindowProves,
    /// No fault: one client port for all lives of a server, as R9 was written.
    OnePortForAllLives,
}

/// What a call is called on the wire: the client's port and number, the server's life (R9, R10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) port: u8,
    pub(crate) number: u8,
    pub(crate) epoch: u8,
}

/// Fields are those of the core's wire format that the rules speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Packet {
    Request { name: Name, floor: u8, attempt: u8, token: bool },
    Heartbeat { name: Name, attempt: u8, token: bool },
    Abort { name: Name, floor: u8, attempt: u8 },
    Reply { name: Name },
    Working { name: Name },
    NoCall { name: Name },
    Busy { name: Name },
    Stale { name: Name, present: u8, attempt: u8, fresh: bool },
    Refused { name: Name, reason: Reason, attempt: u8 },
    Aborted { name: Name, fate: Fate },
    Challenge { name: Name, attempt: u8 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Marked: no such port, expired, aborted, orphaned, or its process died before it began.
    NotRun,
    /// Its process died while it served.
    Died,
    Forgotten,
    PortClosed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fate {
    NotRun,
    Stopping,
    Maybe,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) server: Server,
    /// How long each packet still lives.
    pub(crate) network: BTreeMap<Packet, u8>,
    /// How often the service ran, for each call.
    pub(crate) executed: [u8; CALLS_MAX],
    /// What went wrong so far.
    pub(crate) spent: Faults,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    pub(crate) calls: Vec<Call>,
    pub(crate) ports: [ClientPort; PORTS_MAX],
    /// New calls leave by this one.
    pub(crate) current: u8,
    /// The server's life, as far as it is known.
    pub(crate) server_epoch: u8,
    pub(crate) paused: bool,
    /// What came while it was paused.
    pub(crate) inbox: BTreeSet<Packet>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct ClientPort {
    /// The life that it is for; 0 is none yet.
    pub(crate) epoch: u8,
    pub(crate) next: u8,
    pub(crate) closed: bool,
    pub(crate) token: bool,
    /// Whose each number is.
    pub(crate) owners: [u8; CALLS_MAX],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) stage: Stage,
    pub(crate) name: Name,
    /// The newest copy.
    pub(crate) attempt: u8,
    /// Ticks until the next copy or heartbeat, until the patience ends, since it began.
    pub(crate) due: u8,
    pub(crate) patience: u8,
    pub(crate) age: u8,
    pub(crate) resends: u8,
    pub(crate) challenged: bool,
    pub(crate) worked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    New,
    Sent,
    Working { missed: u8 },
    Aborting,
    Ended(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Reply,
    NotExecuted,
    Unknown(Unknown),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Unknown {
    TimedOut,
    ServerUnreachable,
    ServerDied,
    ServerRestarted,
    Forgotten,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) epoch: u8,
    pub(crate) age: u8,
    pub(crate) tombstones: [Option<Tombstone>; PORTS_MAX],
    pub(crate) evicted: [bool; PORTS_MAX],
    /// Its process died, and its port with it.
    pub(crate) port_dead: bool,
    pub(crate) window_grown: bool,
    pub(crate) stalled: bool,
    /// What waits to be read, and how old the epoch was when it came.
    pub(crate) inbox: BTreeMap<Packet, u8>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tombstone {
    pub(crate) floor: u8,
    pub(crate) records: [Record; CALLS_MAX],
    /// The newest attempt of each, kept where a CHALLENGE may echo it.
    pub(crate) attempts: [u8; CALLS_MAX],
    /// Ticks since the client was heard.
    pub(crate) idle: u8,
    /// Its address is validated.
    pub(crate) token: bool,
}

/// What is known of a number; what is over is kept for so many ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Record {
    #[default]
    Unseen,
    Queued,
    /// Taken by a process, of which the site knows nothing: only if a rule is broken.
    SecretlyServing,
    Serving,
    Replied(u8),
    Marked(u8),
    Died(u8),
    /// Only its bit is left.
    Forgotten,
}

impl Config {
    /// An epoch so old is fresh, and older ones are no different (R29).
    pub(crate) fn fresh_age(&self) -> u8 {
        self.packet_lifetime + 1
    }

    pub(crate) fn breaks(&self, rule: Broken) -> bool {
        self.broken.contains(&rule)
    }
}

impl Packet {
    pub(crate) fn name(&self) -> Name {
        match *self {
            Packet::Request { name, .. }
            | Packet::Heartbeat { name, .. }
            | Packet::Abort { name, .. }
            | Packet::Reply { name }
            | Packet::Working { name }
            | Packet::NoCall { name }
            | Packet::Busy { name }
            | Packet::Stale { name, .. }
            | Packet::Refused { name, .. }
            | Packet::Aborted { name, .. }
            | Packet::Challenge { name, .. } => name,
        }
    }

    pub(crate) fn is_to_server(&self) -> bool {
        matches!(self, Packet::Request { .. } | Packet::Heartbeat { .. } | Packet::Abort { .. })
    }
}

impl World {
    pub(crate) fn new(config: &Config) -> World {
        let mut ports = [ClientPort::default(); PORTS_MAX];
        ports[0].epoch = 1;
        World {
            client: Client {
                calls: vec![Call::NEW; config.calls.into()],
                ports,
                current: 0,
                server_epoch: 1,
                paused: false,
                inbox: BTreeSet::new(),
            },
            server: Server::new(1, config.fresh_age()),
            network: BTreeMap::new(),
            executed: [0; CALLS_MAX],
            spent: Faults::default(),
        }
    }

    pub(crate) fn send(&mut self, config: &Config, packet: Packet) {
        self.network.insert(packet, config.packet_lifetime);
    }
}

impl Server {
    pub(crate) fn new(epoch: u8, age: u8) -> Server {
        Server {
            epoch,
            age,
            tombstones: [None; PORTS_MAX],
            evicted: [false; PORTS_MAX],
            port_dead: false,
            window_grown: false,
            stalled: false,
            inbox: BTreeMap::new(),
        }
    }
}

impl Call {
    pub(crate) const NEW: Call = Call {
        stage: Stage::New,
        name: Name { port: 0, number: 0, epoch: 0 },
        attempt: 0,
        due: 0,
        patience: 0,
        age: 0,
        resends: 0,
        challenged: false,
        worked: false,
    };
}

impl Stage {
    pub(crate) fn is_open(self) -> bool {
        !matches!(self, Stage::New | Stage::Ended(_))
    }
}

impl Record {
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Record::Queued | Record::SecretlyServing | Record::Serving)
    }
}
