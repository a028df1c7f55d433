//! REQUEST and HEARTBEAT: is it new, and if not, what became of it?

use super::super::broken::Broken;
use super::super::config::Config;
use super::super::effects::Effects;
use super::super::fragments::is_large;
use super::super::ids::CallId;
use super::super::kind::{Flags, Grant, Kind, Ran, Reason};
use super::super::note::Note;
use super::super::timers::Timer;
use super::super::tombstone::{Answer, Record, Standing, State};
use super::{Came, Server};

impl Server {
    /// The order of the checks is the protocol's (R20): the duplicate check comes before every refusal.
    pub(super) fn handle_request(&mut self, came: Came, out: &mut Effects) {
        let Kind::Request { floor, .. } = came.packet.kind else { return };
        let call = came.packet.call();
        let known = self.hear(came, floor, out);
        if self.config.is_broken(Broken::PortBeforeDuplicate)
            && !self.ports.contains_key(&came.packet.server.port)
        {
            return self.refuse(came, Ran::No, Reason::NoSuchPort, out);
        }
        match self.standing(call) {
            Standing::Recorded => return self.handle_duplicate(came, out),
            Standing::Forgotten => {
                out.note(Note::DuplicateForgotten);
                return self.refuse(came, Ran::Maybe, Reason::Forgotten, out);
            }
            Standing::New | Standing::Beyond => {}
        }
        if !known && self.evicted.has(&call.client) {
            out.note(Note::ClosedRefused);
            return self.refuse(came, Ran::Maybe, Reason::PortClosed, out);
        }
        let begins = came.packet.flags.has(Flags::BEGINS);
        if !came.valid && (begins || self.must_show_a_token(known)) {
            return self.challenge(came, out);
        }
        if !self.has_room(came, known, out) {
            out.note(Note::Busy);
            let after = self.config.busy_after.as_millis() as u32;
            return self.answer_packet(came.from, came.packet, Kind::Busy { after }, out);
        }
        // What is refused is refused at once.
        match begins && self.refuses(came.packet).is_none() {
            true => self.build(came, out),
            false => {
                // Its pieces are not needed any more.
                self.drop_half_built(call, out);
                self.admit(came, known, out);
            }
        }
    }

    /// Of a client without tombstone every number is new, as far as the tables know.
    pub(super) fn standing(&self, call: CallId) -> Standing {
        let tombstone = self.tombstones.get(&call.client);
        let below = tombstone.is_some_and(|tombstone| call.seq < tombstone.floor());
        let broken = |rule| self.config.is_broken(rule);
        match tombstone.map_or(Standing::New, |tombstone| tombstone.standing(call.seq)) {
            Standing::Recorded if broken(Broken::DuplicateRuns) => Standing::New,
            Standing::Forgotten if below && broken(Broken::BelowFloorRuns) => Standing::New,
            Standing::Forgotten if !below && broken(Broken::BitForgotten) => Standing::New,
            standing => standing,
        }
    }

    /// Half of each table is for those who are where they say (R36).
    pub(super) fn must_show_a_token(&self, known: bool) -> bool {
        let Config { clients_max, records_max, bytes_max, .. } = self.config;
        (!known && 2 * self.tombstones.len() > clients_max)
            || 2 * self.records > records_max
            || 2 * self.bytes > bytes_max
    }

    pub(super) fn refuse(&self, came: Came, ran: Ran, reason: Reason, out: &mut Effects) {
        self.answer_packet(came.from, came.packet, Kind::Refused { ran, reason }, out);
    }

    pub(super) fn challenge(&self, came: Came, out: &mut Effects) {
        out.note(Note::ChallengeSent);
        let token = self.tokens.issue(out.now.running, came.from, came.packet.client.site);
        self.answer_packet(came.from, came.packet, Kind::Challenge { token }, out);
    }

    /// A copy of a request that has a record (R21, R22, R31).
    fn handle_duplicate(&mut self, came: Came, out: &mut Effects) {
        let Kind::Request { hash, .. } = came.packet.kind else { return };
        let call = came.packet.call();
        let now = out.now.running;
        let first_address = self.config.is_broken(Broken::AnswersFirstAddress);
        let Some(record) = self.record(call) else { return };
        if record.hash.is_some_and(|known| known != hash) {
            out.note(Note::FalseRetry);
            return self.refuse(came, Ran::Maybe, Reason::FalseRetry, out);
        }
        // A challenged copy leaves nothing behind (R36), so this is looked at first.
        let paid = paid_by(record, came);
        let owed = match &record.state {
            State::Done(Answer::Reply(body)) => owed_for(body),
            _ => 0,
        };
        if paid.is_some_and(|paid| paid < owed) {
            return self.challenge(came, out);
        }
        record.heard = now;
        if came.packet.attempt > record.attempt {
            record.attempt = came.packet.attempt;
            record.came = now;
            if !first_address {
                record.address = came.from;
            }
            record.paid = paid;
        } else if came.from == record.address {
            record.paid = paid;
        }
        self.extend(call, out);
        self.mark_if_expired(call, out);
        let config = self.config;
        let silent = |rule| config.is_broken(rule);
        let Some(record) = self.record(call) else { return };
        match record.state {
            State::Done(_) if silent(Broken::KeptReplySilent) => {}
            State::Done(_) => {
                out.note(Note::DuplicateAnswered);
                self.answer_record(call, came.packet.attempt, out);
            }
            _ if silent(Broken::DuplicateInServiceSilent) => {}
            _ => {
                out.note(Note::DuplicateInService);
                self.send_working(call, out);
            }
        }
    }

