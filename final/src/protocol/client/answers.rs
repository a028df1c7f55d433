//! What a call hears, and what it may conclude.

use super::super::broken::Broken;
use std::time::Duration;

use super::super::effects::Effects;
use super::super::kind::{Fate, Flags, Grant, Kind, Ran, Reason, Token};
use super::super::note::Note;
use super::super::outcome::{NotExecuted, Outcome, Unknown};
use super::super::site::{Call, Time};
use super::super::wire::Packet;
use super::{Client, HEARTBEAT_MAX, HEARTBEAT_MIN, SAMPLED, Stage, Try};

impl Client {
    /// An answer counts only if it names an open call whole, and the life of the server that this call
    /// is for now (R17).
    pub(crate) fn handle(&mut self, packet: Packet, out: &mut Effects) {
        if packet.client.site != self.site || packet.client.epoch != self.epoch {
            return out.note(Note::OtherLife);
        }
        let call = self.call_of(packet.client.port, packet.seq);
        let call = call.or_else(|| self.call_of_any_port(packet.seq));
        let named = call.filter(|call| self.calls[call].to.server == packet.server);
        let Some(call) = named else { return out.note(Note::Orphan) };
        self.use_port(packet.client.port, out);
        match packet.kind {
            Kind::Reply { service_time, grant } => {
                self.sample(call, packet.attempt, service_time, out);
                self.believe(call, grant.token);
                self.take_grant(packet.client.port, grant, out);
                let taken = self.config.is_broken(Broken::ReplyTooBigSent);
                if packet.whole().0 > self.calls[&call].max_reply as usize && !taken {
                    self.end_unknown(call, Unknown::ReplyTooBig, out);
                } else if packet.flags.has(Flags::BEGINS) {
                    self.begin_fetching(call, &packet, out);
                } else {
                    self.end(call, Outcome::Reply(packet.body), out);
                }
            }
            Kind::Credit { credit } => {
                self.sample(call, packet.attempt, 0, out);
                self.handle_credit(call, credit, &packet.body, out);
            }
            Kind::Working { service_time, heartbeat, grant } => {
                self.sample(call, packet.attempt, service_time, out);
                self.believe(call, grant.token);
                self.handle_working(call, heartbeat, grant, out);
            }
            Kind::Stale { fresh, .. } => self.handle_stale(call, packet.attempt, fresh, out),
            Kind::NoCall => self.handle_no_call(call, out),
            Kind::Busy { after } => self.handle_busy(call, after, out),
            Kind::Refused { ran, reason } => {
                self.handle_refused(call, packet.attempt, ran, reason, out);
            }
            Kind::Challenge { token } => self.handle_challenge(call, packet.attempt, token, out),
            Kind::Aborted { fate } => self.handle_aborted(call, fate, out),
            Kind::WrongSite => {
                // The call goes on, but the next one asks anew who is there.
                out.note(Note::WrongSite);
                self.forget_name(call);
            }
            Kind::Request { .. } | Kind::Heartbeat { .. } | Kind::Abort { .. } => {}
            Kind::Fetch { .. } => {}
        }
    }

    /// R12: since the copy that is answered, less the time that the server had it.
    fn sample(&mut self, call: Call, attempt: u32, service_time: u32, out: &Effects) {
        let open = &self.calls[&call];
        let Some(it) = open.stage.on_the_wire() else { return };
        let known = attempt > 0 && attempt <= it.attempt;
        if !known || attempt as usize + SAMPLED <= it.attempt as usize {
            return;
        }
        let took = out.now.running.saturating_sub(it.sent_at[attempt as usize % SAMPLED]);
        let served = Duration::from_micros(u64::from(service_time));
        if let Some(sample) = took.checked_sub(served) {
            let to = open.to;
            self.peer(&to).round_trip.sample(sample);
        }
    }

    /// The token for later packets (R36).
    fn believe(&mut self, call: Call, token: Token) {
        let to = self.calls[&call].to;
        self.peer(&to).token = token;
    }

