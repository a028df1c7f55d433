//! Whatever forgets: floors, lifetimes, silent clients, eviction (R23, R24, R30, R35).
//!
//! Invariant: nothing is forgotten by time unless the receive queue was found empty twice, some time
//! apart, since it came due; else a copy that waits in this site's own buffer would outlive its record.

use super::super::broken::Broken;
use super::super::effects::Effects;
use super::super::fragments::{Half, is_large, tag};
use super::super::ids::{CallId, ClientId, ServerId};
use super::super::kind::Reason;
use super::super::note::Note;
use super::super::site::Time;
use super::super::timers::Timer;
use super::super::tombstone::{Answer, State};
use super::Server;

/// How many of the least recently heard clients are looked at when room is needed.
const LOOKED_AT_MAX: usize = 8;

/// A driver that found its queue not empty looks again so soon, and sleeps meanwhile.
pub(super) const LOOK_AFTER: Time = Time::from_millis(1);

/// Clients of which something came due, since when.
#[derive(Debug, Default)]
pub(super) struct Ripe {
    /// The queue was not found empty since.
    due: Vec<(ClientId, Time)>,
    /// It was once.
    once: Vec<(ClientId, Time)>,
    since: Time,
}

impl Server {
    /// The client has the replies below its floor (R24): they go at once. Requests not begun go, too:
    /// the floor is their mark. What is in service goes when it ends.
    pub(super) fn raise_floor(&mut self, client: ClientId, floor: u64, out: &mut Effects) {
        let mut from = 0;
        let frees = !self.config.is_broken(Broken::FloorFreesNothing);
        while let Some((seq, serving)) = self.first_record(client, from, floor) {
            if !serving && frees {
                let call = CallId { client, seq };
                out.note(Note::FreedByFloor);
                Self::drop_timer(call, out);
                self.drop_record(call, out);
            }
            from = seq + 1;
        }
        self.drop_half_built_below(client, floor, out);
        if let Some(tombstone) = self.tombstones.get_mut(&client) {
            tombstone.raise_floor(floor);
        }
        self.release_ordered(client, out);
    }

    fn first_record(&self, client: ClientId, from: u64, floor: u64) -> Option<(u64, bool)> {
        let records = &self.tombstones.get(&client)?.records;
        let (seq, record) = records.range(from..floor).next()?;
        Some((seq, matches!(record.state, State::Serving { .. })))
    }

    pub(super) fn drop_record(&mut self, call: CallId, out: &mut Effects) {
        let Some(tombstone) = self.tombstones.get_mut(&call.client) else { return };
        let Some(record) = tombstone.records.remove(call.seq) else { return };
        let server = ServerId { site: self.site, epoch: self.epoch, port: record.port };
        if matches!(&record.state, State::Done(Answer::Reply(body)) if is_large(body)) {
            out.forget_message(tag(call, server, Half::Reply));
        }
        if matches!(record.state, State::Ordered(_)) {
            tombstone.order.waiting -= 1;
        }
        self.records -= 1;
        self.bytes -= record.bytes();
    }

    /// Looks through what is kept of a client at this time, or earlier if that is planned.
    pub(super) fn tidy_by(&mut self, client: ClientId, at: Time, out: &mut Effects) {
        let Some(tombstone) = self.tombstones.get_mut(&client) else { return };
        if at < tombstone.tidy_at {
            tombstone.tidy_at = at;
            out.timers.arm(Timer::Tidy(client), at);
        }
    }

    /// What is due of this client is marked or told now; what is to be forgotten waits for the queue.
    pub(crate) fn handle_tidy(&mut self, client: ClientId, out: &mut Effects) {
        let now = out.now.running;
        let Some(tombstone) = self.tombstones.get_mut(&client) else { return };
        tombstone.tidy_at = Time::MAX;
        let calls: Vec<CallId> =
            tombstone.records.iter().map(|(seq, _)| CallId { client, seq }).collect();
        for call in calls {
            self.look_at(call, out);
        }
        let Some(tombstone) = self.tombstones.get(&client) else { return };
        let ripe =
            tombstone.records.iter().any(|(_, record)| record.is_done() && record.forget_at <= now);
        if ripe || self.may_leave(client, now, self.config.port_life_max) {
            self.wait_for_silence(client, out);
        }
        self.plan(client, now, out);
    }

    /// A call not begun whose patience is over, or whose client is gone, is marked; one in service is
    /// flagged (R21, R30).
    fn look_at(&mut self, call: CallId, out: &mut Effects) {
        let now = out.now.running;
        let silent_since = now.checked_sub(self.config.orphan_after());
        let Some(record) = self.record(call) else { return };
        let silent = silent_since.is_some_and(|since| record.heard <= since);
        match record.state {
            State::Queued(_) | State::Ordered(_) if record.patience_is_over(now) => {
                out.note(Note::Expired);
                self.mark(call, Reason::Expired, out);
            }
            State::Queued(_) | State::Ordered(_) if silent => {
                out.note(Note::OrphanQueued);
                self.mark(call, Reason::Orphaned, out);
            }
            State::Serving { .. } if silent => {
                self.cancel_service(call, Note::OrphanInService, out);
            }
            _ => {}
        }
    }

