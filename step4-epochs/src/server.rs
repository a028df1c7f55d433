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
        patience: u16,
        out: &mut Effects,
    ) {
        // Before all else: a former life may have served it (§3.4).
        if request.server != self.epoch {
            let kind = Kind::Stale { present: self.epoch };
            out.note(Note::StaleRequest);
            return out.send(from, Packet { kind, body: Vec::new(), ..request });
        }
        let call = CallId { peer: from, epoch: request.client, seq: request.seq };
        match self.records.get(&call) {
            // The reply will answer the duplicate, too.
            Some(Record::Serving { .. }) => return out.note(Note::DuplicateInService),
            Some(Record::Replied { reply }) => {
                out.note(Note::DuplicateAnswered);
                return out.send(from, reply.clone());
            }
            None if self.records.len() == self.config.records_max => return out.note(Note::NoRoom),
            None => {}
        }
        let patience = Duration::from_millis(patience.into());
        let forget_at = out.now + self.config.reply_lifetime(patience);
        self.records.insert(call, Record::Serving { forget_at });
        out.deliver(Deliver::Request { call, body: request.body });
    }

    pub(crate) fn send_reply(
        &mut self,
        call: CallId,
        body: Vec<u8>,
        out: &mut Effects,
    ) -> Result<(), SendError> {
        let Some(record) = self.records.get_mut(&call) else { return Err(SendError::NotServing) };
        let Record::Serving { forget_at } = *record else { return Err(SendError::NotServing) };
        let (client, server) = (call.epoch, self.epoch);
        let reply = Packet { kind: Kind::Reply, client, server, seq: call.seq, body };
        *record = Record::Replied { reply: reply.clone() };
        out.timers.arm(Timer::Forget(call), forget_at);
        out.send(call.peer, reply);
        Ok(())
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
