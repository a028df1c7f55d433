//! The asking half (PROTOCOL §4), rule by rule.

use super::state::{
    Broken, CALLS_MAX, Call, Config, Fate, Name, Outcome, PORTS_MAX, Packet, Reason, Stage,
    Unknown, World,
};

impl World {
    /// The next call leaves, if its window has room (R26). Says whether one did.
    pub(crate) fn ask(&mut self, config: &Config) -> bool {
        let new = self.client.calls.iter().position(|call| call.stage == Stage::New);
        let Some(i) = new.filter(|i| self.draw_name(config, *i)) else { return false };
        self.client.calls[i].patience = config.patience;
        self.transmit(config, i);
        true
    }

    /// A name under the current port for the server's life as it is known, or under the next port.
    fn draw_name(&mut self, config: &Config, i: usize) -> bool {
        let client = &mut self.client;
        let wanted = |closed: bool, epoch: u8| {
            let moves = epoch != client.server_epoch && !config.breaks(Broken::OnePortForAllLives);
            closed || moves
        };
        let current = client.ports[usize::from(client.current)];
        if wanted(current.closed, current.epoch) {
            if usize::from(client.current) + 1 >= PORTS_MAX {
                return false;
            }
            client.current += 1;
            client.ports[usize::from(client.current)].epoch = client.server_epoch;
        }
        let (port, epoch) = (client.current, client.server_epoch);
        let number = client.ports[usize::from(port)].next;
        let floor = self.honest_floor(port);
        let waits = number >= floor + config.window;
        if usize::from(number) >= CALLS_MAX
            || (waits && !config.breaks(Broken::ClientIgnoresItsWindow))
        {
            return false;
        }
        let it = &mut self.client.ports[usize::from(port)];
        it.next += 1;
        it.owners[usize::from(number)] = i as u8;
        let call = &mut self.client.calls[i];
        call.name = Name { port, number, epoch };
        (call.stage, call.attempt, call.worked) = (Stage::Sent, 0, false);
        true
    }

    /// A copy of the request, with the floor as it is now (R11, R15).
    fn transmit(&mut self, config: &Config, i: usize) {
        self.client.calls[i].attempt += 1;
        self.transmit_as_it_is(config, i);
    }

    fn transmit_as_it_is(&mut self, config: &Config, i: usize) {
        let call = &mut self.client.calls[i];
        call.due = config.rto;
        let (name, attempt) = (call.name, call.attempt);
        let floor = self.floor(config, name);
        let token = self.token(config, name);
        self.send(config, Packet::Request { name, floor, attempt, token });
    }

    fn token(&self, config: &Config, name: Name) -> bool {
        self.client.ports[usize::from(name.port)].token
            && !config.breaks(Broken::TokensAreNeverValid)
    }

    /// R15, as it is written into a packet about this call.
    fn floor(&self, config: &Config, name: Name) -> u8 {
        let next = self.client.ports[usize::from(name.port)].next;
        let floor = match config.breaks(Broken::FloorPassesOpenCalls) {
            true => next.saturating_sub(1),
            false => self.honest_floor(name.port),
        };
        floor.min(name.number)
    }

    /// The lowest number of this port that has not ended.
    fn honest_floor(&self, port: u8) -> u8 {
        let it = self.client.ports[usize::from(port)];
        let open = |number: &u8| {
            let call = self.client.calls[usize::from(it.owners[usize::from(*number)])];
            call.stage.is_open() && (call.name.port, call.name.number) == (port, *number)
        };
        (0..it.next).find(open).unwrap_or(it.next)
    }

    /// The timer of a call is due: the next copy (R11) or heartbeat (R16), or it gives up.
    pub(crate) fn call_is_due(&mut self, config: &Config, i: usize) {
        let call = self.client.calls[i];
        match call.stage {
            Stage::Sent if call.attempt < config.attempts_max => self.transmit(config, i),
            Stage::Sent => self.end_unknown(i, Unknown::ServerUnreachable),
            Stage::Working { missed } if missed >= config.heartbeats_missed_max => {
                self.end_unknown(i, Unknown::ServerUnreachable);
            }
            Stage::Working { missed } => {
                let token = self.token(config, call.name);
                let echoed = config.breaks(Broken::HeartbeatIsEchoed);
                let attempt = if echoed { call.attempt } else { 0 };
                let call = &mut self.client.calls[i];
                call.stage = Stage::Working { missed: missed + 1 };
                call.due = config.heartbeat_every;
                let name = call.name;
                self.send(config, Packet::Heartbeat { name, attempt, token });
            }
            Stage::Aborting => self.end_unknown(i, Unknown::TimedOut),
            Stage::New | Stage::Ended(_) => {}
        }
    }

    /// The patience of a call ends (R13): ABORT, and its caller waits to know.
    pub(crate) fn patience_ends(&mut self, config: &Config, i: usize) {
        let call = &mut self.client.calls[i];
        (call.stage, call.due) = (Stage::Aborting, config.certain_wait);
        let attempt = if config.breaks(Broken::AbortIsEchoed) { call.attempt } else { 0 };
        let name = call.name;
        let without = config.breaks(Broken::AbortHasNoFloor);
        let floor = if without { 0 } else { self.floor(config, name) };
        self.send(config, Packet::Abort { name, floor, attempt });
    }

