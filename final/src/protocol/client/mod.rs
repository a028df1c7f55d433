//! The asking half (PROTOCOL §4): calls that have not ended.
//!
//! Invariant: a call is in `calls` from its request to its end, and whoever removes it ends it, so it
//! ends once. A number of a port names one call only, and no copy of a request leaves when the
//! patience of its caller is over.

mod answers;
mod ask;
mod fetch;
mod names;
mod route;

use super::broken::Broken;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use siphasher::sip::SipHasher13;

use super::config::Config;
use super::effects::Effects;
use super::fragments::{Building, told_apart_by};
use super::ids::{ClientId, ClientPort, Epoch, IpcPort, SiteId};
use super::kind::{Flags, Token};
use super::note::Note;
use super::outcome::{NotExecuted, Outcome, SendError, Unknown};
use super::rtt::RoundTrip;
use super::site::{Action, Call, ProcessId, Request, Target, Time};
use super::table::{NumberedSlab, Table};
use super::timers::Timer;
use names::Name;
use route::{Port, Route, RouteKey};

/// The site itself, which asks other sites for names.
const SITE: ProcessId = ProcessId(u64::MAX);
/// No server has a client ask more often, or keeps it from noticing its death for longer.
pub(super) const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
pub(super) const HEARTBEAT_MAX: Duration = Duration::from_secs(60);
/// So many sites are worth remembering.
const PEERS_MAX: usize = 65_536;
/// So many attempts back an answer still gives a sample (R12).
const SAMPLED: usize = 4;

#[derive(Debug)]
pub(crate) struct Client {
    config: Config,
    site: SiteId,
    epoch: Epoch,
    last_call: u64,
    calls: NumberedSlab<Call, Open>,
    ports: Table<ClientPort, Port>,
    routes: Table<RouteKey, Route>,
    peers: Table<PeerKey, Peer>,
    /// Ordered calls that have not ended, of each process to each site (R33).
    orders: Table<(ProcessId, SiteId), BTreeSet<Call>>,
    names: Table<(SocketAddr, String), Name>,
    /// Whose reply comes in fragments of this tag.
    fetched: Table<u64, Call>,
    /// The bytes of these replies, when they are whole.
    fetching_bytes: usize,
}

/// What is known of a site. One that is known by its address only is one for each address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct PeerKey {
    site: SiteId,
    at: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Peer {
    round_trip: RoundTrip,
    token: Token,
}

/// A call that has not ended.
#[derive(Debug)]
struct Open {
    process: ProcessId,
    name: Option<(SocketAddr, String)>,
    to: IpcPort,
    body: Bytes,
    flags: Flags,
    max_reply: u32,
    /// By the clock that does not stop when the machine sleeps (R14).
    patience_ends: Option<Time>,
    began: Time,
    /// How often it began anew (R29, R35).
    resends: u32,
    /// Copies sent since it was answered, over all its tries (R2).
    silent: u32,
    /// It heeds one challenge (R36).
    challenged: bool,
    /// An idempotent call begins anew without proof (R34): why nobody can tell of an earlier try.
    unsure: Option<Unknown>,
    /// What has come of its reply, if that is a large one.
    building: Option<Box<Building>>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Whom it is for is being asked.
    Resolving,
    /// It waits for room in its window.
    Home,
    /// Nothing was heard of it.
    Sent(Try),
    /// The server has it; so many heartbeats in a row went unanswered.
    Working { it: Try, missed: u32, period: Duration, hastened: bool },
    /// Its reply comes in pieces (R41), the last one then.
    Fetching { it: Try, heard: Time, hastened: bool },
    /// It was called off, and its caller waits to know what became of it.
    Aborting { it: Try, repeated: bool, why: Unknown },
}

/// What a call is called on the wire, and the copies sent under that name.
#[derive(Debug, Clone, Copy)]
struct Try {
    port: ClientPort,
    seq: u64,
    predecessor: u64,
    /// The newest; 0 before the first is sent.
    attempt: u32,
    sent_at: [Time; SAMPLED],
    /// When the next copy is due.
    due: Time,
    /// How many of them this site's kernel refused to send (R3).
    unsent: u32,
    /// One was refused because an earlier one met nobody: that one did leave.
    met_nobody: bool,
    /// WORKING was seen: nothing proves any more that it did not run.
    worked: bool,
}

