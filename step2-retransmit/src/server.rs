//! The answering half: requests in the service's hands.
//!
//! Invariant: every request in `serving` was handed to the service and has not been answered.

use std::net::SocketAddr;

use crate::config::Config;
use crate::site::{CallId, Deliver, Effects, Note, SendError};
use crate::wire::{Kind, Packet};

#[derive(Debug)]
pub(crate) struct Server {
    config: Config,
    serving: Vec<CallId>,
}

impl Server {
    pub(crate) fn new(config: Config) -> Self {
        Server { config, serving: Vec::new() }
    }

    pub(crate) fn handle_request(&mut self, from: SocketAddr, request: Packet, out: &mut Effects) {
        if self.serving.len() == self.config.serving_max {
            return out.note(Note::NoRoom);
        }
        // A duplicate looks like any other request, so it is served like any other.
        let call = CallId { peer: from };
        self.serving.push(call);
        out.deliver(Deliver::Request { call, body: request.body });
    }

    pub(crate) fn send_reply(
        &mut self,
        call: CallId,
        body: Vec<u8>,
        out: &mut Effects,
    ) -> Result<(), SendError> {
        let position = self.serving.iter().position(|&serving| serving == call);
        self.serving.remove(position.ok_or(SendError::NotServing)?);
        let packet = Packet { kind: Kind::Reply, body };
        out.send(call.peer, packet);
        Ok(())
    }

    pub(crate) fn entries(&self) -> usize {
        self.serving.len()
    }
}