    /// A packet counts only if it names an open call whole (R17).
    pub(crate) fn client_hears(&mut self, config: &Config, packet: Packet) {
        let name = packet.name();
        let owners = self.client.ports[usize::from(name.port)].owners;
        let i = usize::from(owners[usize::from(name.number)]);
        let Some(call) = self.client.calls.get(i).copied() else { return };
        if !call.stage.is_open() || call.name != name {
            return;
        }
        match packet {
            Packet::Reply { .. } => {
                self.believe(config, name);
                self.end(i, Outcome::Reply);
            }
            Packet::Working { .. } if call.stage != Stage::Aborting => {
                self.believe(config, name);
                let call = &mut self.client.calls[i];
                if call.stage == Stage::Sent {
                    call.due = config.heartbeat_every;
                }
                (call.stage, call.worked) = (Stage::Working { missed: 0 }, true);
            }
            Packet::NoCall { .. } => self.hear_no_call(config, i),
            Packet::Busy { .. } if call.stage == Stage::Sent => {
                self.client.calls[i].due = config.rto;
            }
            Packet::Challenge { attempt, .. } => self.hear_challenge(config, i, attempt),
            Packet::Refused { reason, attempt, .. } => self.refused(config, i, reason, attempt),
            Packet::Aborted { fate: Fate::NotRun, .. } => self.end(i, Outcome::NotExecuted),
            Packet::Aborted { .. } => self.end_unknown(i, Unknown::TimedOut),
            Packet::Stale { present, attempt, fresh, .. } => {
                self.hear_stale(config, i, present, attempt, fresh);
            }
            _ => {}
        }
    }

    /// A token came along; where none is asked for, the model spares itself the difference.
    fn believe(&mut self, config: &Config, name: Name) {
        let matters = config.long_replies || config.faults.challenges > 0;
        self.client.ports[usize::from(name.port)].token |= matters;
    }

    /// R18: after WORKING the site knows nothing of it any more; before, it only hints.
    fn hear_no_call(&mut self, config: &Config, i: usize) {
        if !matches!(self.client.calls[i].stage, Stage::Working { .. }) {
            return;
        }
        if config.breaks(Broken::NoCallIsSentAgain) {
            self.client.calls[i].stage = Stage::Sent;
            self.transmit(config, i);
        } else {
            self.end_unknown(i, Unknown::ServerDied);
        }
    }

    /// Send it again with this token, at once, but once a call (R36).
    fn hear_challenge(&mut self, config: &Config, i: usize, attempt: u8) {
        let call = &mut self.client.calls[i];
        self.client.ports[usize::from(call.name.port)].token = true;
        let newest = call.stage == Stage::Sent && call.attempt == attempt;
        if newest && (!call.challenged || config.breaks(Broken::EachChallengeIsHeeded)) {
            call.challenged = true;
            match config.breaks(Broken::ChallengedCopyIsNotCounted) {
                true => self.transmit_as_it_is(config, i),
                false => self.transmit(config, i),
            }
        }
    }

    fn refused(&mut self, config: &Config, i: usize, reason: Reason, attempt: u8) {
        let call = self.client.calls[i];
        match reason {
            Reason::NotRun => return self.end(i, Outcome::NotExecuted),
            Reason::Died => return self.end_unknown(i, Unknown::ServerDied),
            Reason::Forgotten | Reason::PortClosed => {}
        }
        // R35: the first and only copy proves that none was run. R25's Forgotten never does.
        let (first, only) = (attempt == 1, call.attempt == 1);
        let proves = if config.breaks(Broken::ClosedAlwaysProves) {
            true
        } else if config.breaks(Broken::ClosedProvesIfSentOnce) {
            only
        } else {
            first && only
        };
        let unheard = !call.worked || config.breaks(Broken::ClosedProvesAfterWorking);
        let counts = reason == Reason::PortClosed || config.breaks(Broken::ForgottenProves);
        if reason == Reason::PortClosed {
            self.client.ports[usize::from(call.name.port)].closed = true;
        }
        if !(proves && unheard && counts) {
            return self.end_unknown(i, Unknown::Forgotten);
        }
        if config.breaks(Broken::ClosedProvesForThePort) {
            self.end_all_sent_once(call.name.port, i);
        }
        self.begin_anew(config, i);
    }

    fn end_all_sent_once(&mut self, port: u8, but: usize) {
        for i in (0..self.client.calls.len()).filter(|i| *i != but) {
            let call = self.client.calls[i];
            if call.stage.is_open() && call.name.port == port && call.attempt == 1 {
                self.end(i, Outcome::NotExecuted);
            }
        }
    }

    /// R29: the refusal of the first copy proves, if that one left after the former life had ended.
    fn hear_stale(&mut self, config: &Config, i: usize, present: u8, attempt: u8, fresh: bool) {
        let worked = self.client.calls[i].worked;
        let proves = attempt == 1 && fresh || config.breaks(Broken::StaleAlwaysProves);
        self.client.server_epoch = self.client.server_epoch.max(present);
        match proves && !worked {
            true => self.begin_anew(config, i),
            false => self.end_unknown(i, Unknown::ServerRestarted),
        }
    }

    /// It is proved that it did not run: it is sent again (R29, R35), if it may be, under another port.
    fn begin_anew(&mut self, config: &Config, i: usize) {
        let call = self.client.calls[i];
        let may = call.stage != Stage::Aborting && call.resends < config.resends_max;
        if may && self.draw_name(config, i) {
            self.client.calls[i].resends += 1;
            self.transmit(config, i);
        } else {
            self.end(i, Outcome::NotExecuted);
        }
    }

    /// What has ended is the same whatever it was before, or there would be more states.
    fn end(&mut self, i: usize, outcome: Outcome) {
        self.client.calls[i] = Call { stage: Stage::Ended(outcome), ..Call::NEW };
    }

    fn end_unknown(&mut self, i: usize, why: Unknown) {
        self.end(i, Outcome::Unknown(why));
    }
}
