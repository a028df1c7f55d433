//! What stands behind the lock: the core, its way to the network, and the processes.
//!
//! Invariant: one event, then every action. A process that breaks its channel is let go when the event
//! is over, and nothing else is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::limits::READ_MAX;
use super::long::Long;
use super::process::{Hands, Process, Who};
use super::watch::Watcher;
use crate::clock;
use crate::embedded::network::Network;
use crate::local::Broken;
use crate::local::bell::Bell;
use crate::local::message::{Down, Ended, patience_ends};
use crate::local::outbox::Outbox;
use crate::local::parts::long_bytes;
use crate::local::queues::Names;
use crate::protocol::{
    Action, Call, CallId, Outcome, ProcessId, ServerPort, Site, Table, Time, Unknown,
};

#[derive(Debug)]
pub(super) struct Inside {
    pub(super) site: Site,
    pub(super) network: Network,
    /// How many calls of one process are open at most.
    pub(super) calls_max: u32,
    /// What long messages may take.
    pub(super) long: Long,
    pub(super) processes: Table<ProcessId, Process>,
    pub(super) ports: Table<ServerPort, (ProcessId, Hands)>,
    /// The processes that watch the calls.
    pub(super) watchers: BTreeMap<ProcessId, Watcher>,
    /// Ports where a request may wait, and hands are free.
    ready: VecDeque<ServerPort>,
    /// Processes that are let go when the event is over.
    broken: Vec<(ProcessId, Broken)>,
    /// What is told, before it is sent.
    buffer: Vec<u8>,
    /// Until when Timer sleeps; zero if it does not.
    pub(super) timer_sleeps: Time,
    stage: Stage,
}

/// How far the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Runs,
    /// All calls have ended, all ports are closed; processes read what they were told, and leave.
    Stops,
    /// The threads leave.
    Stopped,
}