impl Client {
    pub(crate) fn new(config: Config, site: SiteId, epoch: Epoch) -> Client {
        Client {
            config,
            site,
            epoch,
            last_call: 0,
            calls: NumberedSlab::default(),
            ports: Table::default(),
            routes: Table::default(),
            peers: Table::default(),
            orders: Table::default(),
            names: Table::default(),
            fetched: Table::default(),
            fetching_bytes: 0,
        }
    }

    pub(crate) fn send_request(
        &mut self,
        process: ProcessId,
        target: &Target,
        request: Request,
        out: &mut Effects,
    ) -> Result<Call, SendError> {
        if request.body.len() > self.config.message_max {
            return Err(SendError::TooLong);
        }
        if self.calls.len() >= self.config.calls_max {
            return Err(SendError::TooManyCalls);
        }
        let (to, name) = match target {
            Target::Port(port) => (*port, None),
            Target::Name { name, .. } if name.is_empty() || name.len() > self.config.name_max => {
                return Err(SendError::BadName);
            }
            Target::Name { at, name } => (IpcPort::site_at(*at), Some((*at, name.clone()))),
        };
        Ok(self.open(process, to, name, request, out))
    }

    fn open(
        &mut self,
        process: ProcessId,
        to: IpcPort,
        name: Option<(SocketAddr, String)>,
        request: Request,
        out: &mut Effects,
    ) -> Call {
        if process != SITE {
            out.note(Note::Called);
        }
        self.last_call += 1;
        let call = Call(self.last_call);
        self.calls.insert(
            call,
            Open {
                process,
                name,
                to,
                body: request.body,
                flags: request.flags,
                max_reply: request.max_reply,
                patience_ends: request
                    .patience
                    .filter(|_| !self.config.is_broken(Broken::PatienceEndless))
                    .map(|patience| self.waits_by(out).saturating_add(patience)),
                began: out.now.running,
                resends: 0,
                silent: 0,
                challenged: false,
                unsure: None,
                building: None,
                stage: Stage::Home,
            },
        );
        self.begin(call, out);
        call
    }

    /// Finds out whom it is for, then sends it as soon as its window has room.
    fn begin(&mut self, call: Call, out: &mut Effects) {
        if !self.resolve(call, out) {
            return self.arm(call, Time::MAX, out);
        }
        let Some(open) = self.calls.get_mut(&call) else { return };
        open.stage = Stage::Home;
        if open.flags.has(Flags::ORDERED) {
            let key = (open.process, open.to.server.site);
            self.orders.entry(key).or_default().insert(call);
        }
        let key = RouteKey::of(&self.calls[&call]);
        self.routes.entry(key).or_default().home.insert(call.0, ());
        self.leave_home(key, out);
        if self.calls.get(&call).is_some_and(|open| matches!(open.stage, Stage::Home)) {
            self.arm(call, Time::MAX, out);
        }
    }

    /// Begins anew what is proved not to have run (R29, R35), or may run again (R34).
    fn begin_anew(&mut self, call: Call, unsure: Option<Unknown>, out: &mut Effects) {
        out.note(Note::Resent);
        self.leave_port(call, out);
        if let Some(open) = self.calls.get_mut(&call) {
            open.resends += 1;
            open.unsure = open.unsure.or(unsure);
            open.stage = Stage::Home;
        }
        self.begin(call, out);
    }

    /// Arms the timer of a call for this moment, or for the end of its patience if that is sooner.
    fn arm(&self, call: Call, at: Time, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let left = open.patience_ends.map(|ends| ends.saturating_sub(self.waits_by(out)));
        let ends = match &open.stage {
            Stage::Aborting { .. } => Time::MAX,
            _ => left.map_or(Time::MAX, |left| out.now.running.saturating_add(left)),
        };
        let accepted_by = match &open.stage {
            Stage::Sent(_) | Stage::Home | Stage::Resolving if open.patience_ends.is_none() => {
                open.began + self.config.accept_max
            }
            _ => Time::MAX,
        };
        let at = at.min(ends).min(accepted_by);
        if at < Time::MAX {
            out.timers.arm(Timer::Ask(call), at);
        }
    }

    /// The clock of patience: the one that does not stop when the machine sleeps (R14).
    fn waits_by(&self, out: &Effects) -> Time {
        match self.config.is_broken(Broken::SleepUncounted) {
            true => out.now.running,
            false => out.now.boot,
        }
    }

