//! The answering half (PROTOCOL §5 to §7), rule by rule.

use super::state::{
    Broken, Config, Fate, Name, PORTS_MAX, Packet, Reason, Record, Server, Tombstone, World,
};

/// What the network or the server's other clients make of a packet for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pressure {
    None,
    /// There is no room (R26).
    Busy,
    /// Strangers must show a token (R36).
    Challenge,
}

impl World {
    /// The order of the checks is R20's. `age` is that of the epoch when the packet came (R29).
    pub(crate) fn server_hears(
        &mut self,
        config: &Config,
        packet: Packet,
        pressure: Pressure,
        age: u8,
    ) {
        let name = packet.name();
        let (floor, attempt, token) = match packet {
            Packet::Request { floor, attempt, token, .. } => (floor, attempt, token),
            Packet::Heartbeat { attempt, token, .. } => (0, attempt, token),
            Packet::Abort { floor, attempt, .. } => (floor, attempt, false),
            _ => return,
        };
        let is_abort = matches!(packet, Packet::Abort { .. });
        let other_life = name.epoch != self.server.epoch;
        if other_life && !(is_abort && config.breaks(Broken::AbortForAnyLife)) {
            let attempt = if matches!(packet, Packet::Request { .. }) { attempt } else { 0 };
            let fresh = age >= config.fresh_age() || config.breaks(Broken::FreshAtOnce);
            let present = self.server.epoch;
            return self.send(config, Packet::Stale { name, present, attempt, fresh });
        }
        let port = usize::from(name.port);
        let known = self.server.tombstones[port].is_some();
        let asks_filter = !known || config.breaks(Broken::FilterIsAskedFirst);
        let rebuilt = config.breaks(Broken::TombstoneIsRebuilt)
            || is_abort && config.breaks(Broken::AbortRebuildsTombstone);
        if asks_filter && self.server.evicted[port] && !rebuilt {
            return self.refuse_evicted(config, packet, attempt);
        }
        self.raise_floor(config, port, floor);
        if let Some(tombstone) = &mut self.server.tombstones[port] {
            tombstone.token |= token && config.long_replies;
        }
        match packet {
            Packet::Request { .. } => {
                self.handle_request(config, name, floor, attempt, token, pressure);
            }
            Packet::Heartbeat { .. } => self.handle_heartbeat(config, name),
            _ => self.handle_abort(config, name, floor),
        }
    }

    /// R35: never to be taken up again. Only the answer to a REQUEST echoes its attempt.
    fn refuse_evicted(&mut self, config: &Config, packet: Packet, attempt: u8) {
        let name = packet.name();
        let reason = Reason::PortClosed;
        let answer = match packet {
            Packet::Abort { .. } if !config.breaks(Broken::AbortIsEchoed) => {
                let wrong = config.breaks(Broken::EvictedAbortSaysNotRun);
                Packet::Aborted { name, fate: if wrong { Fate::NotRun } else { Fate::Maybe } }
            }
            // A HEARTBEAT has 0 there, unless that rule is broken.
            _ => Packet::Refused { name, reason, attempt },
        };
        self.send(config, answer);
    }

    /// R24: what is below the floor is freed; what is in service goes when it ends.
    fn raise_floor(&mut self, config: &Config, port: usize, floor: u8) {
        let Some(tombstone) = &mut self.server.tombstones[port] else { return };
        tombstone.floor = tombstone.floor.max(floor);
        tombstone.idle = 0;
        for record in &mut tombstone.records[..usize::from(tombstone.floor)] {
            *record = match *record {
                Record::Serving | Record::SecretlyServing => *record,
                Record::Queued if config.breaks(Broken::BelowTheFloorIsRun) => Record::Queued,
                _ if config.breaks(Broken::BelowTheFloorIsRun) => Record::Unseen,
                _ => Record::Forgotten,
            };
        }
    }

    fn record(&self, name: Name) -> Record {
        let tombstone = &self.server.tombstones[usize::from(name.port)];
        let records = tombstone.as_ref().map(|tombstone| tombstone.records);
        records.map_or(Record::Unseen, |records| records[usize::from(name.number)])
    }

