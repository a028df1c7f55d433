//! What stands behind the lock: the core, its way to the network, and what has come for the threads.
//!
//! Invariant: one event, then every action; whatever the core hands over is kept until a thread takes
//! it, and the thread that waits for it is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::lead::{self, Crew};
use super::network::Network;
use crate::clock;
use crate::protocol::{
    Action, Call, CallId, Incoming, Outcome, ProcessId, Request, SendError, ServerPort, Site,
    Table, Target, Time, Unknown,
};

/// All threads here are one process to the core.
const PROCESS: ProcessId = ProcessId(0);
/// So many datagrams are read before the timers run, whether or not more have come: a flood does not
/// stop them.
const READ_MAX: usize = 1024;

/// Names a client of this process, whichever its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientNumber(u64);

impl ClientNumber {
    pub(crate) fn new() -> ClientNumber {
        static LAST: AtomicU64 = AtomicU64::new(0);
        ClientNumber(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The end of this call.
    Reply(Call),
    /// The end of a call of this client that nobody claims.
    AnyReply(ClientNumber),
    /// A request.
    Request(ServerPort),
}

#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) site: Site,
    network: Network,
    crew: Crew<Event>,
    /// Calls of which no thread has taken the outcome.
    calls: Table<Call, Open>,
    clients: Table<ClientNumber, Client>,
    calls_max: usize,
    /// Calls in the hands of a thread that are not wanted any more.
    cancelled: Table<CallId, ServerPort>,
    /// Ports that are open; `false` when they take no more.
    ports: Table<ServerPort, bool>,
    stopped: bool,
}

/// A call of which no thread has taken the outcome.
#[derive(Debug)]
struct Open {
    client: ClientNumber,
    /// So many threads ask for this very call: then only one of them gets its outcome.
    claims: u32,
    outcome: Option<Outcome>,
    /// Its place among the outcomes that anybody may take; 0 is none.
    place: u64,
}

#[derive(Debug, Default)]
struct Client {
    /// Its calls here, to spare a search for none.
    calls: usize,
    /// Outcomes that anybody may take, in the order in which they came.
    ended: BTreeMap<u64, Call>,
    last_place: u64,
}

impl Inside {
    pub(crate) fn new(site: Site, network: Network, calls_max: usize) -> Inside {
        Inside {
            site,
            network,
            crew: Crew::default(),
            calls: Table::default(),
            clients: Table::default(),
            calls_max,
            cancelled: Table::default(),
            ports: Table::default(),
            stopped: false,
        }
    }

    // ---- clients

    /// Its calls are called off, and nobody asks for their outcomes any more.
    pub(crate) fn close_client(&mut self, number: ClientNumber) {
        let Some(client) = self.clients.remove(&number) else { return };
        if client.calls == 0 {
            return;
        }
        let open = self.calls.extract_if(|_, open| open.client == number);
        let open: Vec<Call> = open.map(|(call, _)| call).collect();
        for call in open {
            self.cancel(call);
        }
    }

    /// Asks; the outcome will be there for whoever claims this call, or for anybody.
    pub(crate) fn ask(
        &mut self,
        number: ClientNumber,
        target: &Target,
        request: Request,
        claimed: bool,
    ) -> Result<Call, SendError> {
        if self.calls.len() >= self.calls_max {
            return Err(SendError::TooManyCalls);
        }
        let call = self.site.send_request(clock::now(), PROCESS, target, request)?;
        self.calls.insert(
            call,
            Open { client: number, claims: u32::from(claimed), outcome: None, place: 0 },
        );
        self.clients.entry(number).or_default().calls += 1;
        self.act();
        Ok(call)
    }

    pub(crate) fn cancel(&mut self, call: Call) {
        self.site.cancel(clock::now(), call);
        self.act();
    }

    /// Reserves a call for a thread that asks for it. `false` if there is none: its outcome was taken.
    pub(crate) fn claim(&mut self, call: Call) -> bool {
        let Some(open) = self.calls.get_mut(&call) else { return false };
        open.claims += 1;
        if let Some(client) = self.clients.get_mut(&open.client) {
            client.ended.remove(&open.place);
        }
        true
    }

    /// The thread asks no longer.
    pub(crate) fn unclaim(&mut self, call: Call) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        open.claims -= 1;
        if open.claims == 0 && open.outcome.is_some() {
            let number = open.client;
            self.offer(number, call);
        }
    }

    /// Takes the outcome of a call that was claimed: `Some(None)` if somebody else did.
    pub(crate) fn take(&mut self, call: Call) -> Option<Option<Outcome>> {
        match self.calls.get(&call) {
            None => Some(None),
            Some(Open { outcome: None, .. }) => None,
            Some(_) => Some(self.remove(call)),
        }
    }

    /// Takes an outcome that nobody claims.
    pub(crate) fn take_any(&mut self, number: ClientNumber) -> Option<(Call, Outcome)> {
        let (_, call) = self.clients.get_mut(&number)?.ended.pop_first()?;
        Some((call, self.remove(call)?))
    }

    fn remove(&mut self, call: Call) -> Option<Outcome> {
        let open = self.calls.remove(&call)?;
        if let Some(client) = self.clients.get_mut(&open.client) {
            client.calls -= 1;
        }
        open.outcome
    }

