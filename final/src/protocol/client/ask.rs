//! What a call sends: its request, again and again, heartbeats, and ABORT (R11, R13, R16).

use super::super::broken::Broken;
use std::time::Duration;

use bytes::Bytes;

use super::super::effects::Effects;
use super::super::fragments::first_packet;
use super::super::kind::{Flags, Kind, Token};
use super::super::note::Note;
use super::super::outcome::{NotExecuted, Unknown};
use super::super::site::{Call, Time};
use super::super::wire::{BODY_MAX, Packet, UNLIMITED};
use super::{Client, Open, SAMPLED, Stage, Try, request_hash};

impl Client {
    /// Its timer fired: sends what is due, or gives up.
    pub(crate) fn handle_ask(&mut self, call: Call, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let unlimited = open.patience_ends.is_none();
        let too_long = unlimited && out.now.running >= open.began + self.config.accept_max;
        match open.stage {
            Stage::Aborting { .. } => self.ask_again(call, out),
            _ if self.patience_is_over(call, out) => self.call_off(call, Unknown::TimedOut, out),
            Stage::Home | Stage::Resolving if too_long => {
                let never = open.stage.never_left(Unknown::TimedOut);
                self.end_not_executed(call, never, out);
            }
            Stage::Home | Stage::Resolving => self.arm(call, Time::MAX, out),
            Stage::Sent(_) if too_long || open.silent > self.config.retransmits_max => {
                self.give_up(call, out);
            }
            Stage::Sent(Try { due, .. }) if due > out.now.running => self.arm(call, due, out),
            Stage::Sent(_) if self.config.is_broken(Broken::NeverRetransmits) => {
                self.arm(call, Time::MAX, out);
            }
            Stage::Sent(_) => self.transmit(call, out),
            Stage::Working { missed, .. } if missed >= self.config.heartbeats_missed_max => {
                self.end_unknown(call, Unknown::ServerUnreachable, out);
            }
            Stage::Working { .. } => self.send_heartbeat(call, out),
            // Like heartbeats: for so long the server keeps it (R23).
            Stage::Fetching { heard, .. }
                if heard + self.config.heartbeat_every * self.config.heartbeats_missed_max
                    <= out.now.running =>
            {
                self.end_unknown(call, Unknown::ServerUnreachable, out);
            }
            Stage::Fetching { .. } => self.fetch_again(call, out),
        }
    }

    /// By the clock that goes on when the machine sleeps, before every transmission (R14).
    pub(super) fn patience_is_over(&self, call: Call, out: &Effects) -> bool {
        let ends = self.calls.get(&call).and_then(|open| open.patience_ends);
        ends.is_some_and(|ends| ends <= self.waits_by(out))
    }

    /// Sends the request, for the first time or again. Its reply is all the acknowledgement there is
    /// (R4).
    pub(super) fn transmit(&mut self, call: Call, out: &mut Effects) {
        if self.patience_is_over(call, out) {
            return self.call_off(call, Unknown::TimedOut, out);
        }
        let Some(Open { to, .. }) = self.calls.get(&call) else { return };
        let (to, config, now) = (*to, self.config, self.waits_by(out));
        let peer = *self.peer(&to);
        let Some(open) = self.calls.get_mut(&call) else { return };
        let Stage::Sent(it) = &mut open.stage else { return };
        if it.attempt > 0 {
            out.note(Note::Retransmitted);
        }
        // It waits longer for every copy that brought no answer: a BUSY is one.
        let doubled = peer.round_trip.timeout(&config) * (1 << open.silent.min(it.attempt).min(16));
        let rto = out.jittered(doubled.min(config.backoff_max));
        it.attempt += 1;
        it.sent_at[it.attempt as usize % SAMPLED] = out.now.running;
        it.due = out.now.running + rto;
        open.silent += 1;
        let it = *it;
        let left = open.patience_ends.map(|ends| ends.saturating_sub(now));
        // If large ones do not arrive any more, small ones may.
        let longest = if it.attempt > 2 { BODY_MAX } else { out.packet_max(to.address) };
        let (begins, body) = first_packet(&open.body, longest);
        let kind = Kind::Request {
            floor: 0,
            predecessor: it.predecessor,
            patience: left.map_or(UNLIMITED, millis),
            rto: millis(rto),
            max_reply: open.max_reply,
            hash: request_hash(&to, open.flags, it.predecessor, &open.body),
            token: peer.token,
        };
        let flags = open.flags.on_the_wire() | begins;
        let packet = self.about(call, &it, it.attempt, kind);
        out.send(to.address, Packet { flags, body, ..packet });
        self.use_port(it.port, out);
        self.arm(call, it.due, out);
        // A stranger begins with one datagram (R43).
        if begins != Flags::NONE && peer.token != Token::NONE {
            self.send_rest(call, out);
        }
    }