    /// The server has it: no more copies, but heartbeats (R16).
    fn handle_working(&mut self, call: Call, period: u32, grant: Grant, out: &mut Effects) {
        let port = {
            let Some(open) = self.calls.get_mut(&call) else { return };
            (open.silent, open.began) = (0, out.now.running);
            match &mut open.stage {
                Stage::Sent(it) => {
                    let it = Try { worked: true, ..*it };
                    let period = Duration::from_millis(u64::from(period));
                    let period = period.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
                    open.stage = Stage::Working { it, missed: 0, period, hastened: false };
                    let next = match self.config.is_broken(Broken::NoHeartbeats) {
                        true => Time::MAX,
                        false => out.now.running + out.jittered(period),
                    };
                    self.arm(call, next, out);
                    self.forget_messages(call, out);
                    it.port
                }
                Stage::Working { it, missed, .. } => {
                    *missed = 0;
                    it.port
                }
                _ => return,
            }
        };
        self.take_grant(port, grant, out);
        // It may hold its window for long (R9).
        self.leave_home_of(call, out);
    }

    /// R18: after WORKING the site knows nothing of it any more; before, it only hints.
    fn handle_no_call(&mut self, call: Call, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let (Stage::Working { it, .. } | Stage::Fetching { it, .. }) = open.stage else { return };
        let again = open.resends < self.config.resends_max;
        if !(open.flags.has(Flags::IDEMPOTENT) && again) {
            return self.end_unknown(call, Unknown::ServerDied, out);
        }
        // It may run again (R34), at the pace of R11, and not for ever.
        self.forget_messages(call, out);
        let Some(open) = self.calls.get_mut(&call) else { return };
        open.resends += 1;
        open.unsure = open.unsure.or(Some(Unknown::ServerDied));
        open.stage = Stage::Sent(it);
        let to = open.to;
        let round_trip = self.peer(&to).round_trip;
        let pause = round_trip.timeout(&self.config);
        let due = out.now.running + out.jittered(pause);
        if let Some(Stage::Sent(it)) = self.calls.get_mut(&call).map(|open| &mut open.stage) {
            it.due = due;
        }
        self.arm(call, due, out);
    }

    /// Not accepted, nothing recorded: no sooner than the timer would (R11), and not before it is asked
    /// to.
    fn handle_busy(&mut self, call: Call, after: u32, out: &mut Effects) {
        let after = out.jittered(Duration::from_millis(u64::from(after)));
        let Some(open) = self.calls.get_mut(&call) else { return };
        let Stage::Sent(it) = &mut open.stage else { return };
        it.due = it.due.max(out.now.running + after.min(self.config.backoff_max));
        open.silent = 0;
        let due = it.due;
        self.arm(call, due, out);
    }

    /// R29: a copy lives for so long at most, so the first copy, which is what was refused, left after
    /// the former life had ended. Anything else may have been run by that life.
    fn handle_stale(&mut self, call: Call, attempt: u32, fresh: bool, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let Some(it) = open.stage.on_the_wire() else { return };
        let proved =
            attempt == 1 && fresh && !it.worked || self.config.is_broken(Broken::StaleProves);
        let idempotent = open.flags.has(Flags::IDEMPOTENT);
        let goes_on = !matches!(open.stage, Stage::Aborting { .. });
        self.forget_name(call);
        if goes_on && (proved || idempotent) && self.may_begin_anew(call) && self.is_named(call) {
            self.begin_anew(call, (!proved).then_some(Unknown::ServerRestarted), out);
        } else if proved {
            self.end_not_executed(call, NotExecuted::ServerRestarted, out);
        } else {
            self.end_unknown(call, Unknown::ServerRestarted, out);
        }
    }

    fn handle_refused(
        &mut self,
        call: Call,
        attempt: u32,
        ran: Ran,
        reason: Reason,
        out: &mut Effects,
    ) {
        if reason == Reason::PortClosed {
            return self.handle_port_closed(call, attempt, out);
        }
        let Some(open) = self.calls.get(&call) else { return };
        let goes_on = !matches!(open.stage, Stage::Aborting { .. });
        let idempotent = open.flags.has(Flags::IDEMPOTENT);
        let moved = matches!(reason, Reason::NoSuchPort | Reason::ServerDied);
        let again = goes_on && moved && (ran == Ran::No || idempotent);
        if again && self.is_named(call) && self.may_begin_anew(call) {
            // Whoever serves under this name now has another port.
            self.forget_name(call);
            let unsure = (ran != Ran::No).then(|| unknown(reason));
            return self.begin_anew(call, unsure, out);
        }
        if ran == Ran::No {
            return self.end_not_executed(call, not_executed(reason), out);
        }
        self.end_unknown(call, unknown(reason), out);
    }

