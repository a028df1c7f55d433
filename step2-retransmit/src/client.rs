//! The asking half: calls that await their reply.
//!
//! Invariant: a call is in `calls` from its request to its end, and whoever removes it ends it.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::Config;
use crate::site::{CallError, CallId, Deliver, Effects, Note, SendError};
use crate::timers::Timer;
use crate::wire::{Kind, Packet};

#[derive(Debug)]
pub(crate) struct Client {
    config: Config,
    calls: HashMap<CallId, Call>,
}

#[derive(Debug)]
struct Call {
    request: Packet,
    sent: u32,
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        Client { config, calls: HashMap::new() }
    }

    pub(crate) fn send_request(
        &mut self,
        to: SocketAddr,
        body: Vec<u8>,
        out: &mut Effects,
    ) -> Result<CallId, SendError> {
        let call = CallId { peer: to };
        // Nothing in a reply says which request it answers, so there can be but one.
        if self.calls.contains_key(&call) {
            return Err(SendError::Outstanding);
        }
        let request = Packet { kind: Kind::Request, body };
        self.calls.insert(call, Call { request, sent: 0 });
        self.handle_retransmit(call, out);
        Ok(call)
    }

    /// Sends the request, for the first time or again, or gives up (§3.1).
    pub(crate) fn handle_retransmit(&mut self, id: CallId, out: &mut Effects) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.sent > self.config.retransmits_max {
            self.calls.remove(&id);
            return out.deliver(Deliver::Failed { call: id, error: CallError::Unreachable });
        }
        call.sent += 1;
        out.send(id.peer, call.request.clone());
        out.timers.arm(Timer::Retransmit(id), out.now + self.config.retransmit_after);
    }

    pub(crate) fn handle_reply(&mut self, from: SocketAddr, reply: Packet, out: &mut Effects) {
        let call = CallId { peer: from };
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
