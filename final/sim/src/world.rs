//! Sites on a simulated network under virtual clocks, in no thread.
//!
//! Invariant: a scenario and a core determine the run, byte for byte. Nothing here reads a clock or
//! iterates a hash table.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use unavez::protocol::{Action, CallId, Datagrams, Fragment, Note, Packet, ProcessId, Site, Time};

use crate::host::Host;
use crate::ledger::{Breach, Ledger};
use crate::network::Network;
use crate::run::{Point, Run};
use crate::scenario::{Fault, Mishap, Scenario, When};
use crate::trace::{Trace, label, told};

/// A run that has not come to rest after so many events never will.
const EVENTS_MAX: u32 = 1_000_000;
/// How long a driver takes that does not read all at once.
const READ_TIME: Time = Time::from_millis(1);

/// Plays a scenario until nothing is left to happen, or a promise is broken.
pub fn run(scenario: &Scenario, trace: bool) -> Run {
    let mut world = World::new(scenario, trace);
    let breach = world.play().err();
    world.finish(breach)
}

pub(crate) struct World<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) now: Time,
    pub(crate) hosts: Vec<Host>,
    pub(crate) ledger: Ledger,
    pub(crate) trace: Trace,
    network: Network,
    due: BTreeMap<(Time, u64), Due>,
    due_count: u64,
    /// Datagrams on their way.
    flying: usize,
    pub(crate) asks_left: usize,
    /// Mishaps still to come that no time is given for.
    mishaps: Vec<(u32, usize, Mishap)>,
    pub(crate) run: Run,
}

pub(crate) enum Due {
    Arrival { to: SocketAddr, from: SocketAddr, bytes: Vec<u8> },
    Ask(usize),
    Cancel(usize),
    Take { host: usize, process: ProcessId },
    Served { host: usize, process: ProcessId, call: CallId },
    Mishap(usize, Mishap),
    Restart(usize),
    Revive { host: usize, life: u32, service: usize },
    Thaw(usize),
    Drive(usize),
}

/// What a core wants sent.
enum Sent {
    Packet(Packet),
    Fragment(Fragment),
}