    /// A packet about a call, with the floor as it is now (R15).
    pub(super) fn about(&self, call: Call, it: &Try, attempt: u32, kind: Kind) -> Packet {
        let lowest = match self.config.is_broken(Broken::FloorPassesOpen) {
            true => it.seq,
            false => self.floor(it.port).min(it.seq),
        };
        let kind = match kind {
            Kind::Request { predecessor, patience, rto, max_reply, hash, token, .. } => {
                Kind::Request { floor: lowest, predecessor, patience, rto, max_reply, hash, token }
            }
            Kind::Heartbeat { token, .. } => Kind::Heartbeat { floor: lowest, token },
            Kind::Abort { token, .. } => Kind::Abort { floor: lowest, token },
            Kind::Fetch { token, credit, .. } => Kind::Fetch { floor: lowest, token, credit },
            other => other,
        };
        let (client, server) = (self.me(it.port), self.calls[&call].to.server);
        let (flags, body) = (Flags::NONE, Bytes::new());
        Packet { flags, attempt, client, server, seq: it.seq, kind, body }
    }

    pub(super) fn send_heartbeat(&mut self, call: Call, out: &mut Effects) {
        let Some(Open { to, .. }) = self.calls.get(&call) else { return };
        let to = *to;
        let token = self.peer(&to).token;
        let Some(open) = self.calls.get_mut(&call) else { return };
        let Stage::Working { it, missed, period, .. } = &mut open.stage else { return };
        *missed += 1;
        let (it, period) = (*it, *period);
        out.note(Note::Heartbeat);
        out.send(to.address, self.about(call, &it, 0, Kind::Heartbeat { floor: 0, token }));
        self.use_port(it.port, out);
        let next = out.now.running + out.jittered(period);
        self.arm(call, next, out);
    }

    /// ABORT, if the server may have heard of the call.
    pub(super) fn send_abort(&mut self, call: Call, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let Some(it) = open.stage.on_the_wire().copied() else { return };
        let (to, flags) = (open.to, open.flags.on_the_wire());
        let token = self.peer(&to).token;
        let packet = self.about(call, &it, 0, Kind::Abort { floor: 0, token });
        out.send(to.address, Packet { flags, ..packet });
        self.use_port(it.port, out);
    }

    /// The caller does not wait any longer (R13, R37). What never left did not run.
    pub(crate) fn call_off(&mut self, call: Call, why: Unknown, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let it = match open.stage {
            Stage::Aborting { .. } => return,
            Stage::Home | Stage::Resolving | Stage::Sent(Try { attempt: 0, .. }) => {
                let never = open.stage.never_left(why);
                return self.end_not_executed(call, never, out);
            }
            Stage::Sent(it) if it.left_nothing() => {
                return self.end_not_executed(call, NotExecuted::Unsendable, out);
            }
            Stage::Sent(it) | Stage::Working { it, .. } | Stage::Fetching { it, .. } => it,
        };
        let certain = open.flags.has(Flags::CERTAIN);
        self.forget_messages(call, out);
        self.send_abort(call, out);
        if !certain {
            return self.end_unknown(call, why, out);
        }
        if let Some(open) = self.calls.get_mut(&call) {
            open.stage = Stage::Aborting { it, repeated: false, why };
        }
        self.arm(call, out.now.running + self.config.heartbeat_every / 2, out);
    }

    /// Half of the time in which the caller waits to know is over (R13).
    fn ask_again(&mut self, call: Call, out: &mut Effects) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        let Stage::Aborting { repeated, why, .. } = &mut open.stage else { return };
        let why = *why;
        if std::mem::replace(repeated, true) {
            return self.end_unknown(call, why, out);
        }
        self.send_abort(call, out);
        self.arm(call, out.now.running + self.config.heartbeat_every / 2, out);
    }

    /// No answer to any copy (§3.1 of the paper).
    fn give_up(&mut self, call: Call, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        match open.stage {
            Stage::Sent(it)
                if it.left_nothing() || self.config.is_broken(Broken::SilenceProves) =>
            {
                self.end_not_executed(call, NotExecuted::Unsendable, out);
            }
            _ => self.end_unknown(call, Unknown::ServerUnreachable, out),
        }
    }

    /// This site's kernel refused to send it (R3).
    pub(crate) fn handle_unsent(&mut self, packet: &Packet, met_nobody: bool) {
        let Kind::Request { .. } = packet.kind else { return };
        let Some(call) = self.call_of(packet.client.port, packet.seq) else { return };
        let Some(open) = self.calls.get_mut(&call) else { return };
        if let Stage::Sent(it) = &mut open.stage {
            it.unsent += 1;
            it.met_nobody |= met_nobody;
            if self.config.is_broken(Broken::UnsentProves) {
                (it.unsent, it.met_nobody) = (it.attempt, false);
            }
        }
    }
}

impl Stage {
    /// Why a call at this stage, of which nothing left, did not run.
    fn never_left(&self, why: Unknown) -> NotExecuted {
        match (why, self) {
            (Unknown::Cancelled, _) => NotExecuted::Cancelled,
            (_, Stage::Resolving) => NotExecuted::Unresolved,
            _ => NotExecuted::NeverSent,
        }
    }
}

impl Try {
    /// Every copy failed locally, and none because an earlier one met nobody (R3).
    fn left_nothing(&self) -> bool {
        self.unsent == self.attempt && !self.met_nobody
    }
}

/// Rounded up: the server may keep the reply for longer, never for less.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(UNLIMITED - 1).max(1)
}
