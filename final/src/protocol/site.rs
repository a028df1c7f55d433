//! Both halves together: events in, actions out, a deadline.
//!
//! Invariant: one event, then [`Site::poll_action`] until `None`, and only then the next.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::config::Config;
use super::datagram::{Piece, pieces};
use super::effects::Effects;
use super::fragments::Fragment;
use super::ids::{CallId, Epoch, IpcPort, ServerPort, SiteId};
use super::kind::Flags;
use super::note::{Counters, Note};
use super::outcome::{Outcome, SendError, Unknown};
use super::server::Server;
use super::timers::Timer;
use super::wire::Packet;

/// A moment, as the time since an origin that the driver chooses, the same for all events.
pub type Time = Duration;

/// A moment by the two clocks that the protocol needs: each side uses the one that errs on its safe
/// side when the machine sleeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Running time: stands still while the machine sleeps (CLOCK_MONOTONIC). Timers and lifetimes.
    pub running: Time,
    /// Time with sleep (CLOCK_BOOTTIME). A caller's patience (R14).
    pub boot: Time,
}

/// Names a process of this site. The greatest number is the site's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId(pub u64);

/// Names a call at the site that makes it, through all its tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call(pub u64);

/// Whom a call is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    /// This port, in this life of its site.
    Port(IpcPort),
    /// Whoever serves under this name at the site there, in whichever life (R29).
    Name {
        /// Where the site listens.
        at: SocketAddr,
        /// The name that it was registered under.
        name: String,
    },
}

/// What a process asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// At most [`Config::message_max`] bytes.
    pub body: Bytes,
    /// Properties of the call.
    pub flags: Flags,
    /// How long the caller waits; `None` is as long as the server says that it is at work (R13).
    pub patience: Option<Duration>,
    /// The longest reply that the caller takes, in bytes.
    pub max_reply: u32,
}

/// A request in the hands of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Names it in the reply.
    pub call: CallId,
    /// What is asked.
    pub body: Bytes,
    /// Properties of the call.
    pub flags: Flags,
    /// How long the caller still waits; `None` is without end.
    pub patience: Option<Duration>,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this packet; it may get lost.
    Send {
        /// Where to.
        to: SocketAddr,
        /// What.
        packet: Packet,
    },
    /// Send this piece of a large message; it may get lost.
    Fragment {
        /// Where to.
        to: SocketAddr,
        /// What.
        fragment: Fragment,
    },
    /// A large message is to go there: say with [`Site::handle_path`] how large datagrams may leave, or
    /// it waits.
    Path {
        /// Where to.
        to: SocketAddr,
    },
    /// Tell a process how its call ended; may not get lost (R19).
    End {
        /// Whose.
        process: ProcessId,
        /// Which.
        call: Call,
        /// How.
        outcome: Outcome,
    },
    /// A request waits at this port: [`Site::take_request`].
    Ready {
        /// Where.
        port: ServerPort,
    },
    /// This call, which the process has in hand, is not wanted any more (R30, R38).
    Cancelled {
        /// Where.
        port: ServerPort,
        /// Which.
        call: CallId,
    },
    /// Nothing to do: something happened that no packet shows. Only if [`Site::set_trace`] is on.
    Note(Note),
}

/// One host's part in the protocol: it asks, and it answers.
///
/// ```
/// use std::time::Duration;
/// use unavez::protocol::{Action, Config, Epoch, Flags, IpcPort, Now, ProcessId, Request, Site};
/// use unavez::protocol::{SiteId, Target};
///
/// let epoch = Epoch { counter: 1, random: 0x5eed };
/// let mut site = Site::new(Now::default(), Config::default(), SiteId(7), epoch, [1; 32]);
/// let server: IpcPort = "127.0.0.1:7373/00c0ffee00c0ffee/4-0badcafe/2".parse().unwrap();
/// let patience = Some(Duration::from_secs(2));
/// let request = Request { body: "debit 10".into(), flags: Flags::NONE, patience, max_reply: 100 };
/// site.send_request(Now::default(), ProcessId(1), &Target::Port(server), request).unwrap();
/// let Some(Action::Send { to, packet }) = site.poll_action() else { panic!() };
/// assert_eq!(to, server.address);
/// assert!(packet.to_string().ends_with(r#"to e4 "debit 10", patience 2000 ms"#));
/// assert_eq!(site.poll_action(), None);
/// ```
#[derive(Debug)]
pub struct Site {
    id: SiteId,
    epoch: Epoch,
    client: Client,
    server: Server,
    out: Effects,
}