    /// The stethoscope: answers for this call and for no other (R28).
    pub(super) fn handle_heartbeat(&mut self, came: Came, floor: u64, out: &mut Effects) {
        let call = came.packet.call();
        let known = self.hear(came, floor, out);
        match self.standing(call) {
            Standing::Recorded => {
                let now = out.now.running;
                if let Some(record) = self.record(call) {
                    record.heard = now;
                }
                self.extend(call, out);
                self.mark_if_expired(call, out);
                self.answer_asked(came, out);
            }
            Standing::Forgotten => self.refuse(came, Ran::Maybe, Reason::Forgotten, out),
            _ if !known && self.evicted.has(&call.client) => {
                out.note(Note::ClosedRefused);
                self.refuse(came, Ran::Maybe, Reason::PortClosed, out);
            }
            _ => self.answer_packet(came.from, came.packet, Kind::NoCall, out),
        }
    }

    /// The first WORKING is due (R27).
    pub(crate) fn handle_working(&mut self, call: CallId, out: &mut Effects) {
        if self.record(call).is_some_and(|record| !record.is_done()) {
            self.send_working(call, out);
        }
    }

    /// R21: a request that nobody waits for is not begun.
    fn mark_if_expired(&mut self, call: CallId, out: &mut Effects) {
        let now = out.now.running;
        let Some(record) = self.record(call) else { return };
        if record.is_waiting() && record.patience_is_over(now) {
            out.note(Note::Expired);
            self.mark(call, Reason::Expired, out);
        }
    }

    /// It is not begun and never will be: said only once this is set (R3). An idempotent one leaves
    /// nothing behind, so an earlier copy of it may have run (R34), unless all are too long.
    pub(super) fn mark(&mut self, call: CallId, reason: Reason, out: &mut Effects) {
        let proves =
            reason == Reason::RequestTooBig || self.config.is_broken(Broken::IdempotentProves);
        let Some(record) = self.record(call) else { return };
        let ran = if record.is_idempotent() && !proves { Ran::Maybe } else { Ran::No };
        let (ordered, predecessor) = (record.flags.has(Flags::ORDERED), record.predecessor);
        let waited = matches!(record.state, State::Ordered(_));
        self.finish(call, Answer::Refused { ran, reason }, out);
        if let Some(tombstone) = self.tombstones.get_mut(&call.client).filter(|_| ordered) {
            match waited {
                true => tombstone.order.skip(call.seq, predecessor),
                false => tombstone.order.pass(call.seq),
            }
        }
        self.release_ordered(call.client, out);
    }

    /// A call is over: what is answered from now on. Below the floor nobody asks any more (R24).
    pub(super) fn finish(&mut self, call: CallId, answer: Answer, out: &mut Effects) {
        out.timers.cancel(Timer::Working(call));
        let now = out.now.running;
        let lifetime = self.config.working_lifetime();
        let Some(tombstone) = self.tombstones.get_mut(&call.client) else { return };
        tombstone.heard = now;
        let below = call.seq < tombstone.floor();
        let Some(record) = tombstone.records.get_mut(call.seq) else { return };
        if matches!(record.state, State::Ordered(_)) {
            tombstone.order.waiting -= 1;
        }
        if let Some(port) = self.ports.get_mut(&record.port) {
            port.serving.remove(&call);
        }
        let before = record.bytes();
        record.state = State::Done(answer);
        self.bytes = self.bytes - before + record.bytes();
        if record.worked {
            record.forget_at = record.forget_at.max(now + lifetime);
        }
        tombstone.lives_until = tombstone.lives_until.max(record.forget_at);
        let forget_at = if below { tombstone.lives_until } else { record.forget_at };
        if below {
            self.drop_record(call, out);
        }
        self.tidy_by(call.client, forget_at, out);
    }

    /// A packet about a call that WORKING was said of: the client may ask for as long again (R23).
    fn extend(&mut self, call: CallId, out: &mut Effects) {
        let until = out.now.running + self.config.working_lifetime();
        let Some(tombstone) = self.tombstones.get_mut(&call.client) else { return };
        let Some(record) = tombstone.records.get_mut(call.seq) else { return };
        if record.worked {
            record.forget_at = record.forget_at.max(until);
            tombstone.lives_until = tombstone.lives_until.max(record.forget_at);
        }
    }
}

/// How many bytes may be sent to the address of the record once this copy is counted (R36).
fn paid_by(record: &Record, came: Came) -> Option<usize> {
    let pays = 3 * came.packet.encoded_len();
    if came.valid {
        None
    } else if came.from == record.address {
        record.paid.map(|paid| paid + pays)
    } else if came.packet.attempt > record.attempt {
        Some(pays)
    } else {
        // It is answered at the record's address, which this copy does not pay for.
        record.paid
    }
}

/// How many bytes an address must have sent a third of before a REPLY with this body goes there. A large
/// one goes only where a token was shown.
pub(super) fn owed_for(body: &[u8]) -> usize {
    if is_large(body) {
        return usize::MAX;
    }
    Kind::Reply { service_time: 0, grant: Grant::default() }.header_len() + body.len()
}
