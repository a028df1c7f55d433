//! The core on the bench of the book, in four setups.
//!
//! Invariant: all that is drawn at random elsewhere is fixed here, so a fault plan determines a run.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::{Node, Time};
use unavez::protocol::{
    Action, BODY_MAX, Call, CallId, Config, Epoch, Flags, IpcPort, Kind, Note, Now, Outcome,
    Packet, ProcessId, Request, ServerId, ServerPort, Site, SiteId, SiteReply, SiteRequest, Target,
    packets,
};

/// What a run is about, besides its faults.
pub(crate) trait Setup {
    /// The clients know the service by its name, not by its port.
    const BY_NAME: bool = false;
    /// How long callers wait.
    const PATIENCE: Duration = Duration::from_secs(30);
    /// Properties of all calls.
    const FLAGS: Flags = Flags::NONE;

    /// What all sites are tuned by.
    fn config() -> Config {
        // An hour of memory for silent clients would not fit the column of a trace.
        let ten_minutes = Duration::from_secs(600);
        Config { port_life_max: ten_minutes, ..Config::default() }
    }
}

/// As it comes; the clients know the server's port, as step 4 does.
#[derive(Debug)]
pub(crate) struct Usual;

/// The clients ask for the bank by its name.
#[derive(Debug)]
pub(crate) struct ByName;

/// Callers who wait 300 ms, and then want to know what became of it.
#[derive(Debug)]
pub(crate) struct Hurried;

/// Room for three clients and three calls, and a short memory.
#[derive(Debug)]
pub(crate) struct Small;

impl Setup for Usual {}

impl Setup for ByName {
    const BY_NAME: bool = true;
}

impl Setup for Hurried {
    const PATIENCE: Duration = Duration::from_millis(300);
    const FLAGS: Flags = Flags::CERTAIN;
}

impl Setup for Small {
    fn config() -> Config {
        Config {
            clients_max: 3,
            records_max: 3,
            port_life: Duration::from_secs(60),
            port_life_max: Duration::from_secs(120),
            ..Config::lan()
        }
    }
}

/// A site on the bench. What is ready at the same moment still travels in datagrams of its own, so
/// that a fault plan can pick it.
#[derive(Debug)]
pub(crate) struct Core<S> {
    site: Site,
    now: Now,
    /// The lives of servers that are known not to be the first.
    lives: BTreeMap<SocketAddr, Epoch>,
    setup: PhantomData<S>,
}

/// Names a call at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Where it was made.
    Asked(Call),
    /// Where it is served.
    Served(CallId),
}

const PROCESS: ProcessId = ProcessId(1);
/// The first that a site opens.
const PORT: ServerPort = ServerPort(1);
const NAME: &str = "bank";

impl<S: Setup> Node for Core<S> {
    type Call = Name;

    fn start(life: u32) -> Self {
        Self::start_at(life, Time::ZERO, ([10, 0, 0, 1], 7373).into())
    }