impl Inside {
    pub(super) fn new(site: Site, network: Network, calls_max: u32) -> Inside {
        Inside {
            site,
            network,
            calls_max,
            long: Long::default(),
            processes: Table::default(),
            ports: Table::default(),
            watchers: BTreeMap::new(),
            ready: VecDeque::new(),
            broken: Vec::new(),
            buffer: Vec::new(),
            timer_sleeps: Time::ZERO,
            stage: Stage::Runs,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    // ---- processes

    /// A process is attached.
    ///
    /// Numbers of queues come round again. If another process has one of this number, it removed its
    /// own, and would now read this one's: it is let go.
    pub(super) fn attach(
        &mut self,
        id: ProcessId,
        who: Who,
        outbox: Outbox,
        bell: Arc<Bell>,
        queues: Option<Names>,
    ) {
        for name in queues.iter().flatten() {
            let has = |it: &Process| it.queues.iter().flatten().any(|own| own.id == name.id);
            let robbed = self.processes.iter().filter(|(_, it)| has(it));
            let gone = Broken("it removed its queue");
            self.broken.extend(robbed.map(|(id, _)| (*id, gone)));
        }
        self.follow();
        self.processes.insert(id, Process::new(who, outbox, bell, queues, &self.long));
    }

    /// A process is gone, or is let go: its ports close, its calls are called off (R16, R28).
    pub(super) fn detach(&mut self, id: ProcessId) {
        let Some(process) = self.processes.remove(&id) else { return };
        process.end();
        self.long.room.give(process.who.user, process.held());
        for port in process.ports() {
            self.ports.remove(&port);
        }
        self.unwatch(id);
        self.site.end_process(clock::now(), id);
        self.follow();
    }

    /// Its channel cannot be used any more.
    pub(super) fn let_go(&mut self, id: ProcessId, broken: Broken) {
        self.broken.push((id, broken));
    }

    /// Tells a process something; it may not get lost (R19).
    /// `false` if it is not there any more, or will not be.
    pub(super) fn tell(&mut self, id: ProcessId, what: &Down, body: Bytes) -> bool {
        let Some(process) = self.processes.get_mut(&id) else { return false };
        match process.tell(what, body, &mut self.buffer, &mut self.long.room) {
            Ok(()) => true,
            Err(broken) => {
                self.let_go(id, broken);
                false
            }
        }
    }

    // ---- actions

    /// Takes every action out of the core; packets wait for [`Inside::settle`], so that those for one
    /// host travel together.
    pub(super) fn follow(&mut self) {
        loop {
            self.spread();
            while let Some(action) = self.site.poll_action() {
                self.act(action);
                self.spread();
            }
            if let Some(port) = self.ready.pop_front() {
                self.hand_over(port);
            } else if let Some((id, broken)) = self.broken.pop() {
                if self.processes.contains_key(&id) {
                    tracing::warn!(process = id.0, "let go: {broken}");
                }
                self.detach(id);
            } else {
                return;
            }
        }
    }

    /// The event is over: what is to be sent is sent.
    pub(super) fn settle(&mut self) {
        loop {
            self.follow();
            if !self.network.flush(&mut self.site) {
                return;
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send { to, packet } => self.network.send(to, &packet),
            Action::Fragment { to, fragment } => self.network.send_fragment(to, fragment),
            Action::Path { to } => self.network.tell_path(&mut self.site, to),
            Action::End { process, call, outcome } => self.end_call(process, call, &outcome),
            Action::Ready { port } => self.ready.push_back(port),
            Action::Cancelled { port, call } => self.cancelled(port, call),
            Action::Note(note) => self.network.trace().noted(note),
        }
    }

    pub(super) fn end_call(&mut self, id: ProcessId, call: Call, outcome: &Outcome) {
        self.network.trace().ended(outcome);
        let Some(process) = self.processes.get_mut(&id) else { return };
        let (waiting, own_name) =
            (process.long_waiting(), process.end_call(call, &mut self.long.room));
        let Some(call) = own_name else { return };
        let (ended, body) = match outcome {
            // It reads too little, and nobody else may suffer for it.
            Outcome::Reply(body) if !self.may_hold(id, waiting, long_bytes(body)) => {
                tracing::warn!(process = id.0, "there is no room for a long reply");
                (Ended::Unknown(Unknown::ReplyTooBig), Bytes::new())
            }
            Outcome::Reply(body) => (Ended::Reply, body.clone()),
            Outcome::NotExecuted(why) => (Ended::NotExecuted(*why), Bytes::new()),
            Outcome::Unknown(why) => (Ended::Unknown(*why), Bytes::new()),
        };
        self.tell(id, &Down::End { call, ended }, body);
    }

    fn cancelled(&mut self, port: ServerPort, call: CallId) {
        if let Some((id, _)) = self.ports.get(&port) {
            self.tell(*id, &Down::Cancelled { port, call }, Bytes::new());
        }
    }

    /// Hands over what waits at a port, as far as its process has free hands. The core counts a request
    /// as run when it is taken out, and only then is its first byte written (R20).
    pub(super) fn hand_over(&mut self, port: ServerPort) {
        while let Some((id, hands)) = self.ports.get_mut(&port)
            && hands.free > 0
        {
            let (id, now) = (*id, clock::now());
            if !self.may_hand_over(id) {
                return;
            }
            let Some(taken) = self.site.take_request(now, port) else { return };
            if let Some((_, hands)) = self.ports.get_mut(&port) {
                hands.free -= 1;
                hands.full.insert(taken.call);
            }
            self.network.trace().served(port, &taken.body);
            let patience_ends = patience_ends(now.boot, taken.patience);
            let (call, flags) = (taken.call, taken.flags);
            let down = Down::Request { port, call, flags, patience_ends };
            if !self.tell(id, &down, taken.body) {
                return;
            }
            // The core's own actions of this event come first.
            while let Some(action) = self.site.poll_action() {
                self.act(action);
            }
        }
    }

    // ---- the network and the clock

    /// Reads until it has so many datagrams or there are no more, and says how many that was; then does
    /// what is due.
    pub(super) fn read_burst(&mut self, most: usize) -> usize {
        let (read, now) = self.read_until(most);
        // What Timer woke this thread for may have been called off since: then it sleeps until it is told
        // what is due next.
        let was_due = (Time::from_nanos(1)..=now).contains(&self.timer_sleeps);
        if was_due || self.site.deadline().is_some_and(|at| at <= now) {
            self.handle_timeout();
        }
        read
    }

    /// Reads until it has so many, or finds that there are none after this moment.
    fn read_until(&mut self, most: usize) -> (usize, Time) {
        let mut count = 0;
        loop {
            let (came, now) = self.network.read(&mut self.site);
            self.follow();
            while self.network.handle_next(&mut self.site) {
                self.follow();
                count += 1;
            }
            if !came || count >= most {
                return (count, now.running);
            }
        }
    }

    /// What is due is done, after what has come; and Timer is told what is due next.
    fn handle_timeout(&mut self) {
        self.read_until(READ_MAX);
        self.site.handle_timeout(clock::now());
        self.follow();
        self.timer_sleeps = Time::MAX;
    }

    // ---- the end

    /// Ends every call and closes every port, and tells all processes.
    pub(super) fn stop(&mut self) {
        self.stage = Stage::Stops;
        let mut ids: Vec<ProcessId> = self.processes.keys().copied().collect();
        // Those who watch see how the others end.
        ids.sort_unstable_by_key(|id| (self.watchers.contains_key(id), *id));
        for id in ids {
            // First: so it knows that nobody called off what ends now, and may ask the next daemon.
            self.tell(id, &Down::Stopping, Bytes::new());
            let Some(process) = self.processes.get(&id) else { continue };
            for call in process.calls() {
                self.site.cancel(clock::now(), call);
                self.follow();
                // It was to be known for certain, but nobody is left to hear it.
                self.end_call(id, call, &Outcome::Unknown(Unknown::Cancelled));
            }
            self.tell(id, &Down::Stopped, Bytes::new());
            self.site.end_process(clock::now(), id);
            self.follow();
        }
        self.ports.clear();
    }

    /// The threads leave; the processes' channels go.
    pub(super) fn finish(&mut self) {
        self.stage = Stage::Stopped;
        self.processes.clear();
    }
}