    fn handle_request(
        &mut self,
        config: &Config,
        name: Name,
        floor: u8,
        attempt: u8,
        token: bool,
        pressure: Pressure,
    ) {
        let (port, number) = (usize::from(name.port), usize::from(name.number));
        let record = self.record(name);
        if config.breaks(Broken::PortIsCheckedFirst) && self.server.port_dead {
            let reason = Reason::NotRun;
            return self.send(config, Packet::Refused { name, reason, attempt });
        }
        if record != Record::Unseen {
            self.note_attempt(config, name, attempt);
            return self.answer(config, name, record, attempt);
        }
        let known = self.server.tombstones[port].is_some();
        if pressure == Pressure::Challenge && !known && !token {
            return self.send(config, Packet::Challenge { name, attempt });
        }
        if pressure == Pressure::Busy || self.is_beyond(config, name, floor) {
            return self.send(config, Packet::Busy { name });
        }
        self.remember(config, port, floor);
        let dead = self.server.port_dead;
        let record = if dead { Record::Marked(config.reply_lifetime) } else { Record::Queued };
        if let Some(tombstone) = &mut self.server.tombstones[port] {
            tombstone.records[number] = record;
            tombstone.token |= token && config.long_replies;
        }
        self.note_attempt(config, name, attempt);
        if dead {
            self.answer(config, name, record, attempt);
        }
    }

    /// Only a CHALLENGE instead of a long reply echoes it, so else the model forgets it.
    fn note_attempt(&mut self, config: &Config, name: Name, attempt: u8) {
        if let Some(tombstone) = &mut self.server.tombstones[usize::from(name.port)]
            && config.long_replies
        {
            let newest = &mut tombstone.attempts[usize::from(name.number)];
            *newest = attempt.max(*newest);
        }
    }

    fn remember(&mut self, config: &Config, port: usize, floor: u8) {
        if self.server.tombstones[port].is_none() {
            self.server.tombstones[port] = Some(Tombstone::default());
            self.raise_floor(config, port, floor);
        }
    }

    /// Above the client's window (R26).
    fn is_beyond(&self, config: &Config, name: Name, floor: u8) -> bool {
        let tombstone = &self.server.tombstones[usize::from(name.port)];
        let floor = tombstone.as_ref().map_or(floor, |tombstone| tombstone.floor);
        name.number >= floor + config.window + u8::from(self.server.window_grown)
    }

    /// R28: answers for this call and for no other.
    fn handle_heartbeat(&mut self, config: &Config, name: Name) {
        match config.breaks(Broken::SiteVouchesForTheDead) {
            true => self.send(config, Packet::Working { name }),
            false => self.answer(config, name, self.record(name), 0),
        }
    }

    /// R37, R38: it may overtake its request, and proves only after the mark is set.
    fn handle_abort(&mut self, config: &Config, name: Name, floor: u8) {
        let beyond = self.is_beyond(config, name, floor);
        let record = self.record(name);
        let fate = match record {
            Record::Replied(_) => return self.answer(config, name, record, 0),
            Record::Serving => Fate::Stopping,
            Record::Died(_) | Record::Forgotten => Fate::Maybe,
            Record::Unseen if beyond && !config.breaks(Broken::BeyondTheWindowProves) => {
                Fate::Maybe
            }
            _ => Fate::NotRun,
        };
        let marks = !config.breaks(Broken::AbortLeavesNoMark) && !beyond;
        if fate == Fate::NotRun && marks {
            self.remember(config, usize::from(name.port), floor);
        }
        if let (Fate::NotRun, Some(tombstone)) =
            (fate, &mut self.server.tombstones[usize::from(name.port)])
        {
            let record = &mut tombstone.records[usize::from(name.number)];
            if marks {
                *record = Record::Marked(config.reply_lifetime);
            } else if record.is_open() {
                *record = Record::Unseen;
            }
        }
        self.send(config, Packet::Aborted { name, fate });
    }

    /// What is said about a call that has a record, or had one.
    fn answer(&mut self, config: &Config, name: Name, record: Record, attempt: u8) {
        let refused = |reason| Packet::Refused { name, reason, attempt };
        let validated = || {
            let tombstone = &self.server.tombstones[usize::from(name.port)];
            tombstone.as_ref().is_some_and(|tombstone| tombstone.token)
        };
        let packet = match record {
            Record::Unseen => Packet::NoCall { name },
            Record::Queued | Record::SecretlyServing | Record::Serving => Packet::Working { name },
            Record::Replied(_) if config.long_replies && !validated() => {
                Packet::Challenge { name, attempt }
            }
            Record::Replied(_) => Packet::Reply { name },
            Record::Marked(_) => refused(Reason::NotRun),
            Record::Died(_) if config.breaks(Broken::DeathMeansNotRun) => refused(Reason::NotRun),
            Record::Died(_) => refused(Reason::Died),
            Record::Forgotten => refused(Reason::Forgotten),
        };
        self.send(config, packet);
    }

