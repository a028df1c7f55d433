//! Where threads and what stands behind the site meet: open calls and their outcomes, open ports, and
//! what was done for whom.
//!
//! Invariant: whatever comes from behind is kept until a thread takes it, and the thread that waits for
//! it is told.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::lead::Crew;
use crate::ipc::{CallError, SendError};
use crate::protocol::{
    Call, CallId, Counters, Entries, NumberedTable, Outcome, ServerPort, SiteId, Table,
};

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
    /// This job is done.
    Done(Serial),
}

/// Names a job: something that is asked of the site and may take a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Serial(pub(crate) u64);

/// What was done.
#[derive(Debug)]
pub(crate) enum Done {
    /// What there is nothing to say of.
    Nothing,
    /// A port was opened.
    Opened(ServerPort),
    Counters(Box<Counters>),
    Entries(Entries),
    /// Some of them, and whether there are more.
    RoundTrips(Vec<(SiteId, Duration, Duration)>, bool),
}

/// How a call ended.
pub(crate) type End = Result<Bytes, CallError>;

#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) crew: Crew<Event>,
    /// Calls of which no thread has taken the outcome.
    calls: NumberedTable<Call, Open>,
    clients: NumberedTable<ClientNumber, Client>,
    /// Calls in the hands of a thread that are not wanted any more.
    cancelled: Table<CallId, ServerPort>,
    /// Ports that are open; `false` when they take no more.
    ports: NumberedTable<ServerPort, bool>,
    /// Jobs for which a thread waits; `None` while they are not done.
    jobs: NumberedTable<Serial, Option<Result<Done, SendError>>>,
    last_job: u64,
    pub(super) stopped: bool,
}

/// A call of which no thread has taken the outcome.
#[derive(Debug)]
struct Open {
    client: ClientNumber,
    /// So many threads ask for this very call: then only one of them gets its outcome.
    claims: u32,
    end: Option<End>,
    /// Counts its claims: what was offered to anybody before the last of them is not on offer any more.
    offers: u32,
}

#[derive(Debug, Default)]
struct Client {
    /// Its calls here, to spare a search for none.
    calls: usize,
    /// Outcomes that anybody may take, in the order in which they came, and which offer that was. Some
    /// may have been claimed since.
    ended: VecDeque<(Call, u32)>,
}

/// So many outcomes that were claimed, beside twice as many as there are calls, are not worth a search.
const CLAIMED_MAX: usize = 64;

impl Desk {
    // ---- calls

