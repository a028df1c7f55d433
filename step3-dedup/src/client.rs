//! The asking half: calls that await their reply.
//!
//! Invariant: a call is in `calls` from its request to its end, and whoever removes it ends it. No
//! number is used twice, and no request is handed out when its patience is over.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::Config;
use crate::site::{CallError, CallId, Deliver, Effects, Note, SendError, Time};
use crate::timers::Timer;
use crate::wire::{Kind, Packet};

#[derive(Debug)]
pub(crate) struct Client {
    config: Config,
    calls: HashMap<CallId, Call>,
    last_seq: u64,
}

#[derive(Debug)]
struct Call {
    body: Vec<u8>,
    gives_up: Time,
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        Client { config, calls: HashMap::new(), last_seq: 0 }
    }

    pub(crate) fn send_request(
        &mut self,
        to: SocketAddr,
        body: Vec<u8>,
        out: &mut Effects,
    ) -> Result<CallId, SendError> {
        if self.calls.len() == self.config.calls_max {
            return Err(SendError::TooManyCalls);
        }
        self.last_seq += 1;
        let call = CallId { peer: to, seq: self.last_seq };
        self.calls.insert(call, Call { body, gives_up: out.now + self.config.patience() });
        self.handle_retransmit(call, out);
        Ok(call)
    }

    /// Sends the request, for the first time or again, or gives up (§3.1).
    pub(crate) fn handle_retransmit(&mut self, id: CallId, out: &mut Effects) {
        let Some(call) = self.calls.get(&id) else { return };
        // By the clock, not by a count: whoever was suspended may have no time left.
        let left = call.gives_up.saturating_sub(out.now);
        if left.is_zero() {
            self.calls.remove(&id);
            return out.deliver(Deliver::Failed { call: id, error: CallError::Unreachable });
        }
        // Rounded up: the server may keep the reply for longer, never for less.
        let patience = u16::try_from(left.as_nanos().div_ceil(1_000_000));
        let kind = Kind::Request { patience: patience.expect("the configuration was checked") };
        out.send(id.peer, Packet { kind, seq: id.seq, body: call.body.clone() });
        out.timers.arm(Timer::Retransmit(id), out.now + left.min(self.config.retransmit_after));
    }

    pub(crate) fn handle_reply(&mut self, from: SocketAddr, reply: Packet, out: &mut Effects) {
        let call = CallId { peer: from, seq: reply.seq };
        if self.calls.remove(&call).is_none() {
            return out.note(Note::StrayReply);
        }
        out.timers.cancel(Timer::Retransmit(call));
        out.deliver(Deliver::Reply { call, body: reply.body });
    }

    pub(crate) fn entries(&self) -> usize {
        self.calls.len()
    }
}