    /// An outcome that nobody claims is there.
    fn offer(&mut self, number: ClientNumber, call: Call) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.last_place += 1;
        client.ended.insert(client.last_place, call);
        if let Some(open) = self.calls.get_mut(&call) {
            open.place = client.last_place;
        }
        self.crew.tell_one(Event::AnyReply(number));
    }

    fn end(&mut self, call: Call, outcome: Outcome) {
        // Without a client nobody wants to know.
        let Some(open) = self.calls.get_mut(&call) else { return };
        open.outcome = Some(outcome);
        if open.claims > 0 {
            return self.crew.tell_all(Event::Reply(call));
        }
        let number = open.client;
        self.offer(number, call);
    }

    // ---- servers

    pub(crate) fn open_port(&mut self) -> Result<ServerPort, SendError> {
        let port = self.site.open_port(PROCESS)?;
        self.ports.insert(port, true);
        Ok(port)
    }

    /// Threads that wait there leave; what they have taken can still be answered.
    pub(crate) fn finish_port(&mut self, port: ServerPort) {
        if let Some(open) = self.ports.get_mut(&port) {
            *open = false;
            self.crew.tell_all(Event::Request(port));
        }
    }

    pub(crate) fn close_port(&mut self, port: ServerPort) {
        self.finish_port(port);
        self.ports.remove(&port);
        self.site.close_port(clock::now(), port);
        self.act();
        self.cancelled.retain(|_, at| *at != port);
    }

    /// Whether requests are taken there.
    pub(crate) fn is_open(&self, port: ServerPort) -> bool {
        self.ports.get(&port).is_some_and(|open| *open)
    }

    pub(crate) fn take_request(&mut self, port: ServerPort) -> Option<Incoming> {
        let taken = self.site.take_request(clock::now(), port);
        // Even if there was none: others were found to have come too late.
        self.act();
        if let Some(taken) = &taken {
            self.network.trace().served(port, &taken.body);
        }
        taken
    }

    pub(crate) fn reply(
        &mut self,
        port: ServerPort,
        call: CallId,
        body: Bytes,
    ) -> Result<(), SendError> {
        self.cancelled.remove(&call);
        let done = self.site.send_reply(clock::now(), port, call, body);
        self.act();
        done
    }

    pub(crate) fn is_cancelled(&self, call: CallId) -> bool {
        self.stopped || self.cancelled.contains_key(&call)
    }

    // ---- all

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Ends every call and closes every port; all threads leave.
    pub(crate) fn stop(&mut self) {
        let mut open: Vec<Call> = self.calls.keys().copied().collect();
        open.sort_unstable();
        for call in open {
            self.cancel(call);
            if self.calls.get(&call).is_some_and(|open| open.outcome.is_none()) {
                // It was to be known for certain, but nobody is left to hear it.
                self.end(call, Outcome::Unknown(Unknown::Cancelled));
            }
        }
        let ports: Vec<ServerPort> = self.ports.keys().copied().collect();
        for port in ports {
            self.close_port(port);
        }
        self.stopped = true;
    }

    /// Takes every action out of the core.
    fn act(&mut self) {
        loop {
            while let Some(action) = self.site.poll_action() {
                match action {
                    Action::Send { to, packet } => self.network.send(to, &packet),
                    Action::End { call, outcome, .. } => {
                        self.network.trace().ended(&outcome);
                        self.end(call, outcome);
                    }
                    Action::Ready { port } => self.crew.tell_one(Event::Request(port)),
                    Action::Cancelled { port, call } => drop(self.cancelled.insert(call, port)),
                    Action::Note(note) => self.network.trace().noted(note),
                }
            }
            self.network.flush();
            let unsent = self.network.take_unsent();
            if unsent.is_empty() {
                return;
            }
            for (packet, by_peer) in unsent {
                self.site.handle_unsent(&packet, by_peer);
            }
        }
    }

    /// Reads one datagram, or finds that there is none after this moment.
    fn read(&mut self) -> (bool, Time) {
        // Before the receive: nothing that came earlier is left when it finds nothing (R23).
        let now = clock::now();
        let came = self.network.receive();
        let more = came.is_some();
        match came {
            Some((from, datagram)) => self.site.handle_datagram(now, from, datagram),
            None => self.site.handle_drained(now),
        }
        self.act();
        (more, now.running)
    }
}

impl lead::Inside for Inside {
    type Event = Event;

    fn crew(&mut self) -> &mut Crew<Event> {
        &mut self.crew
    }

    fn deadline(&self) -> Option<Time> {
        // After the last act nothing is sent and nobody is told.
        self.site.deadline().filter(|_| !self.stopped)
    }

    fn round(&mut self) -> bool {
        if self.stopped {
            return false;
        }
        let (mut more, now) = self.read();
        if self.site.deadline().is_some_and(|at| at <= now) {
            more = (0..READ_MAX).all(|_| self.read().0);
            self.site.handle_timeout(clock::now());
            self.act();
        }
        more
    }

    fn stopped(&self) -> bool {
        self.stopped
    }
}
