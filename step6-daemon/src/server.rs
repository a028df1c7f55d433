//! The answering half: one record for every call, made before the service runs.
//!
//! Invariant: a record outlives every copy of its request, and no request of another life is served,
//! so no call is handed over twice.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;
use crate::epoch::Epoch;
use crate::site::{CallId, Deliver, Effects, Note, SendError, Time};
use crate::timers::Timer;
use crate::wire::{Kind, Packet};

#[derive(Debug)]
pub(crate) struct Server {
    config: Config,
    epoch: Epoch,
    records: HashMap<CallId, Record>,
}

#[derive(Debug)]
enum Record {
    /// The service has the request in its hands.
    Serving { forget_at: Time },
    /// The service has answered; a duplicate gets the same reply.
    Replied { reply: Packet },
}

impl Server {
    pub(crate) fn new(config: Config, epoch: Epoch) -> Self {
        Server { config, epoch, records: HashMap::new() }
    }

    pub(crate) fn handle_request(
        &mut self,
        from: SocketAddr,
        request: Packet,
        (patience, retransmit_after): (Duration, Duration),
        out: &mut Effects,
    ) {
        if self.refuses(from, &request, out) {
            return;
        }
        let call = CallId { peer: from, epoch: request.client, seq: request.seq };
        match self.records.get(&call) {
            // The acknowledgement may have been lost.
            Some(Record::Serving { .. }) => {
                out.note(Note::DuplicateInService);
                return self.handle_acknowledge(call, out);
            }
            Some(Record::Replied { reply }) => {
                out.note(Note::DuplicateAnswered);
                return out.send(from, reply.clone());
            }
            None if self.records.len() == self.config.records_max => return out.note(Note::NoRoom),
            None => {}
        }
        let forget_at = out.now + self.config.reply_lifetime(patience);
        self.records.insert(call, Record::Serving { forget_at });
        // Before the client's own timer is due (§3.3).
        out.timers.arm(Timer::Acknowledge(call), out.now + retransmit_after / 2);
        out.deliver(Deliver::Request { call, body: request.body });
    }

    pub(crate) fn send_reply(
        &mut self,
        call: CallId,
        body: Vec<u8>,
        out: &mut Effects,
    ) -> Result<(), SendError> {
        let reply = Packet { body, ..self.about(call, Kind::Reply) };
        let Some(record) = self.records.get_mut(&call) else { return Err(SendError::NotServing) };
        let Record::Serving { forget_at } = *record else { return Err(SendError::NotServing) };
        *record = Record::Replied { reply: reply.clone() };
        out.timers.cancel(Timer::Acknowledge(call));
        out.timers.arm(Timer::Forget(call), forget_at);
        out.send(call.peer, reply);
        Ok(())
    }

    /// The service has the request still: tells the client (§3.3).
    pub(crate) fn handle_acknowledge(&mut self, call: CallId, out: &mut Effects) {
        if let Some(Record::Serving { forget_at }) = self.records.get_mut(&call) {
            *forget_at = (*forget_at).max(out.now + self.config.heartbeat_lifetime());
            out.send(call.peer, self.about(call, Kind::Working));
        }
    }

    /// The stethoscope: answers for this call, and for no other (§3.3).
    pub(crate) fn handle_heartbeat(&mut self, from: SocketAddr, packet: Packet, out: &mut Effects) {
        if self.refuses(from, &packet, out) {
            return;
        }
        let call = CallId { peer: from, epoch: packet.client, seq: packet.seq };
        match self.records.get(&call) {
            Some(Record::Serving { .. }) => self.handle_acknowledge(call, out),
            Some(Record::Replied { reply }) => out.send(from, reply.clone()),
            None => out.send(from, self.about(call, Kind::NoCall)),
        }
    }

    /// Refuses what names another life of this server: that one may have served it (§3.4).
    fn refuses(&self, from: SocketAddr, packet: &Packet, out: &mut Effects) -> bool {
        if packet.server == self.epoch {
            return false;
        }
        out.note(Note::StaleRequest);
        let kind = Kind::Stale { present: self.epoch };
        out.send(from, Packet { kind, body: Vec::new(), ..*packet });
        true
    }

    fn about(&self, call: CallId, kind: Kind) -> Packet {
        let (client, server) = (call.epoch, self.epoch);
        Packet { kind, client, server, seq: call.seq, body: Vec::new() }
    }

    /// Every copy of the request is dead: frees its reply (§3.2).
    pub(crate) fn handle_forget(&mut self, call: CallId, out: &mut Effects) {
        self.records.remove(&call);
        out.note(Note::Forgotten);
    }

    pub(crate) fn entries(&self) -> usize {
        self.records.len()
    }
}