    fn start_at(life: u32, now: Time, me: SocketAddr) -> Self {
        let (now, id) = (both(now), site_at(me));
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&id.0.to_be_bytes());
        seed[8..12].copy_from_slice(&life.to_be_bytes());
        let mut site = Site::new(now, S::config(), id, epoch(life), seed);
        site.set_trace(true);
        let port = site.open_port(PROCESS).expect("it is the first");
        site.register(NAME, port).expect("the name is free");
        Core { site, now, lives: BTreeMap::new(), setup: PhantomData }
    }

    fn send_request(&mut self, now: Time, to: SocketAddr, body: &[u8]) -> Result<Name, String> {
        self.now = both(now);
        let epoch = self.lives.get(&to).copied().unwrap_or(epoch(1));
        let server = ServerId { site: site_at(to), epoch, port: PORT };
        let target = match S::BY_NAME {
            true => Target::Name { at: to, name: NAME.into() },
            false => Target::Port(IpcPort { address: to, server }),
        };
        let request = Request {
            body: body.to_vec().into(),
            flags: S::FLAGS,
            patience: Some(S::PATIENCE),
            max_reply: BODY_MAX as u32,
        };
        let call = self.site.send_request(self.now, PROCESS, &target, request);
        call.map(Name::Asked).map_err(|error| error.to_string())
    }

    fn send_reply(&mut self, now: Time, call: Name, body: &[u8]) {
        self.now = both(now);
        let Name::Served(call) = call else { return };
        // It may have been given up meanwhile; then nobody waits for it.
        let _ = self.site.send_reply(self.now, PORT, call, body.to_vec().into());
    }

    fn handle_packet(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        // The bench has no buffer: all that came before this moment was handled (R23, R29).
        self.site.handle_drained(both(now.saturating_sub(Time::from_nanos(1))));
        self.now = both(now);
        for packet in packets(datagram).flatten() {
            if let Kind::Stale { present, .. } = packet.kind {
                self.lives.insert(from, present);
            }
        }
        self.site.handle_datagram(self.now, from, datagram);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.now = both(now);
        // And before the bench looks at a deadline, all that came by then.
        self.site.handle_drained(self.now);
        self.site.handle_timeout(self.now);
    }

    fn poll_action(&mut self) -> Option<lab::Action<Name>> {
        loop {
            return Some(match self.site.poll_action()? {
                Action::Send { to, packet } => {
                    let mut datagram = Vec::new();
                    packet.encode(&mut datagram);
                    lab::Action::Send { to, label: label(packet), datagram }
                }
                // Nobody says anything long here.
                Action::Fragment { .. } | Action::Path { .. } => continue,
                Action::Ready { port } => match self.site.take_request(self.now, port) {
                    Some(incoming) => lab::Action::Request {
                        call: Name::Served(incoming.call),
                        body: incoming.body.to_vec(),
                    },
                    None => continue,
                },
                Action::End { call, outcome, .. } => end(Name::Asked(call), outcome),
                Action::Note(note) if is_hidden(note) => lab::Action::Note(note.to_string()),
                // The bank does not stop once it has begun.
                Action::Note(_) | Action::Cancelled { .. } => continue,
            });
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.site.deadline()
    }

    fn entries(&self) -> usize {
        let held = self.site.entries();
        held.calls + held.client_ports + held.records + held.tombstones + held.timers
    }
}

/// Here nothing sleeps with one clock running.
fn both(now: Time) -> Now {
    Now { running: now, boot: now }
}

fn site_at(address: SocketAddr) -> SiteId {
    SiteId(match address.ip() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits() as u64,
    })
}

fn epoch(life: u32) -> Epoch {
    Epoch { counter: life, random: 0 }
}

fn end(call: Name, outcome: Outcome) -> lab::Action<Name> {
    match outcome {
        Outcome::Reply(body) => lab::Action::Reply { call, body: body.to_vec() },
        Outcome::NotExecuted(why) => {
            lab::Action::NotExecuted { call, why: format!("not executed: {why}") }
        }
        Outcome::Unknown(why) => lab::Action::Failed { call, why: format!("unknown: {why}") },
    }
}

/// The packet's line; what sites say to each other is shown as a person would say it.
fn label(mut packet: Packet) -> String {
    if packet.server.port == ServerPort(0) {
        let body = match packet.kind {
            Kind::Request { .. } => SiteRequest::decode(&packet.body).map(|it| match it {
                SiteRequest::Resolve(name) => format!("who is {name}?"),
                other => format!("{other:?}"),
            }),
            _ => SiteReply::decode(&packet.body).map(|it| match it {
                SiteReply::Resolved(Some(server)) => {
                    format!("port {} of e{}", server.port.0, server.epoch.counter)
                }
                other => format!("{other:?}"),
            }),
        };
        packet.body = body.unwrap_or_default().into();
    }
    packet.to_string()
}

/// Whether no packet and no end of a call shows it.
fn is_hidden(note: Note) -> bool {
    !matches!(
        note,
        Note::Called
            | Note::Replied
            | Note::NotExecuted
            | Note::Unknown
            | Note::Retransmitted
            | Note::Heartbeat
            | Note::Challenged
            | Note::Executed
            | Note::SiteAnswered
            | Note::ClosedRefused
            | Note::Stale
            | Note::OtherSite
            | Note::Busy
            | Note::ChallengeSent
            | Note::NoSuchPort
    )
}