/// What is due next: a place in the world's queue, or a site.
type Next = Result<(Time, u64), usize>;

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, trace: bool) -> Self {
        let hosts = scenario.hosts.iter().enumerate().map(|(i, plan)| Host::new(i, plan));
        let mut world = World {
            scenario,
            now: Time::ZERO,
            hosts: hosts.collect(),
            ledger: Ledger::new(scenario.config, scenario.demands, &scenario.calls),
            trace: Trace { on: trace, lines: Vec::new() },
            network: Network::new(scenario),
            due: BTreeMap::new(),
            due_count: 0,
            flying: 0,
            asks_left: scenario.calls.len(),
            mishaps: Vec::new(),
            run: Run::default(),
        };
        for host in 0..world.hosts.len() {
            world.start(host);
        }
        for fault in &scenario.faults {
            match *fault {
                Fault::Host(When::At(at), host, mishap) => {
                    world.schedule(at, Due::Mishap(host, mishap));
                }
                Fault::Host(When::Event(event), host, mishap) => {
                    world.mishaps.push((event, host, mishap));
                }
                Fault::Packet(..) => {}
            }
        }
        for (n, call) in scenario.calls.iter().enumerate() {
            world.schedule(call.at, Due::Ask(n));
        }
        world
    }

    fn play(&mut self) -> Result<(), Breach> {
        while let Some((at, event)) = self.next() {
            self.now = self.now.max(at);
            self.run.events += 1;
            let host = match &event {
                Ok(key) => self.host_of(&self.due[key]),
                Err(host) => Some(*host),
            };
            if let Some(host) =
                host.filter(|_| self.asks_left + self.ledger.open() + self.flying > 0)
            {
                self.run.points.push(Point::Event(self.run.events, host));
            }
            while let Some(i) = self.mishaps.iter().position(|it| it.0 == self.run.events) {
                let (_, host, mishap) = self.mishaps.remove(i);
                self.befall(host, mishap)?;
            }
            match event {
                Ok(key) => {
                    let due = self.due.remove(&key).expect("it was the first");
                    self.handle(due)?;
                }
                // A mishap may have struck it just now.
                Err(host) if self.hosts[host].runs() => self.drive(host)?,
                Err(_) => {}
            }
            if let Some(host) = host {
                self.check_tables(host)?;
            }
            if self.run.events == EVENTS_MAX {
                return Err("it never comes to rest".into());
            }
        }
        self.ledger.finish()?;
        self.check_rest()
    }

    /// What is due next: something of the world's, or (`Err`) the deadline of a site.
    fn next(&self) -> Option<(Time, Next)> {
        let queued = self.due.first_key_value().map(|(key, _)| *key);
        let deadlines = self.hosts.iter().enumerate().filter_map(|(i, host)| {
            let deadline = host.site.as_ref().filter(|_| host.runs())?.deadline()?;
            Some((host.clock.when(deadline).max(self.now), i))
        });
        match (queued, deadlines.min()) {
            (None, None) => None,
            (Some(key), Some((at, host))) if at < key.0 => Some((at, Err(host))),
            (None, Some((at, host))) => Some((at, Err(host))),
            (Some(key), _) => Some((key.0, Ok(key))),
        }
    }

    fn host_of(&self, due: &Due) -> Option<usize> {
        match *due {
            Due::Arrival { to, .. } => self.hosts.iter().position(|host| host.address == to),
            Due::Ask(n) | Due::Cancel(n) => Some(self.scenario.calls[n].from.0),
            Due::Take { host, .. } | Due::Served { host, .. } | Due::Drive(host) => Some(host),
            Due::Mishap(..) | Due::Restart(_) | Due::Revive { .. } | Due::Thaw(_) => None,
        }
    }

    fn handle(&mut self, due: Due) -> Result<(), Breach> {
        match due {
            Due::Arrival { to, from, bytes } => {
                self.flying -= 1;
                self.arrive(to, from, bytes)
            }
            Due::Mishap(host, mishap) => self.befall(host, mishap),
            Due::Restart(host) => {
                self.start(host);
                Ok(())
            }
            Due::Revive { host, life, service } => {
                if self.hosts[host].life == life && self.hosts[host].site.is_some() {
                    self.open(host, service);
                }
                Ok(())
            }
            Due::Thaw(host) => self.thaw(host),
            Due::Drive(host) if self.hosts[host].runs() => self.drive(host),
            Due::Drive(_) => Ok(()),
            // What processes do waits while their site stands still.
            Due::Ask(_) | Due::Cancel(_) | Due::Take { .. } | Due::Served { .. } => {
                let host = self.host_of(&due).expect("it is a process's");
                match self.hosts[host].clock.is_frozen() {
                    true => self.hosts[host].backlog.push(due),
                    false => self.process(due)?,
                }
                Ok(())
            }
        }
    }

    fn process(&mut self, due: Due) -> Result<(), Breach> {
        match due {
            Due::Ask(n) => self.ask(n),
            Due::Cancel(n) => match self.ledger.call(n) {
                Some(call) => self
                    .with_site(self.scenario.calls[n].from.0, |site, now| site.cancel(now, call)),
                None => Ok(()),
            },
            Due::Take { host, process } => self.take(host, process),
            Due::Served { host, process, call } => self.served(host, process, call),
            _ => unreachable!("no process does it"),
        }
    }

    // ---- the network

    fn arrive(&mut self, to: SocketAddr, from: SocketAddr, bytes: Vec<u8>) -> Result<(), Breach> {
        let Some(host) = self.hosts.iter().position(|host| host.address == to) else {
            return Ok(());
        };
        if self.hosts[host].site.is_none() || self.now < self.hosts[host].cut_until {
            return Ok(());
        }
        self.hosts[host].inbox.push_back((from, bytes));
        if self.hosts[host].runs() { self.drive(host) } else { Ok(()) }
    }

    /// What a driver does when it wakes: it reads all that came, says so, and does what is due.
    pub(crate) fn drive(&mut self, host: usize) -> Result<(), Breach> {
        // Read before the buffer is: what came since may be in it, what came before is not.
        let read = self.hosts[host].now(self.now);
        let batch = self.scenario.hosts[host].batch;
        let inbox = &mut self.hosts[host].inbox;
        let few = if batch == 0 { inbox.len() } else { batch.min(inbox.len()) };
        for (from, bytes) in inbox.drain(..few).collect::<Vec<_>>() {
            self.with_site(host, |site, now| site.handle_datagram(now, from, &bytes))?;
        }
        let drained = self.hosts[host].inbox.is_empty().then_some(read);
        if let Some((how, time)) = self.hosts[host].trip.take() {
            self.hosts[host].drained = drained;
            self.freeze(host, how, time);
            return Ok(());
        }
        match drained {
            Some(read) => self.with_site(host, |site, _| site.handle_drained(read))?,
            None => self.schedule(self.now + READ_TIME, Due::Drive(host)),
        }
        self.with_site(host, |site, now| {
            if site.deadline().is_some_and(|deadline| deadline <= now.running) {
                site.handle_timeout(now);
            }
        })
    }

    /// One event into a core, then all its actions out.
    pub(crate) fn with_site(
        &mut self,
        host: usize,
        event: impl FnOnce(&mut Site, unavez::protocol::Now),
    ) -> Result<(), Breach> {
        let now = self.hosts[host].now(self.now);
        if let Some(site) = &mut self.hosts[host].site {
            event(site, now);
        }
        loop {
            let mut sent = Vec::new();
            while let Some(action) = self.hosts[host].site.as_mut().and_then(Site::poll_action) {
                self.act(host, action, &mut sent)?;
            }
            if sent.is_empty() {
                return Ok(());
            }
            self.send(host, sent)?;
        }
    }

    fn send(&mut self, host: usize, sent: Vec<(SocketAddr, Sent)>) -> Result<(), Breach> {
        let mut joined = Datagrams::default();
        let mut together = Vec::new();
        for (to, sent) in sent {
            let packet = match sent {
                Sent::Packet(packet) => packet,
                Sent::Fragment(fragment) => {
                    self.transmit_fragment(host, to, &fragment);
                    continue;
                }
            };
            let mut full = None;
            joined.push(to, &packet, |to, bytes| full = Some((to, bytes.to_vec())));
            if let Some((to, bytes)) = full {
                self.transmit(host, to, bytes, std::mem::take(&mut together))?;
            }
            together.push(packet);
        }
        let mut last = None;
        joined.flush(|to, bytes| last = Some((to, bytes.to_vec())));
        match last {
            Some((to, bytes)) => self.transmit(host, to, bytes, together),
            None => Ok(()),
        }
    }

    fn transmit(
        &mut self,
        host: usize,
        to: SocketAddr,
        bytes: Vec<u8>,
        packets: Vec<Packet>,
    ) -> Result<(), Breach> {
        let now = self.hosts[host].now(self.now);
        for packet in &packets {
            self.ledger.sent(packet, now)?;
        }
        self.run.points.push(Point::Packet(self.network.datagrams + 1));
        if let Some(refused) = self.network.unsent() {
            let site = self.hosts[host].site.as_mut().expect("it sends");
            packets.iter().for_each(|packet| site.handle_unsent(packet, refused));
            self.trace.line(self.now, host, || format!("not sent: {}", label(&packets)));
            return Ok(());
        }
        self.carry(host, to, bytes, || label(&packets));
        Ok(())
    }

    fn transmit_fragment(&mut self, host: usize, to: SocketAddr, fragment: &Fragment) {
        self.run.points.push(Point::Packet(self.network.datagrams + 1));
        if self.network.unsent().is_some() {
            let site = self.hosts[host].site.as_mut().expect("it sends");
            site.handle_too_large(to);
            self.trace.line(self.now, host, || format!("not sent: {fragment}"));
            return;
        }
        let mut bytes = Vec::new();
        fragment.encode(&mut bytes);
        self.carry(host, to, bytes, || fragment.to_string());
    }

    fn carry(
        &mut self,
        host: usize,
        to: SocketAddr,
        bytes: Vec<u8>,
        label: impl FnOnce() -> String,
    ) {
        let transit = self.network.transit(self.now, bytes.len());
        self.run.datagrams += 1;
        let cut = self.now < self.hosts[host].cut_until;
        let arrivals: Vec<_> = transit.arrivals.into_iter().filter(|_| !cut).collect();
        if self.trace.on {
            let times: Vec<Time> = arrivals.iter().map(|(at, _)| *at).collect();
            let receiver = self.hosts.iter().position(|host| host.address == to);
            let way = (self.now, host, receiver);
            self.trace.sent(way, &label(), &times, transit.late);
        }
        for (at, damage) in arrivals {
            let mut bytes = bytes.clone();
            if let Some(bit) = damage {
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            self.flying += 1;
            self.schedule(at, Due::Arrival { to, from: self.hosts[host].address, bytes });
        }
    }

    // ---- what a core wants done

    fn act(
        &mut self,
        host: usize,
        action: Action,
        sent: &mut Vec<(SocketAddr, Sent)>,
    ) -> Result<(), Breach> {
        match action {
            Action::Send { to, packet } => sent.push((to, Sent::Packet(packet))),
            Action::Fragment { to, fragment } => sent.push((to, Sent::Fragment(fragment))),
            Action::Path { to } => {
                let (now, leaves) = (self.hosts[host].now(self.now), self.scenario.weather.leaves);
                if let Some(site) = &mut self.hosts[host].site {
                    site.handle_path(now, to, leaves, false);
                }
            }
            Action::End { process, call, outcome } => {
                let clocks = (self.hosts[host].now(self.now), self.hosts[host].clock.stalled());
                let n = self.ledger.ended((host, call, process), &outcome, clocks)?;
                self.trace.line(self.now, host, || format!("call {n} ends: {}", told(&outcome)));
                self.run.seen.outcome(&outcome);
            }
            Action::Ready { port } => {
                let found = self.hosts[host].services.iter().position(|it| it.port == Some(port));
                if let Some(service) = found {
                    let process = self.hosts[host].services[service].process;
                    let after = self.scenario.hosts[host].services[service].take_after;
                    self.schedule(self.now + after, Due::Take { host, process });
                }
            }
            Action::Cancelled { port, call } => {
                let found = self.hosts[host].services.iter().find(|it| it.port == Some(port));
                let Some(service) = found else { return Ok(()) };
                let process = service.process;
                let Some(n) = service.hands.get(&call).copied() else {
                    return Err("a call is cancelled that is not in the service's hands".into());
                };
                self.trace.line(self.now, host, || format!("nobody waits for call {n}"));
                if self.ledger.plan(n).heeds {
                    self.schedule(self.now, Due::Served { host, process, call });
                }
            }
            Action::Note(note) => self.trace.line(self.now, host, || note.to_string()),
        }
        Ok(())
    }

    fn finish(mut self, breach: Option<Breach>) -> Run {
        for host in 0..self.hosts.len() {
            self.count(host);
        }
        self.run.breach = breach;
        self.run.lines = self.trace.lines;
        self.run.lasted = self.now;
        self.run
    }

    /// Adds what a life of a site counted.
    pub(crate) fn count(&mut self, host: usize) {
        if let Some(site) = &self.hosts[host].site {
            let counted = site.counters().iter().filter(|(_, times)| *times > 0);
            for (note, times) in counted.collect::<Vec<(Note, u64)>>() {
                *self.run.seen.notes.entry(note).or_default() += times;
            }
        }
    }

    pub(crate) fn schedule(&mut self, at: Time, due: Due) {
        self.due_count += 1;
        self.due.insert((at, self.due_count), due);
    }
}
