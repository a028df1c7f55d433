//! Sites on a simulated network under a virtual clock, in no thread.
//!
//! Invariant: a plan and a core determine the run, byte for byte. Nothing here reads a clock or iterates a hash table.

mod stops;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use crate::bank::Bank;
use crate::events::{Event, What};
use crate::network::{Held, Network, Transit};
use crate::node::{Action, Node, Time};
use crate::plan::{Fault, Plan, When};
use crate::run::{Cost, Point, Run};
use crate::verdict::{CallVerdict, End, Verdict};

/// The server's site; all others are clients.
const SERVER: usize = 1;
/// A run that has not come to rest after so many events never will.
const EVENTS_MAX: u32 = 200_000;

/// Runs a plan on a core until nothing is left to happen.
pub fn run<N: Node>(plan: &Plan) -> Run {
    let mut world = World::<N>::new(plan);
    for client in world.clients() {
        world.ask(client);
    }
    while !world.run.verdict.stopped && world.next() {
        world.run.verdict.stopped = world.event == EVENTS_MAX;
    }
    world.finish()
}

/// A run as text: its trace, then its verdict.
pub fn transcript<N: Node>(plan: &Plan) -> String {
    run::<N>(plan).to_string()
}

struct World<N: Node> {
    /// Those still to come that no time is given for.
    crashes: Vec<Fault>,
    network: Network,
    now: Time,
    event: u32,
    sites: Vec<Site<N>>,
    due: BTreeMap<(Time, u64), Due<N::Call>>,
    due_count: u64,
    calls: Vec<Call<N::Call>>,
    bank: Bank,
    executions: Vec<Execution>,
    run: Run,
}

struct Site<N> {
    life: u32,
    node: Option<N>,
    /// It stands still until then.
    paused: Option<Time>,
    /// How far its clock is behind, for having stood still.
    behind: Time,
}

struct Call<Id> {
    client: usize,
    state: State<Id>,
}

enum State<Id> {
    Planned,
    Outstanding(Id),
    Ended(End),
}

struct Execution {
    call: usize,
    reply: Vec<u8>,
}

enum Due<Id> {
    Arrival { from: usize, to: usize, datagram: Vec<u8> },
    Served { life: u32, call: Id, body: Vec<u8> },
    Crash { site: usize, down: Option<Time> },
    Restart { site: usize },
    Pause { site: usize, until: Time },
    Wake { site: usize, behind: Time },
}

impl<N: Node> World<N> {
    fn new(plan: &Plan) -> Self {
        let network = Network::new(plan);
        let clients = network.clients();
        let sites = (0..clients + 1).map(|site| Site::new(1, Time::ZERO, site));
        let calls = (0..clients * network.calls()).map(|i| Call {
            client: if i % clients == 0 { 0 } else { SERVER + i % clients },
            state: State::Planned,
        });
        let mut world = World {
            now: Time::ZERO,
            event: 0,
            sites: sites.collect(),
            due: BTreeMap::new(),
            due_count: 0,
            calls: calls.collect(),
            bank: Bank::default(),
            executions: Vec::new(),
            run: Run {
                events: Vec::new(),
                verdict: Verdict::default(),
                cost: Cost::default(),
                points: Vec::new(),
                unstruck: Vec::new(),
            },
            crashes: plan.faults.clone(),
            network,
        };
        for (site, at, down) in world.network.crashes() {
            world.schedule(at, Due::Crash { site, down });
        }
        for (site, at, long) in world.network.pauses() {
            world.schedule(at, Due::Pause { site, until: at + long });
        }
        world
    }

    fn clients(&self) -> Vec<usize> {
        (0..self.sites.len()).filter(|site| *site != SERVER).collect()
    }

    /// Handles what is due next; `false` when nothing is.
    fn next(&mut self) -> bool {
        let deadlines = self.sites.iter().enumerate();
        let timeout = deadlines.filter_map(|(i, site)| Some((site.deadline()?, i))).min();
        let queued = self.due.first_key_value().map(|(key, _)| *key);
        let at = match (queued, timeout) {
            (None, None) => return false,
            (Some((at, _)), None) | (None, Some((at, _))) => at,
            (Some((queued, _)), Some((timeout, _))) => queued.min(timeout),
        };
        self.now = self.now.max(at);
        self.event += 1;
        self.run.points.push(Point::Event(self.event));
        self.crash_when(When::Event(self.event));
        match (queued, timeout) {
            (Some(key), _) if key.0 <= at => {
                let due = self.due.remove(&key).expect("it was the first");
                self.handle(due);
            }
            (_, Some((_, site))) => self.with_node(site, |node, now| node.handle_timeout(now)),
            _ => unreachable!("one of the two is due"),
        }
        let entries = self.living().map(Node::entries).sum();
        self.run.cost.entries_max = self.run.cost.entries_max.max(entries);
        true
    }