    /// Whoever removes a call owns its outcome.
    fn end(&mut self, call: Call, outcome: Outcome, out: &mut Effects) {
        out.timers.cancel(Timer::Ask(call));
        self.leave_port(call, out);
        let Some(open) = self.calls.remove(&call) else { return };
        self.leave_order(call, &open, out);
        if open.process == SITE {
            return self.handle_resolved(&open, &outcome, out);
        }
        out.note(match outcome {
            Outcome::Reply(_) => Note::Replied,
            Outcome::NotExecuted(_) => Note::NotExecuted,
            Outcome::Unknown(_) => Note::Unknown,
        });
        out.act(Action::End { process: open.process, call, outcome });
    }

    fn end_unknown(&mut self, call: Call, why: Unknown, out: &mut Effects) {
        self.end(call, Outcome::Unknown(why), out);
    }

    /// What is proved of this try is proved of the call, if nothing is doubted of an earlier one.
    fn end_not_executed(&mut self, call: Call, why: NotExecuted, out: &mut Effects) {
        let unsure = self.calls.get(&call).and_then(|open| open.unsure);
        self.end(call, unsure.map_or(Outcome::NotExecuted(why), Outcome::Unknown), out);
    }

    /// A process died under a living site: its calls are called off, and nobody is told (R16).
    pub(crate) fn end_process(&mut self, process: ProcessId, out: &mut Effects) {
        // None that waits leaves because of one that goes.
        let routes = self.routes.iter_mut().filter(|(key, _)| key.process == process);
        routes.for_each(|(_, route)| route.home.clear());
        let of = self.calls.iter().filter(|(_, open)| open.process == process);
        let mut calls: Vec<Call> = of.map(|(call, _)| *call).collect();
        calls.sort_unstable();
        for call in calls {
            self.send_abort(call, out);
            out.timers.cancel(Timer::Ask(call));
            self.leave_port(call, out);
            if let Some(open) = self.calls.remove(&call) {
                self.leave_order(call, &open, out);
            }
        }
        let mut ports: Vec<ClientPort> = Vec::new();
        ports.extend(self.ports.iter().filter(|(_, it)| it.key.process == process).map(|it| *it.0));
        for port in ports {
            self.forget_port(port, out);
        }
        self.routes.retain(|key, _| key.process != process);
    }

    fn peer(&mut self, to: &IpcPort) -> &mut Peer {
        if self.peers.len() > PEERS_MAX {
            // They are measured again, and challenged at worst.
            self.peers.clear();
        }
        self.peers.entry(PeerKey::of(to)).or_default()
    }

    fn me(&self, port: ClientPort) -> ClientId {
        ClientId { site: self.site, epoch: self.epoch, port }
    }

    pub(crate) fn round_trips(&self) -> Vec<(SiteId, Duration, Duration)> {
        let known = self.peers.iter().filter(|(key, _)| key.at.is_none());
        let measured = known.filter_map(|(key, peer)| {
            let (smoothed, variation) = peer.round_trip.measured()?;
            Some((key.site, smoothed, variation))
        });
        let mut measured: Vec<_> = measured.collect();
        measured.sort_unstable();
        measured
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// How many replies are half built.
    pub(crate) fn building(&self) -> usize {
        self.fetched.len()
    }

    pub(crate) fn ports(&self) -> usize {
        self.ports.len()
    }
}

impl PeerKey {
    fn of(to: &IpcPort) -> PeerKey {
        let site = to.server.site;
        PeerKey { site, at: (site == SiteId(0)).then_some(to.address) }
    }
}

impl Stage {
    /// The name on the wire, if it has one.
    fn on_the_wire(&self) -> Option<&Try> {
        match self {
            Stage::Resolving | Stage::Home => None,
            Stage::Sent(it) | Stage::Working { it, .. } => Some(it),
            Stage::Fetching { it, .. } | Stage::Aborting { it, .. } => Some(it),
        }
    }
}

/// What tells two requests under one number apart (R31). Of a large one its length and its first bytes.
fn request_hash(to: &IpcPort, flags: Flags, predecessor: u64, body: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    (to.server.port, flags.on_the_wire(), predecessor).hash(&mut hasher);
    told_apart_by(body, &mut hasher);
    hasher.finish()
}
