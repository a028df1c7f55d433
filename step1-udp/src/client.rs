//! The asking half: calls that await their reply.
//!
//! Invariant: a call is in `calls` from its request to its end, and whoever removes it ends it.

use std::collections::HashSet;
use std::net::SocketAddr;

use crate::site::{CallId, Deliver, Effects, Note, SendError};
use crate::wire::{Kind, Packet};

#[derive(Debug, Default)]
pub(crate) struct Client {
    calls: HashSet<CallId>,
}

impl Client {
    pub(crate) fn send_request(
        &mut self,
        to: SocketAddr,
        body: Vec<u8>,
        out: &mut Effects,
    ) -> Result<CallId, SendError> {
        let call = CallId { peer: to };
        // Nothing in a reply says which request it answers, so there can be but one.
        if !self.calls.insert(call) {
            return Err(SendError::Outstanding);
        }
        let packet = Packet { kind: Kind::Request, body };
        out.send(to, packet);
        Ok(call)
    }

    pub(crate) fn handle_reply(&mut self, from: SocketAddr, reply: Packet, out: &mut Effects) {
        let call = CallId { peer: from };
        if !self.calls.remove(&call) {
            return out.note(Note::StrayReply);
        }
        out.deliver(Deliver::Reply { call, body: reply.body });
    }

    pub(crate) fn entries(&self) -> usize {
        self.calls.len()
    }
}
