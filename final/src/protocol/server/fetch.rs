//! Large replies, sent in fragments as their clients ask for them (R41).

use std::net::SocketAddr;

use bytes::Bytes;

use super::super::effects::Effects;
use super::super::fragments::{Half, Ranges, is_large, tag};
use super::super::ids::CallId;
use super::super::kind::Credit;
use super::super::rtt::RoundTrip;
use super::super::tombstone::{Answer, Standing, State};
use super::{Came, Server};

impl Server {
    /// The first packet of a large reply left: what follows. From here on its client asks, and what it
    /// asks for must be kept (R23).
    pub(super) fn send_rest(
        &mut self,
        call: CallId,
        to: SocketAddr,
        body: &Bytes,
        out: &mut Effects,
    ) {
        let until = out.now.running + self.config.working_lifetime();
        let Some((_, server)) = self.told(call, until) else { return };
        out.send_rest(tag(call, server, Half::Reply), to, body);
    }

    /// The client says what it has of its reply. As a heartbeat, it is answered for this call and for no
    /// other (R28).
    pub(super) fn handle_fetch(
        &mut self,
        came: Came,
        floor: u64,
        credit: Credit,
        out: &mut Effects,
    ) {
        let call = came.packet.call();
        if self.standing(call) != Standing::Recorded {
            return self.handle_heartbeat(came, floor, out);
        }
        self.hear(came, floor, out);
        let until = out.now.running + self.config.working_lifetime();
        let Some((_, server)) = self.told(call, until) else { return };
        let now = out.now.running;
        let Some(record) = self.record(call) else { return };
        record.heard = now;
        let State::Done(Answer::Reply(body)) = &record.state else {
            return self.answer_asked(came, out);
        };
        if !is_large(body) {
            return self.answer_asked(came, out);
        }
        let here = came.from == record.address && record.paid.is_none();
        if !came.valid && !here {
            return self.challenge(came, out);
        }
        (record.address, record.paid) = (came.from, None);
        let (body, idempotent) = (body.clone(), record.is_idempotent());
        let Some(have) = Ranges::decode(&came.packet.body) else { return };
        let whole = have.prefix() as usize > body.len();
        let tag = tag(call, server, Half::Reply);
        out.handle_credit(tag, came.from, &body, credit, have, RoundTrip::default());
        if whole && idempotent {
            self.drop_record(call, out);
        }
    }
}