    // ---- the service and its process

    /// A process takes the request: whatever it does may be done from here on (R20).
    pub(crate) fn begin_service(&mut self, config: &Config, port: usize, number: usize) {
        let call = usize::from(self.client.ports[port].owners[number]);
        self.executed[call] += 1;
        let secret = config.breaks(Broken::QueuedUntilAnswered);
        self.set(port, number, if secret { Record::SecretlyServing } else { Record::Serving });
    }

    pub(crate) fn end_service(&mut self, config: &Config, port: usize, number: usize) {
        let Some(tombstone) = self.server.tombstones[port] else { return };
        let replied = Record::Replied(config.reply_lifetime);
        let below = number < usize::from(tombstone.floor);
        self.set(port, number, if below { Record::Forgotten } else { replied });
        let name = self.name(port, number);
        self.answer(config, name, replied, tombstone.attempts[number]);
    }

    pub(crate) fn set(&mut self, port: usize, number: usize, record: Record) {
        if let Some(tombstone) = &mut self.server.tombstones[port] {
            tombstone.records[number] = record;
        }
    }

    pub(crate) fn name(&self, port: usize, number: usize) -> Name {
        Name { port: port as u8, number: number as u8, epoch: self.server.epoch }
    }

    /// R28: what was not begun is marked, what was may have done anything.
    pub(crate) fn process_dies(&mut self, config: &Config) {
        self.server.port_dead = true;
        for port in 0..PORTS_MAX {
            let Some(tombstone) = self.server.tombstones[port] else { continue };
            for (number, record) in tombstone.records.into_iter().enumerate() {
                let after = match record {
                    Record::Queued | Record::SecretlyServing => {
                        Record::Marked(config.reply_lifetime)
                    }
                    Record::Serving => Record::Died(config.reply_lifetime),
                    _ => continue,
                };
                self.set(port, number, after);
                self.answer(config, self.name(port, number), after, 0);
            }
        }
    }

    pub(crate) fn server_restarts(&mut self) {
        self.server = Server::new(self.server.epoch + 1, 0);
    }

    // ---- what is forgotten

    pub(crate) fn evict(&mut self, port: usize) {
        self.server.tombstones[port] = None;
        self.server.evicted[port] = true;
    }

    /// R35: nothing is kept of it, it was silent for long, and the queue was found empty (R23).
    pub(crate) fn may_evict(&self, config: &Config, port: usize) -> bool {
        let looked = self.server.inbox.is_empty() || config.breaks(Broken::ForgetsBeforeDraining);
        let drained = looked && !self.server.stalled;
        self.server.tombstones[port].is_some_and(|tombstone| {
            let empty = |record: &Record| matches!(record, Record::Unseen | Record::Forgotten);
            drained && tombstone.idle >= config.evict_after && tombstone.records.iter().all(empty)
        })
    }

    /// A tick at the server: replies and marks grow old, and are forgotten but for their bit (R23, R25).
    pub(crate) fn server_ages(&mut self, config: &Config) {
        let waits = (self.server.stalled || !self.server.inbox.is_empty())
            && !config.breaks(Broken::ForgetsBeforeDraining);
        let forgotten = match config.breaks(Broken::DuplicateHasNoBit) {
            true => Record::Unseen,
            false => Record::Forgotten,
        };
        self.server.age = (self.server.age + 1).min(config.fresh_age());
        for tombstone in self.server.tombstones.iter_mut().flatten() {
            tombstone.idle = (tombstone.idle + 1).min(config.evict_after);
            for record in &mut tombstone.records {
                *record = match *record {
                    Record::Replied(0) | Record::Marked(0) | Record::Died(0) if waits => *record,
                    Record::Replied(0) | Record::Marked(0) | Record::Died(0) => forgotten,
                    Record::Replied(left) => Record::Replied(left - 1),
                    Record::Marked(left) => Record::Marked(left - 1),
                    Record::Died(left) => Record::Died(left - 1),
                    other => other,
                };
            }
        }
    }
}
