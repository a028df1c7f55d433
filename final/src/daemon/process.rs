//! What the daemon knows of a process that is attached.
//!
//! Invariant: only what is in a process's own tables can be named by it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::limits::{PORTS_MAX, TAKES_SEEN_MAX};
use super::long::Long;
use crate::local::Broken;
use crate::local::bell::Bell;
use crate::local::message::Down;
use crate::local::outbox::Outbox;
use crate::local::parts::{Came, Parts, long_bytes};
use crate::local::queues::Names;
use crate::local::room::Room;
use crate::protocol::{Call, CallId, SendError, ServerPort, Table, Time};

/// One of them.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) who: Who,
    outbox: Outbox,
    /// What it has said by half.
    parts: Parts,
    /// How many bytes long messages have that are counted as waiting for it.
    long_waiting: usize,
    /// Requests were not handed over, for it had not read the last ones.
    pub(super) is_behind: bool,
    bell: Arc<Bell>,
    /// The queues of its channel, if it has such.
    pub(super) queues: Option<Names>,
    /// Its open calls: the site's name for each, and its own, with the bytes that count.
    calls: Table<Call, (u64, usize)>,
    asked_bytes: usize,
    own_names: Table<u64, Call>,
    ports: HashSet<ServerPort>,
    /// How many requests it has in hand or may be handed.
    takes: u32,
}

/// What the kernel says of it, and since when it is attached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    pub(super) pid: i32,
    pub(super) user: u32,
    /// By the clock that counts the machine's sleep.
    pub(super) since: Time,
}

/// A port of a process.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// How many requests may be handed over.
    pub(super) free: u32,
    /// Those that were, and are not answered.
    pub(super) full: HashSet<CallId>,
    /// What is registered for it.
    pub(super) names: Vec<String>,
}

impl Process {
    pub(super) fn new(
        who: Who,
        mut outbox: Outbox,
        bell: Arc<Bell>,
        queues: Option<Names>,
        long: &Long,
    ) -> Process {
        outbox.allow(long.process_max);
        Process {
            who,
            outbox,
            parts: Parts::new(who.user, long.message_max, long.process_max),
            long_waiting: 0,
            is_behind: false,
            bell,
            queues,
            calls: Table::default(),
            asked_bytes: 0,
            own_names: Table::default(),
            ports: HashSet::new(),
            takes: 0,
        }
    }

    // ---- its channel

    /// Tells it something, now or as soon as it has room.
    pub(super) fn tell(
        &mut self,
        what: &Down,
        body: Bytes,
        buffer: &mut Vec<u8>,
        room: &mut Room,
    ) -> Result<(), Broken> {
        what.encode(&[], buffer);
        let bytes = long_bytes(&body);
        room.take_anyway(self.who.user, bytes);
        self.long_waiting += bytes;
        let ring = self.outbox.push_all(buffer, body, what.order())?;
        self.ring_if(ring);
        self.settle(room);
        Ok(())
    }

    /// It has rung, or may have room: it gets what waits for it.
    pub(super) fn wake(&mut self, room: &mut Room) -> Result<(), Broken> {
        self.outbox.channel().woke();
        let ring = self.outbox.flush()?;
        self.ring_if(ring);
        self.settle(room);
        Ok(())
    }

    /// What has left is not held any more.
    fn settle(&mut self, room: &mut Room) {
        let waiting = self.outbox.long_bytes();
        room.give(self.who.user, self.long_waiting.saturating_sub(waiting));
        self.long_waiting = waiting;
    }

    /// What it has sent next, if anything.
    pub(super) fn receive<'a>(
        &mut self,
        buffer: &'a mut Vec<u8>,
        room: &mut Room,
    ) -> Result<Option<Came<'a>>, Broken> {
        match self.outbox.channel().try_receive(buffer)? {
            true => self.parts.take(buffer, room).map(Some),
            false => Ok(None),
        }
    }

    /// How many bytes long messages have that wait until it reads.
    pub(super) fn long_waiting(&self) -> usize {
        self.long_waiting
    }

    /// All that is held of its long messages.
    pub(super) fn held(&self) -> usize {
        self.parts.claimed() + self.asked_bytes + self.long_waiting
    }

    /// No more is read in this turn: it is told if there is room again.
    pub(super) fn rest(&mut self) {
        let ring = self.outbox.channel().freed();
        self.ring_if(ring);
    }

    /// It will ring when it sends something; `false` if it has already.
    pub(super) fn may_sleep(&mut self) -> Result<bool, Broken> {
        self.outbox.channel().may_sleep()
    }

    /// How many messages wait until it reads.
    pub(super) fn waiting(&self) -> usize {
        self.outbox.waiting()
    }

    fn ring_if(&self, ring: bool) {
        if ring {
            self.bell.ring();
        }
    }

    // ---- its calls

    pub(super) fn has_call(&self, own_name: u64) -> bool {
        self.own_names.contains_key(&own_name)
    }

    pub(super) fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// How many bytes count of those.
    pub(super) fn asked_bytes(&self) -> usize {
        self.asked_bytes
    }

    pub(super) fn called(&mut self, own_name: u64, call: Call, bytes: usize, room: &mut Room) {
        room.take_anyway(self.who.user, bytes);
        self.calls.insert(call, (own_name, bytes));
        self.asked_bytes += bytes;
        self.own_names.insert(own_name, call);
    }

    pub(super) fn call(&self, own_name: u64) -> Option<Call> {
        self.own_names.get(&own_name).copied()
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        let mut calls: Vec<Call> = self.calls.keys().copied().collect();
        calls.sort_unstable();
        calls
    }

    /// A call has ended: its own name for it, once.
    pub(super) fn end_call(&mut self, call: Call, room: &mut Room) -> Option<u64> {
        let (own_name, bytes) = self.calls.remove(&call)?;
        self.own_names.remove(&own_name);
        self.asked_bytes -= bytes;
        room.give(self.who.user, bytes);
        Some(own_name)
    }

    // ---- its ports

    pub(super) fn may_open(&self) -> Result<(), SendError> {
        if self.ports.len() < PORTS_MAX { Ok(()) } else { Err(SendError::TooManyPorts) }
    }

    pub(super) fn opened(&mut self, port: ServerPort) {
        self.ports.insert(port);
    }

    pub(super) fn has_port(&self, port: ServerPort) -> bool {
        self.ports.contains(&port)
    }

    pub(super) fn ports(&self) -> Vec<ServerPort> {
        let mut ports: Vec<ServerPort> = self.ports.iter().copied().collect();
        ports.sort_unstable();
        ports
    }

    /// It wants no more there.
    pub(super) fn finished(&mut self, hands: &mut Hands) {
        self.takes = self.takes.saturating_sub(std::mem::take(&mut hands.free));
    }

    pub(super) fn closed(&mut self, port: ServerPort, hands: &Hands) {
        self.ports.remove(&port);
        self.takes = self.takes.saturating_sub(hands.free + hands.full.len() as u32);
    }

    /// One more request may be handed to it.
    pub(super) fn take(&mut self) -> Result<(), Broken> {
        if self.takes >= TAKES_SEEN_MAX {
            return Err(Broken("it wants more requests at once than was agreed"));
        }
        self.takes += 1;
        Ok(())
    }

    /// It has one less in hand.
    pub(super) fn replied(&mut self) {
        self.takes = self.takes.saturating_sub(1);
    }

    /// It hears the end.
    pub(super) fn end(&self) {
        self.bell.end();
    }
}