    /// How many calls have an outcome to come, or to be taken.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn open(&mut self, call: Call, client: ClientNumber, claimed: bool) {
        let open = Open { client, claims: u32::from(claimed), end: None, offers: 0 };
        self.calls.insert(call, open);
        self.clients.entry(client).or_default().calls += 1;
    }

    /// Those of a client are forgotten, and named.
    pub(super) fn close_client(&mut self, number: ClientNumber) -> Vec<Call> {
        match self.clients.remove(&number) {
            Some(Client { calls: 1.., .. }) => {
                let open = self.calls.extract_if(|_, open| open.client == number);
                open.map(|(call, _)| call).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Those that have not ended, in the order in which they began.
    pub(super) fn open_calls(&self) -> Vec<Call> {
        let open = self.calls.iter().filter(|(_, open)| open.end.is_none());
        let mut open: Vec<Call> = open.map(|(call, _)| *call).collect();
        open.sort_unstable();
        open
    }

    /// Reserves a call for a thread that asks for it. `false` if there is none: its outcome was taken.
    pub(crate) fn claim(&mut self, call: Call) -> bool {
        let Some(open) = self.calls.get_mut(&call) else { return false };
        open.claims += 1;
        // Nobody else can have it.
        open.offers += 1;
        true
    }

    /// The thread asks no longer.
    pub(crate) fn unclaim(&mut self, call: Call) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        open.claims -= 1;
        if open.claims == 0 && open.end.is_some() {
            self.offer(call);
        }
    }

    /// Takes the outcome of a call that was claimed: `Some(None)` if somebody else did.
    pub(crate) fn take(&mut self, call: Call) -> Option<Option<End>> {
        match self.calls.get(&call) {
            None => Some(None),
            Some(Open { end: None, .. }) => None,
            Some(_) => Some(self.remove(call)),
        }
    }

    fn remove(&mut self, call: Call) -> Option<End> {
        let open = self.calls.remove(&call)?;
        if let Some(client) = self.clients.get_mut(&open.client) {
            client.calls -= 1;
        }
        open.end
    }

    /// Takes an outcome that nobody claims.
    pub(crate) fn take_any(&mut self, number: ClientNumber) -> Option<(Call, End)> {
        let client = self.clients.get_mut(&number)?;
        while let Some((call, offer)) = client.ended.pop_front() {
            let Entry::Occupied(open) = self.calls.entry(call) else { continue };
            if open.get().offers == offer {
                client.calls -= 1;
                return Some((call, open.remove().end?));
            }
        }
        None
    }

    /// An outcome that nobody claims is there.
    fn offer(&mut self, call: Call) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        let number = open.client;
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.ended.push_back((call, open.offers));
        self.crew.tell_one(Event::AnyReply(number));
        if client.ended.len() > 2 * client.calls + CLAIMED_MAX {
            let calls = &self.calls;
            client
                .ended
                .retain(|(call, offer)| calls.get(call).is_some_and(|open| open.offers == *offer));
        }
    }

    /// A call has ended.
    pub(crate) fn end(&mut self, call: Call, end: End) {
        // Without a client nobody wants to know.
        let Some(open) = self.calls.get_mut(&call) else { return };
        open.end = Some(end);
        match open.claims {
            0 => self.offer(call),
            _ => self.crew.tell_all(Event::Reply(call)),
        }
    }

    // ---- ports

    /// Threads that wait there may take requests.
    pub(crate) fn opened(&mut self, port: ServerPort) {
        self.ports.insert(port, true);
    }

    /// Threads that wait there leave.
    pub(crate) fn finished(&mut self, port: ServerPort) {
        if let Some(open) = self.ports.get_mut(&port) {
            *open = false;
            self.crew.tell_all(Event::Request(port));
        }
    }

    /// Nobody has it any more.
    pub(crate) fn closed(&mut self, port: ServerPort) {
        self.finished(port);
        self.ports.remove(&port);
        self.cancelled.retain(|_, at| *at != port);
    }

    pub(super) fn ports(&self) -> Vec<ServerPort> {
        let mut ports: Vec<ServerPort> = self.ports.keys().copied().collect();
        ports.sort_unstable();
        ports
    }

    /// Whether requests are taken there.
    pub(crate) fn is_open(&self, port: ServerPort) -> bool {
        self.ports.get(&port).is_some_and(|open| *open)
    }

    /// A request has come, for one thread.
    pub(crate) fn requested(&mut self, port: ServerPort) {
        self.crew.tell_one(Event::Request(port));
    }

    /// A request in the hands of a thread is not wanted any more.
    pub(crate) fn cancelled(&mut self, port: ServerPort, call: CallId) {
        self.cancelled.insert(call, port);
    }

    pub(super) fn is_cancelled(&self, call: CallId) -> bool {
        self.cancelled.contains_key(&call)
    }

    /// It is in nobody's hands any more.
    pub(super) fn answered(&mut self, call: CallId) {
        self.cancelled.remove(&call);
    }

    // ---- jobs

    pub(super) fn new_job(&mut self) -> Serial {
        self.last_job += 1;
        let serial = Serial(self.last_job);
        self.jobs.insert(serial, None);
        serial
    }

    /// A job is done, or refused; `false` if nobody wants to know any more.
    pub(crate) fn done(&mut self, serial: Serial, done: Result<Done, SendError>) -> bool {
        let Some(job) = self.jobs.get_mut(&serial) else { return false };
        *job = Some(done);
        self.crew.tell_all(Event::Done(serial));
        true
    }

    /// Takes what was done.
    pub(crate) fn take_done(&mut self, serial: Serial) -> Option<Result<Done, SendError>> {
        self.jobs.get(&serial)?.as_ref()?;
        self.jobs.remove(&serial)?
    }

    /// Nobody waits for it any longer.
    pub(super) fn forget(&mut self, serial: Serial) {
        self.jobs.remove(&serial);
    }

    /// Jobs that were not done and for which threads wait.
    pub(super) fn open_jobs(&self) -> Vec<Serial> {
        self.jobs.iter().filter(|(_, done)| done.is_none()).map(|(serial, _)| *serial).collect()
    }
}

/// As the interface says it.
pub(crate) fn end_of(outcome: Outcome) -> End {
    match outcome {
        Outcome::Reply(body) => Ok(body),
        Outcome::NotExecuted(why) => Err(why.into()),
        Outcome::Unknown(why) => Err(why.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> End {
        Ok(Bytes::from_static(b"reply"))
    }

    /// An outcome is claimed after anybody could have it, and is not wanted after all: it is the last then.
    #[test]
    fn a_claimed_outcome_is_nobody_elses() {
        let (mut desk, client) = (Desk::default(), ClientNumber::new());
        for call in [1, 2, 3].map(Call) {
            desk.open(call, client, false);
            desk.end(call, reply());
        }
        assert!(desk.claim(Call(1)) && desk.claim(Call(2)));
        assert_eq!(desk.take(Call(2)), Some(Some(reply())));
        assert_eq!(desk.take_any(client), Some((Call(3), reply())));
        assert_eq!(desk.take_any(client), None);
        desk.unclaim(Call(1));
        assert_eq!(desk.take_any(client), Some((Call(1), reply())));
        assert!(!desk.claim(Call(1)));
        assert_eq!(desk.calls(), 0);
    }

    /// Whoever only ever asks for outcomes by name leaves nothing behind.
    #[test]
    fn claimed_outcomes_are_not_kept() {
        let (mut desk, client) = (Desk::default(), ClientNumber::new());
        for call in (0..10_000).map(Call) {
            desk.open(call, client, false);
            desk.end(call, reply());
            assert!(desk.claim(call));
            assert_eq!(desk.take(call), Some(Some(reply())));
            assert!(desk.clients[&client].ended.len() <= CLAIMED_MAX + 2);
        }
        assert_eq!(desk.take_any(client), None);
    }
}