    /// R35: the server has forgotten this port. Had a copy been run, it could not have before all
    /// copies of the first were dead; so the first and only copy proves that none was.
    fn handle_port_closed(&mut self, call: Call, attempt: u32, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let Some(it) = open.stage.on_the_wire().copied() else { return };
        let proved = attempt == 1 && it.attempt == 1 && !it.worked
            || self.config.is_broken(Broken::PortClosedProves)
            || it.attempt == 1 && self.config.is_broken(Broken::PortClosedProvesOnce);
        let idempotent = open.flags.has(Flags::IDEMPOTENT);
        let goes_on = !matches!(open.stage, Stage::Aborting { .. });
        out.note(Note::PortClosed);
        self.close_port(it.port, out);
        if goes_on && (proved || idempotent) && self.may_begin_anew(call) {
            self.begin_anew(call, (!proved).then_some(Unknown::Forgotten), out);
        } else if proved {
            self.end_not_executed(call, NotExecuted::PortClosed, out);
        } else {
            self.end_unknown(call, Unknown::Forgotten, out);
        }
    }

    fn may_begin_anew(&self, call: Call) -> bool {
        self.calls.get(&call).is_some_and(|open| open.resends < self.config.resends_max)
    }

    /// Send it again with this token: at once, but once a call, for anybody can say so (R36).
    fn handle_challenge(&mut self, call: Call, attempt: u32, token: Token, out: &mut Effects) {
        self.believe(call, token);
        let always = self.config.is_broken(Broken::ChallengeAlwaysHeeded);
        let uncounted = self.config.is_broken(Broken::ChallengeUncounted);
        let Some(open) = self.calls.get_mut(&call) else { return };
        match &mut open.stage {
            Stage::Sent(it) if it.attempt == attempt && (!open.challenged || always) => {
                open.challenged = true;
                it.attempt -= u32::from(uncounted);
                out.note(Note::Challenged);
                self.transmit(call, out);
            }
            Stage::Working { hastened: hastened @ false, .. } => {
                *hastened = true;
                out.note(Note::Challenged);
                self.send_heartbeat(call, out);
            }
            Stage::Fetching { hastened: hastened @ false, .. } => {
                *hastened = true;
                out.note(Note::Challenged);
                self.send_fetch(call, false, out);
            }
            _ => {}
        }
    }

    /// What became of a call that was called off (R38). Of an idempotent one it proves nothing (R34).
    fn handle_aborted(&mut self, call: Call, fate: Fate, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let Stage::Aborting { why, .. } = open.stage else { return };
        let proves = self.config.is_broken(Broken::IdempotentProves);
        if fate == Fate::NotRun && (proves || !open.flags.has(Flags::IDEMPOTENT)) {
            let not = match why {
                Unknown::Cancelled => NotExecuted::Cancelled,
                _ => NotExecuted::Expired,
            };
            return self.end_not_executed(call, not, out);
        }
        self.end_unknown(call, why, out);
    }
}

fn not_executed(reason: Reason) -> NotExecuted {
    match reason {
        Reason::Expired => NotExecuted::Expired,
        Reason::Aborted => NotExecuted::Cancelled,
        Reason::ServerDied => NotExecuted::ServerDied,
        Reason::Orphaned => NotExecuted::Orphaned,
        Reason::RequestTooBig => NotExecuted::RequestTooBig,
        _ => NotExecuted::NoSuchPort,
    }
}

fn unknown(reason: Reason) -> Unknown {
    match reason {
        Reason::NoSuchPort | Reason::ServerDied => Unknown::ServerDied,
        Reason::Expired | Reason::Orphaned => Unknown::TimedOut,
        Reason::Aborted => Unknown::Cancelled,
        Reason::Forgotten | Reason::PortClosed => Unknown::Forgotten,
        Reason::FalseRetry => Unknown::FalseRetry,
        Reason::ReplyTooBig => Unknown::ReplyTooBig,
        // No server says so of a call that may have run.
        Reason::RequestTooBig => Unknown::ServerUnreachable,
    }
}