    fn handle(&mut self, due: Due<N::Call>) {
        match due {
            Due::Pause { site, until } => self.pause(site, until),
            Due::Wake { site, behind } => self.wake(site, behind),
            Due::Arrival { to: site, .. } if let Some(until) = self.sites[site].paused => {
                self.schedule(until, due);
            }
            Due::Served { .. } if let Some(until) = self.sites[SERVER].paused => {
                self.schedule(until, due);
            }
            Due::Arrival { to, .. } if self.sites[to].node.is_none() => {
                self.record(to, What::Note("is down, datagram lost".into()));
            }
            Due::Arrival { from, to, datagram } => {
                self.with_node(to, |node, now| node.handle_packet(now, address(from), &datagram));
            }
            Due::Served { life, call, body } => self.execute(life, call, &body),
            Due::Crash { site, down } => self.crash(site, down),
            Due::Restart { site } => self.restart(site),
        }
    }

    /// One event into a core, then all its actions out.
    fn with_node(&mut self, site: usize, event: impl FnOnce(&mut N, Time)) {
        let now = self.now - self.sites[site].behind;
        if let Some(node) = &mut self.sites[site].node {
            event(node, now);
        }
        while let Some(action) = self.sites[site].node.as_mut().and_then(N::poll_action) {
            self.act(site, action);
        }
    }

    fn act(&mut self, site: usize, action: Action<N::Call>) {
        match action {
            Action::Send { to, label, datagram } => self.send(site, index(to), label, datagram),
            Action::Request { call, body } => {
                let life = self.sites[site].life;
                let service = self.network.service();
                self.schedule(self.now + service, Due::Served { life, call, body });
            }
            Action::Reply { call, body } => {
                let ending = format!("reply \"{}\"", body.escape_ascii());
                // The balance falls with every debit, so a reply shows which execution it is of.
                let execution = self.executions.iter().find(|execution| execution.reply == body);
                let owner = execution.map(|execution| execution.call);
                self.end(site, call, ending, |index| match owner == Some(index) {
                    true => End::Replied,
                    false => End::WrongReply,
                });
            }
            Action::Failed { call, why } => self.end(site, call, why, |_| End::Failed),
            Action::NotExecuted { call, why } => self.end(site, call, why, |_| End::NotExecuted),
            Action::Note(note) => self.record(site, What::Note(note)),
        }
    }

    fn send(&mut self, from: usize, to: usize, label: String, datagram: Vec<u8>) {
        self.run.cost.packets += 1;
        self.run.cost.bytes += datagram.len();
        self.run.points.push(Point::Packet(self.run.cost.packets));
        let Transit { arrivals, late, holds, overtaken } =
            self.network.transit(self.now, (from, to), &label);
        for (copy, at) in arrivals.iter().enumerate() {
            let datagram = datagram.clone();
            let key = self.schedule(*at, Due::Arrival { from, to, datagram });
            if holds && copy == 0 {
                let event = self.run.events.len();
                self.network.hold((from, to), Held { key, event, copy });
            }
        }
        // After this one, though at the same moment.
        if let Some((held, arrives)) = overtaken {
            self.release(held, arrives);
        }
        self.record(from, What::Sent { to, label, arrivals, late });
    }

    /// A packet that was to be overtaken has been: it arrives now.
    fn release(&mut self, held: Held, arrives: Time) {
        if let Some(due) = self.due.remove(&held.key) {
            self.schedule(arrives, due);
            if let What::Sent { arrivals, .. } = &mut self.run.events[held.event].what {
                arrivals[held.copy] = arrives;
            }
        }
    }

    fn execute(&mut self, life: u32, call: N::Call, body: &[u8]) {
        let number = self.executions.len() as u32 + 1;
        if self.sites[SERVER].life == life && self.sites[SERVER].node.is_some() {
            self.crash_when(When::BeforeExecution(number));
        }
        if self.sites[SERVER].life != life || self.sites[SERVER].node.is_none() {
            return;
        }
        let reply = self.bank.serve(body);
        self.record(SERVER, What::Executed(body.escape_ascii().to_string()));
        self.executions.push(Execution { call: call_of(body), reply: reply.clone() });
        self.run.points.push(Point::Execution(number));
        self.crash_when(When::AfterExecution(number));
        self.with_node(SERVER, |node, now| node.send_reply(now, call, &reply));
    }

