//! The asking half: calls that await their reply.
//!
//! Invariant: a call is in `calls` from its request to its end, and whoever removes it ends it. No
//! number is used twice, and no request is handed out when its patience is over.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::Config;
use crate::epoch::Epoch;
use crate::site::{CallError, CallId, Deliver, Effects, Note, Port, SendError, Time};
use crate::timers::Timer;
use crate::wire::{Kind, Packet};

#[derive(Debug)]
pub(crate) struct Client {
    config: Config,
    epoch: Epoch,
    calls: HashMap<CallId, Call>,
    last_seq: u64,
}

#[derive(Debug)]
struct Call {
    server: Epoch,
    body: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing was heard of it.
    Sent { gives_up: Time },
    /// The server has it; so many heartbeats in a row went unanswered.
    Working { missed: u32 },
}

impl Client {
    pub(crate) fn new(config: Config, epoch: Epoch) -> Self {
        Client { config, epoch, calls: HashMap::new(), last_seq: 0 }
    }

    pub(crate) fn send_request(
        &mut self,
        to: Port,
        body: Vec<u8>,
        out: &mut Effects,
    ) -> Result<CallId, SendError> {
        if self.calls.len() == self.config.calls_max {
            return Err(SendError::TooManyCalls);
        }
        self.last_seq += 1;
        let call = CallId { peer: to.address, epoch: self.epoch, seq: self.last_seq };
        let gives_up = out.now + self.config.patience();
        let state = State::Sent { gives_up };
        self.calls.insert(call, Call { server: to.epoch, body, state });
        self.handle_retransmit(call, out);
        Ok(call)
    }

    /// Sends the request, for the first time or again, or gives up (§3.1).
    pub(crate) fn handle_retransmit(&mut self, id: CallId, out: &mut Effects) {
        let Some(call) = self.calls.get(&id) else { return };
        let State::Sent { gives_up } = call.state else { return };
        // By the clock, not by a count: whoever was suspended may have no time left.
        let left = gives_up.saturating_sub(out.now);
        if left.is_zero() {
            self.calls.remove(&id);
            return out.deliver(Deliver::Failed { call: id, error: CallError::Unreachable });
        }
        // Rounded up: the server may keep the reply for longer, never for less.
        let patience = u16::try_from(left.as_nanos().div_ceil(1_000_000));
        let patience = patience.expect("the configuration was checked");
        let retransmit_after = self.config.retransmit_after.as_millis() as u16;
        let kind = Kind::Request { patience, retransmit_after };
        let (server, body) = (call.server, call.body.clone());
        out.send(id.peer, Packet { kind, client: id.epoch, server, seq: id.seq, body });
        out.timers.arm(Timer::Retransmit(id), out.now + left.min(self.config.retransmit_after));
    }

    /// The server has it: no more copies, but heartbeats (§3.3).
    pub(crate) fn handle_working(&mut self, from: SocketAddr, working: Packet, out: &mut Effects) {
        let Some(id) = self.find(from, &working, out) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let State::Sent { .. } = call.state {
            out.timers.cancel(Timer::Retransmit(id));
            out.timers.arm(Timer::Heartbeat(id), out.now + self.config.heartbeat_every);
        }
        call.state = State::Working { missed: 0 };
    }

    /// Asks after the call, or gives up (§3.3).
    pub(crate) fn handle_heartbeat(&mut self, id: CallId, out: &mut Effects) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let State::Working { missed } = &mut call.state else { return };
        if *missed == self.config.heartbeats_missed_max {
            self.calls.remove(&id);
            return out.deliver(Deliver::Failed { call: id, error: CallError::Unreachable });
        }
        *missed += 1;
        let (kind, server) = (Kind::Heartbeat, call.server);
        let body = Vec::new();
        out.send(id.peer, Packet { kind, client: id.epoch, server, seq: id.seq, body });
        out.timers.arm(Timer::Heartbeat(id), out.now + self.config.heartbeat_every);
    }

    /// The server has forgotten the call. Its service has run, or the server would still have it; but
    /// the reply is lost.
    pub(crate) fn handle_no_call(&mut self, from: SocketAddr, no_call: Packet, out: &mut Effects) {
        let Some(id) = self.find(from, &no_call, out) else { return };
        // Nobody has asked yet, so this is no answer.
        if let State::Sent { .. } = self.calls[&id].state {
            return out.note(Note::StrayReply);
        }
        self.end(from, &no_call, out);
        out.deliver(Deliver::Failed { call: id, error: CallError::Forgotten });
    }

    pub(crate) fn handle_reply(&mut self, from: SocketAddr, reply: Packet, out: &mut Effects) {
        if let Some(call) = self.end(from, &reply, out) {
            out.deliver(Deliver::Reply { call, body: reply.body });
        }
    }

    /// The server has begun another life (§3.4). Whether the service ran in the former one nobody
    /// can tell, so the call is not sent again.
    pub(crate) fn handle_stale(
        &mut self,
        from: SocketAddr,
        stale: Packet,
        present: Epoch,
        out: &mut Effects,
    ) {
        if let Some(call) = self.end(from, &stale, out) {
            out.deliver(Deliver::Failed { call, error: CallError::ServerRestarted { present } });
        }
    }

    /// Removes the call that a packet is about.
    fn end(&mut self, from: SocketAddr, packet: &Packet, out: &mut Effects) -> Option<CallId> {
        let id = self.find(from, packet, out)?;
        self.calls.remove(&id);
        out.timers.cancel(Timer::Retransmit(id));
        out.timers.cancel(Timer::Heartbeat(id));
        Some(id)
    }

    /// The call that a packet is about, if it names it whole: this life of the client, the number,
    /// and the life of the server that the call is meant for.
    fn find(&self, from: SocketAddr, packet: &Packet, out: &mut Effects) -> Option<CallId> {
        if packet.client != self.epoch {
            out.note(Note::Orphan);
            return None;
        }
        let id = CallId { peer: from, epoch: packet.client, seq: packet.seq };
        if self.calls.get(&id).is_none_or(|call| call.server != packet.server) {
            out.note(Note::StrayReply);
            return None;
        }
        Some(id)
    }

    pub(crate) fn entries(&self) -> usize {
        self.calls.len()
    }
}