    /// When this client is to be looked through next: what was due by then waits for the queue.
    fn plan(&mut self, client: ClientId, due: Time, out: &mut Effects) {
        let orphan_after = self.config.orphan_after();
        let Some(tombstone) = self.tombstones.get(&client) else { return };
        let next = tombstone.records.iter().filter_map(|(_, record)| match record.state {
            State::Done(_) => Some(record.forget_at).filter(|at| *at > due),
            State::Serving { cancelled: true } => None,
            State::Serving { .. } => Some(record.heard + orphan_after),
            _ => Some((record.heard + orphan_after).min(record.patience_ends.unwrap_or(Time::MAX))),
        });
        let leaves = match self.config.is_broken(Broken::EvictsAtOnce) {
            true => due + self.config.drain_time,
            false => (tombstone.heard + self.config.port_life_max).max(tombstone.lives_until),
        };
        let empty = tombstone.records.is_empty();
        let next = next.min().or((empty && leaves > due).then_some(leaves));
        if let Some(at) = next {
            self.tidy_by(client, at, out);
        }
    }

    /// R35: nothing is kept of it, no copy of any of its calls can come, and it was silent for so long.
    fn may_leave(&self, client: ClientId, due: Time, silent: Time) -> bool {
        let silent = silent.max(self.config.evict_after());
        self.tombstones.get(&client).is_some_and(|tombstone| {
            tombstone.records.is_empty()
                && (self.config.is_broken(Broken::EvictsAtOnce)
                    || tombstone.lives_until <= due && tombstone.heard + silent <= due)
        })
    }

    /// Room will be needed: the least recently heard clients leave, if they may.
    pub(super) fn choose_who_leaves(&mut self, out: &mut Effects) {
        let now = out.now.running;
        let oldest = self.tombstones.iter().take(LOOKED_AT_MAX);
        let leaving = oldest.filter(|(client, tombstone)| {
            !tombstone.leaving && self.may_leave(**client, now, self.config.port_life)
        });
        let leaving: Vec<ClientId> = leaving.map(|(client, _)| *client).collect();
        for client in leaving {
            if let Some(tombstone) = self.tombstones.get_mut(&client) {
                tombstone.leaving = true;
            }
            self.wait_for_silence(client, out);
        }
    }

    fn wait_for_silence(&mut self, client: ClientId, out: &mut Effects) {
        if self.config.is_broken(Broken::ForgetsUndrained) {
            return self.forget(client, out.now.running, out);
        }
        self.ripe.due.push((client, out.now.running));
        self.ask_for_silence(out);
    }

    /// Wants the driver to look at its queue as long as something waits for that.
    pub(crate) fn ask_for_silence(&self, out: &mut Effects) {
        let now = out.now.running;
        if !self.ripe.once.is_empty() {
            let again = self.ripe.since + self.config.drain_time;
            out.timers.arm(Timer::Drained, again.max(now + LOOK_AFTER));
        } else if !self.ripe.due.is_empty() {
            out.timers.arm(Timer::Drained, now + LOOK_AFTER);
        }
    }

    /// The queue was not empty when this life had lasted for long enough: looks again (R29).
    pub(crate) fn handle_fresh(&mut self, out: &mut Effects) {
        if !self.fresh {
            out.timers.arm(Timer::Fresh, out.now.running + LOOK_AFTER);
        }
    }

    /// All that had arrived by this moment was handled.
    pub(crate) fn handle_drained(&mut self, out: &mut Effects) {
        let now = out.now.running;
        self.fresh |= now > self.began + self.config.packet_lifetime;
        let again = now >= self.ripe.since + self.config.drain_time;
        if again {
            for (client, due) in std::mem::take(&mut self.ripe.once) {
                self.forget(client, due, out);
            }
        }
        if self.ripe.once.is_empty() && !self.ripe.due.is_empty() {
            let (once, due) =
                std::mem::take(&mut self.ripe.due).into_iter().partition(|it| it.1 <= now);
            (self.ripe.once, self.ripe.due) = (once, due);
            self.ripe.since = now;
            out.timers.arm(Timer::Drained, now + self.config.drain_time);
        }
    }

    /// Forgets what of this client was due then, and still is.
    fn forget(&mut self, client: ClientId, due: Time, out: &mut Effects) {
        let Some(tombstone) = self.tombstones.get_mut(&client) else { return };
        let leaving = std::mem::take(&mut tombstone.leaving);
        let over = tombstone.records.iter();
        let over = over.filter(|(_, record)| record.is_done() && record.forget_at <= due);
        let over: Vec<u64> = over.map(|(seq, _)| seq).collect();
        for seq in over {
            out.note(Note::FreedByTime);
            self.drop_record(CallId { client, seq }, out);
        }
        let silent = if leaving { self.config.port_life } else { self.config.port_life_max };
        if self.may_leave(client, due, silent) {
            self.evict(client, out);
        } else {
            self.plan(client, due, out);
        }
    }

    /// Never to be taken up again in this epoch (R35).
    fn evict(&mut self, client: ClientId, out: &mut Effects) {
        let Some(tombstone) = self.tombstones.remove(&client) else { return };
        out.note(Note::Evicted);
        out.timers.cancel(Timer::Tidy(client));
        if !self.config.is_broken(Broken::EvictedForgotten) {
            self.evicted.insert(&client);
        }
        self.windows -= u64::from(tombstone.window());
        if let Some(ip) = tombstone.ip
            && let Some(count) = self.per_address.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&ip);
            }
        }
    }
}
