//! What is sent about a call that has a record: WORKING, REPLY, REFUSED.

use super::super::broken::Broken;
use bytes::Bytes;

use super::super::effects::Effects;
use super::super::fragments::{first_packet, is_large};
use super::super::ids::{CallId, ClientId, ServerId, ServerPort};
use super::super::kind::{Fate, Flags, Grant, Kind, Ran, Reason};
use super::super::note::Note;
use super::super::outcome::SendError;
use super::super::tombstone::{Answer, Record, State};
use super::super::wire::{BODY_MAX, Packet};
use super::request::owed_for;
use super::{Came, Server};

impl Server {
    /// The service answers.
    pub(crate) fn send_reply(
        &mut self,
        port: ServerPort,
        call: CallId,
        body: Bytes,
        out: &mut Effects,
    ) -> Result<(), SendError> {
        let (config, bytes) = (self.config, self.bytes);
        let Some(record) = self.record(call) else { return Err(SendError::NotServing) };
        let State::Serving { .. } = record.state else { return Err(SendError::NotServing) };
        if record.port != port {
            return Err(SendError::NotServing);
        }
        let max = (record.max_reply as usize).min(config.message_max);
        let sent = config.is_broken(Broken::ReplyTooBigSent);
        // What is beyond one datagram has room only if there is some now (R26).
        let room =
            config.bytes_max.saturating_add(record.bytes()).saturating_sub(bytes).max(BODY_MAX);
        let answer = if body.len() > max.min(room) && !sent {
            out.note(Note::ReplyTooBig);
            Answer::Refused { ran: Ran::Once, reason: Reason::ReplyTooBig }
        } else {
            Answer::Reply(body)
        };
        self.end_service(call, answer, out);
        Ok(())
    }

    /// The service is over, with a reply or without: its client is told. Of an idempotent call nothing
    /// is kept (R34).
    pub(super) fn end_service(&mut self, call: CallId, answer: Answer, out: &mut Effects) {
        let Some(record) = self.record(call) else { return };
        let idempotent = record.is_idempotent();
        // A large one is kept until its client has it.
        let large = matches!(&answer, Answer::Reply(body) if is_large(body));
        self.finish(call, answer, out);
        self.answer_record(call, 0, out);
        if idempotent && !large {
            self.drop_record(call, out);
        }
    }

    /// I have it, do not send it again (§3.3 of the paper).
    pub(super) fn send_working(&mut self, call: CallId, out: &mut Effects) {
        let heartbeat = self.config.heartbeat_every.as_millis() as u32;
        let service_time = self.service_time(call, out);
        let until = out.now.running + self.config.working_lifetime();
        let Some((record, site)) = self.told(call, until) else { return };
        let (to, attempt, server) = (record.address, record.attempt, site);
        let kind = |grant| Kind::Working { service_time, heartbeat, grant };
        let packet = self.about(call, server, attempt, kind(Grant::default()));
        let len = packet.encoded_len();
        let Some(record) = self.record(call) else { return };
        match &mut record.paid {
            Some(paid) if *paid < len => return,
            Some(paid) => *paid -= len,
            None => {}
        }
        let grant = self.grant(call.client, to, out);
        out.send(to, Packet { kind: kind(grant), ..packet });
    }

    /// Notes that WORKING is said: the client will ask, and what it asks for must be kept (R23).
    pub(super) fn told(&mut self, call: CallId, until: super::Time) -> Option<(&Record, ServerId)> {
        let (site, epoch) = (self.site, self.epoch);
        let tombstone = self.tombstones.get_mut(&call.client)?;
        let record = tombstone.records.get_mut(call.seq)?;
        record.worked = true;
        record.forget_at = record.forget_at.max(until);
        tombstone.lives_until = tombstone.lives_until.max(record.forget_at);
        Some((record, ServerId { site, epoch, port: record.port }))
    }

    /// What became of a call that is over, to where its newest request came from (R22). A refusal
    /// echoes this attempt: 0 if it answers no request.
    pub(super) fn answer_record(&mut self, call: CallId, attempt: u32, out: &mut Effects) {
        let service_time = self.service_time(call, out);
        let Some(record) = self.record(call) else { return };
        let (to, port, newest, paid) = (record.address, record.port, record.attempt, record.paid);
        let State::Done(answer) = &record.state else { return };
        let (kind, body, echo) = match answer.clone() {
            Answer::Refused { ran, reason } => {
                (Kind::Refused { ran, reason }, Bytes::new(), attempt)
            }
            Answer::Reply(body) if paid.is_some_and(|paid| paid < owed_for(&body)) => {
                out.note(Note::ChallengeSent);
                let token = self.tokens.issue(out.now.running, to, call.client.site);
                (Kind::Challenge { token }, Bytes::new(), newest)
            }
            Answer::Reply(body) => {
                let grant = self.grant(call.client, to, out);
                (Kind::Reply { service_time, grant }, body, newest)
            }
        };
        let server = ServerId { site: self.site, epoch: self.epoch, port };
        // If large ones do not arrive any more, small ones may.
        let longest = if newest > 2 { BODY_MAX } else { out.packet_max(to) };
        let (flags, first) = first_packet(&body, longest);
        let packet = Packet { flags, body: first, ..self.about(call, server, echo, kind) };
        let len = packet.encoded_len();
        if let Some(Record { paid: Some(paid), .. }) = self.record(call) {
            *paid = paid.saturating_sub(len);
        }
        out.send(to, packet);
        if flags.has(Flags::BEGINS) {
            self.send_rest(call, to, &body, out);
        }
    }