impl Site {
    /// A life of a site, with nothing going on. The seed must not be guessable (R8).
    ///
    /// # Panics
    /// The configuration contradicts itself.
    pub fn new(now: Now, config: Config, id: SiteId, epoch: Epoch, seed: [u8; 32]) -> Self {
        let config = config.check();
        let mut out = Effects::new(now, config, seed);
        Site {
            id,
            epoch,
            client: Client::new(config, id, epoch),
            server: Server::new(config, id, epoch, &mut out),
            out,
        }
    }

    /// Whether actions hold notes; counted they are in any case.
    pub fn set_trace(&mut self, on: bool) {
        self.out.trace = on;
    }

    // ---- processes that ask

    /// A process asks; the call ends with an [`Action::End`], always.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn send_request(
        &mut self,
        now: Now,
        process: ProcessId,
        target: &Target,
        request: Request,
    ) -> Result<Call, SendError> {
        self.out.now = now;
        self.client.send_request(process, target, request, &mut self.out)
    }

    /// Calls a call off: it ends at once, or, if it was declared [`Flags::CERTAIN`], when it is known
    /// what became of it (R37). Nothing happens if it has ended.
    pub fn cancel(&mut self, now: Now, call: Call) {
        self.out.now = now;
        self.client.call_off(call, Unknown::Cancelled, &mut self.out);
    }

    // ---- processes that serve

    /// Opens a port for a process.
    ///
    /// # Errors
    /// There are too many.
    pub fn open_port(&mut self, process: ProcessId) -> Result<ServerPort, SendError> {
        self.server.open_port(process)
    }

    /// Closes a port: what was not begun there never will be, what is in service ends as by the death
    /// of its process (R28).
    pub fn close_port(&mut self, now: Now, port: ServerPort) {
        self.out.now = now;
        self.server.close_port(port, &mut self.out);
    }

    /// Registers a name for a port; it goes with the port.
    ///
    /// # Errors
    /// The name is taken, empty or too long, or the port is not open.
    pub fn register(&mut self, name: &str, port: ServerPort) -> Result<(), SendError> {
        self.server.register(name, port)
    }

    /// The next request at a port. From here on it counts as run (R20).
    pub fn take_request(&mut self, now: Now, port: ServerPort) -> Option<Incoming> {
        self.out.now = now;
        self.server.take_request(port, &mut self.out)
    }

    /// The service answers a request that it took.
    ///
    /// # Errors
    /// It is not in this port's hands: unknown, answered already, or the port was closed.
    pub fn send_reply(
        &mut self,
        now: Now,
        port: ServerPort,
        call: CallId,
        body: Bytes,
    ) -> Result<(), SendError> {
        self.out.now = now;
        self.server.send_reply(port, call, body, &mut self.out)
    }

    /// A process died or left: its ports close, its calls are called off (R16, R28).
    pub fn end_process(&mut self, now: Now, process: ProcessId) {
        self.out.now = now;
        self.server.close_ports_of(process, &mut self.out);
        self.client.end_process(process, &mut self.out);
    }

    // ---- the network and the clock

    /// A datagram came, from anybody and with any bytes.
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) {
        self.out.now = now;
        for piece in pieces(datagram) {
            match piece {
                Ok(Piece::Packet(packet)) if packet.kind.is_to_server() => {
                    self.server.handle(from, packet, &mut self.out);
                }
                Ok(Piece::Packet(packet)) => self.client.handle(packet, &mut self.out),
                Ok(Piece::Fragment(fragment)) => self.handle_fragment(&fragment),
                Err(_) => self.out.note(Note::Malformed),
            }
        }
    }

    fn handle_fragment(&mut self, fragment: &Fragment<&[u8]>) {
        let known = self.client.handle_fragment(fragment, &mut self.out)
            || self.server.handle_fragment(fragment, &mut self.out);
        if !known {
            self.out.note(Note::StrayFragment);
        }
    }

    /// Says how large datagrams may leave for there, in bytes, up to [`super::DATAGRAM_LARGEST`]; and
    /// whether it is certain that they arrive, as they do within this machine. If it is not, they are
    /// tried (R40).
    pub fn handle_path(&mut self, now: Now, to: SocketAddr, datagram: usize, certain: bool) {
        self.out.now = now;
        self.out.handle_path(to, datagram, certain);
    }

    /// The kernel refused to send a fragment there because it is too large.
    pub fn handle_too_large(&mut self, to: SocketAddr) {
        self.out.handle_too_large(to);
    }

    /// How many bytes the socket's buffer takes at once: senders that are near do not exceed it.
    pub fn set_room(&mut self, bytes: usize) {
        self.out.room = bytes;
    }

    /// The kernel refused to send this packet. `refused_by_peer` if it spoke of an earlier datagram
    /// (ECONNREFUSED), which proves nothing (R3).
    pub fn handle_unsent(&mut self, packet: &Packet, refused_by_peer: bool) {
        self.client.handle_unsent(packet, refused_by_peer);
    }

    /// Every socket, and everything read from it, was found empty after this moment (R23, R29).
    pub fn handle_drained(&mut self, now: Now) {
        self.out.now = now;
        self.server.handle_drained(&mut self.out);
    }

    /// The deadline came: does all that is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.out.now = now;
        while let Some(timer) = self.out.timers.pop(now.running) {
            match timer {
                Timer::Ask(call) => self.client.handle_ask(call, &mut self.out),
                Timer::IdlePort(port) => self.client.handle_idle_port(port, &mut self.out),
                Timer::Working(call) => self.server.handle_working(call, &mut self.out),
                Timer::HalfBuilt(call) => self.server.handle_half_built(call, &mut self.out),
                Timer::Tidy(client) => self.server.handle_tidy(client, &mut self.out),
                // The driver looks at its queue before it calls this: here it was not empty, or nothing
                // had come due when it was.
                Timer::Drained => {}
                Timer::Fresh => self.server.handle_fresh(&mut self.out),
            }
        }
        self.server.ask_for_silence(&mut self.out);
    }

    /// When [`Site::handle_timeout`] is next wanted, in running time; `None` is never. The driver
    /// reads what has arrived first, calls [`Site::handle_drained`] if it came to an end, then this.
    pub fn deadline(&self) -> Option<Time> {
        self.out.timers.deadline()
    }

    /// What to do next, until `None`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.take()
    }

    // ---- what is seen of it

    /// This site.
    pub fn site(&self) -> SiteId {
        self.id
    }

    /// This life.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How often each thing happened.
    pub fn counters(&self) -> &Counters {
        &self.out.counters
    }

    /// The smoothed round trip to each site that was measured, and its variation (R11).
    pub fn round_trips(&self) -> Vec<(SiteId, Duration, Duration)> {
        self.client.round_trips()
    }

    /// How many entries its tables hold: calls open here, records, tombstones, timers.
    pub fn entries(&self) -> Entries {
        Entries {
            calls: self.client.calls(),
            client_ports: self.client.ports(),
            timers: self.out.timers.len(),
            sending: self.out.outbound.len(),
            building: self.client.building() + self.server.building(),
            ..self.server.entries()
        }
    }
}

/// How full the tables of a site are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// Calls of this site's processes that have not ended.
    pub calls: usize,
    /// Client ports of this site's processes.
    pub client_ports: usize,
    /// Calls of other sites with a record.
    pub records: usize,
    /// Bytes of requests and replies in these records.
    pub bytes: usize,
    /// Clients remembered whole.
    pub tombstones: usize,
    /// Timers armed.
    pub timers: usize,
    /// Large messages on their way out.
    pub sending: usize,
    /// Large messages half built.
    pub building: usize,
}