    /// A client asks what it can: one call after the other, or all at once as far as its core allows.
    fn ask(&mut self, client: usize) {
        let outstanding =
            |call: &Call<_>| call.client == client && matches!(call.state, State::Outstanding(_));
        for index in 0..self.calls.len() {
            let call = &self.calls[index];
            if call.client != client || !matches!(call.state, State::Planned) {
                continue;
            }
            if !self.network.at_once() && self.calls.iter().any(outstanding) {
                return;
            }
            let now = self.now - self.sites[client].behind;
            let Some(node) = &mut self.sites[client].node else { return };
            let Ok(id) = node.send_request(now, address(SERVER), &body_of(index)) else {
                return;
            };
            self.calls[index].state = State::Outstanding(id);
            self.with_node(client, |_, _| {});
        }
    }

    fn end(&mut self, client: usize, id: N::Call, ending: String, end: impl FnOnce(usize) -> End) {
        let known = self.calls.iter().position(|call| {
            call.client == client
                && matches!(call.state, State::Outstanding(outstanding) if outstanding == id)
        });
        let Some(index) = known else {
            self.run.verdict.ended_again += 1;
            return self.record(
                client,
                What::Note(format!("told again of a call that had ended: {ending}")),
            );
        };
        self.calls[index].state = State::Ended(end(index));
        self.record(client, What::Ended { call: index + 1, end: ending });
        self.ask(client);
    }

    fn finish(mut self) -> Run {
        let calls = self.calls.iter().enumerate().map(|(index, call)| CallVerdict {
            executed: self.executions.iter().filter(|execution| execution.call == index).count()
                as u32,
            end: match &call.state {
                State::Ended(end) => end.clone(),
                _ if self.sites[call.client].node.is_none() => End::Crashed,
                _ => End::Never,
            },
        });
        self.run.verdict.calls = calls.collect();
        self.run.unstruck = self.network.unstruck();
        let timed = |fault: &Fault| {
            matches!(fault, Fault::Crash { when: When::At(_), .. })
                || !matches!(fault, Fault::Crash { .. })
        };
        self.run.unstruck.extend(self.crashes.iter().filter(|fault| !timed(fault)));
        // A call that waits for ever is held for ever: that is said already.
        if self.run.verdict.calls.iter().all(|call| call.end != End::Never)
            && !self.run.verdict.stopped
        {
            self.run.verdict.left_over = self.living().map(Node::entries).sum();
        }
        self.run.cost.lasted = self.now;
        self.run
    }

    fn living(&self) -> impl Iterator<Item = &N> {
        self.sites.iter().filter_map(|site| site.node.as_ref())
    }

    fn schedule(&mut self, at: Time, due: Due<N::Call>) -> (Time, u64) {
        self.due_count += 1;
        let key = (at, self.due_count);
        self.due.insert(key, due);
        key
    }

    fn record(&mut self, site: usize, what: What) {
        self.run.events.push(Event { at: self.now, site, what });
    }
}

impl<N: Node> Site<N> {
    fn new(life: u32, now: Time, site: usize) -> Site<N> {
        let node = Some(N::start_at(life, now, address(site)));
        Site { life, node, paused: None, behind: Time::ZERO }
    }

    /// When its core wants [`Node::handle_timeout`], by the clock of the world.
    fn deadline(&self) -> Option<Time> {
        let at = self.node.as_ref()?.deadline()? + self.behind;
        Some(self.paused.map_or(at, |until| at.max(until)))
    }
}

/// Each call asks for another amount, so that a request shows whose it is.
fn body_of(call: usize) -> Vec<u8> {
    format!("debit {}", 10 * (call + 1)).into_bytes()
}

fn call_of(body: &[u8]) -> usize {
    let amount = std::str::from_utf8(body).ok().and_then(|body| body.strip_prefix("debit "));
    let amount: usize =
        amount.and_then(|amount| amount.parse().ok()).expect("the bench asks only for debits");
    amount / 10 - 1
}

fn address(site: usize) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, site as u8 + 1), 7373).into()
}

fn index(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(address) => usize::from(address.ip().octets()[3]) - 1,
        SocketAddr::V6(_) => unreachable!("the bench gives out no such address"),
    }
}
