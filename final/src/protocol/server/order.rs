//! Ordered requests (R33): each is handed over after the one before it.
//!
//! Invariant: when an ordered request is handed over, all before it in its chain were handed over,
//! never will be, or lie below the floor. (One that was called off before it came named none before
//! it, so what comes after it waits for the floor.)

use super::super::broken::Broken;
use super::super::effects::Effects;
use super::super::ids::{CallId, ClientId};
use super::super::tombstone::State;
use super::Server;

impl Server {
    /// Whether it need not wait for the one before it, or there is room for one more that waits.
    pub(super) fn may_wait(&self, call: CallId, predecessor: u64) -> bool {
        self.tombstones.get(&call.client).is_none_or(|tombstone| {
            !tombstone.must_wait(predecessor)
                || tombstone.order.len() < self.config.ordered_wait_max
        })
    }

    /// Whether a request that was just admitted waits for the one before it.
    pub(super) fn hold(&mut self, call: CallId, out: &mut Effects) -> bool {
        let Some(tombstone) = self.tombstones.get_mut(&call.client) else { return false };
        let predecessor = tombstone.records.get(call.seq).map_or(0, |it| it.predecessor);
        let ignored = self.config.is_broken(Broken::OrderIgnored);
        if ignored || !tombstone.must_wait(predecessor) {
            return false;
        }
        let Some(record) = tombstone.records.get_mut(call.seq) else { return false };
        let State::Queued(body) = &mut record.state else { return false };
        record.state = State::Ordered(std::mem::take(body));
        let ends = record.patience_ends;
        tombstone.order.waiting += 1;
        if let Some(ends) = ends {
            self.tidy_by(call.client, ends, out);
        }
        true
    }

    /// Something of this client was handed over, marked, or fell below the floor.
    pub(super) fn release_ordered(&mut self, client: ClientId, out: &mut Effects) {
        let Some(tombstone) = self.tombstones.get(&client) else { return };
        if tombstone.order.waiting == 0 {
            return;
        }
        let free = tombstone.records.iter().filter(|(_, record)| {
            let waits = matches!(record.state, State::Ordered(_));
            waits && !tombstone.must_wait(record.predecessor)
        });
        let free: Vec<u64> = free.map(|(seq, _)| seq).collect();
        for seq in free {
            let Some(tombstone) = self.tombstones.get_mut(&client) else { return };
            let Some(record) = tombstone.records.get_mut(seq) else { continue };
            if let State::Ordered(body) = &mut record.state {
                record.state = State::Queued(std::mem::take(body));
                tombstone.order.waiting -= 1;
                self.queue(CallId { client, seq }, out);
            }
        }
    }
}