    /// Somebody asked after a call with a HEARTBEAT or an ABORT: a reply goes to the address of its
    /// request, or to the asker's if that one is validated (R36).
    pub(super) fn answer_asked(&mut self, came: Came, out: &mut Effects) {
        let call = came.packet.call();
        let service_time = self.service_time(call, out);
        let heartbeat = self.config.heartbeat_every.as_millis() as u32;
        let until = out.now.running + self.config.working_lifetime();
        let Some(record) = self.record(call) else { return };
        let attempt = record.attempt;
        match &record.state {
            State::Done(Answer::Reply(body)) => {
                let (body, len) = (body.clone(), owed_for(body));
                let to = if came.valid { came.from } else { record.address };
                if came.from != to {
                    // Its client may have moved: with a token it is answered where it is now.
                    return self.challenge(came, out);
                }
                if let (false, Some(paid)) = (came.valid, &mut record.paid) {
                    let pays = paid.saturating_add(3 * came.packet.encoded_len());
                    let Some(left) = pays.checked_sub(len) else {
                        return self.challenge(came, out);
                    };
                    *paid = left;
                }
                out.note(Note::DuplicateAnswered);
                let grant = self.grant(call.client, to, out);
                let kind = Kind::Reply { service_time, grant };
                let packet = self.about(call, came.packet.server, attempt, kind);
                // The rest of a large one follows when it is asked for.
                let (flags, body) = first_packet(&body, BODY_MAX);
                out.send(to, Packet { flags, body, ..packet });
            }
            State::Done(Answer::Refused { ran: Ran::No, .. })
                if matches!(came.packet.kind, Kind::Abort { .. }) =>
            {
                let kind = Kind::Aborted { fate: Fate::NotRun };
                self.answer_packet(came.from, came.packet, kind, out);
            }
            State::Done(Answer::Refused { ran, reason }) => {
                let (ran, reason) = (*ran, *reason);
                self.refuse(came, ran, reason, out);
            }
            _ => {
                self.told(call, until);
                let grant = self.grant(call.client, came.from, out);
                let kind = Kind::Working { service_time, heartbeat, grant };
                let packet = self.about(call, came.packet.server, attempt, kind);
                out.send(came.from, packet);
            }
        }
    }

    /// How long the newest copy has been here, in µs (R12).
    fn service_time(&mut self, call: CallId, out: &Effects) -> u32 {
        let now = out.now.running;
        let came = self.record(call).map_or(now, |record| record.came);
        u32::try_from(now.saturating_sub(came).as_micros()).unwrap_or(u32::MAX)
    }

    /// What a client may do further: its window doubles when it uses half of it (R26), if it is where
    /// it says, and as long as every stranger that may come finds its first one; it is never lowered.
    fn grant(&mut self, client: ClientId, to: std::net::SocketAddr, out: &Effects) -> Grant {
        let token = self.tokens.issue(out.now.running, to, client.site);
        let port_life = self.config.port_life.as_millis() as u32;
        let clients = self.tombstones.len();
        let Some(tombstone) = self.tombstones.get_mut(&client) else {
            return Grant { window: self.config.window, port_life, token };
        };
        let window = tombstone.window();
        let used = tombstone.highest.saturating_sub(tombstone.floor());
        let wider = (window * 2).min(self.config.window_max);
        let more = u64::from(wider - window);
        let strangers = self.config.clients_max.saturating_sub(clients) as u64;
        let kept = strangers * u64::from(self.config.window);
        if 2 * used >= u64::from(window)
            && more > 0
            && tombstone.validated
            && self.windows + more + kept <= self.config.windows_sum_max
        {
            tombstone.grow(wider);
            self.windows += more;
        }
        Grant { window: tombstone.window(), port_life, token }
    }

    pub(super) fn about(&self, call: CallId, server: ServerId, attempt: u32, kind: Kind) -> Packet {
        let (client, seq) = (call.client, call.seq);
        Packet { flags: Flags::NONE, attempt, client, server, seq, kind, body: Bytes::new() }
    }
}
