//! How much the daemon holds of the long messages of its processes.
//!
//! Of each process three things are counted: messages that it has said by half, requests that it has
//! asked and that have not ended, and messages that wait until it reads. Short ones are bounded by their
//! number.
//!
//! Invariant: what is held is counted before, and no longer than it is held. No process has more of any
//! of the three than was configured, and all of them together have no more: but for requests that are
//! handed over, of which each process may have one more than that.

use bytes::Bytes;

use super::inside::Inside;
use crate::local::HEADER_MAX;
use crate::local::room::Room;
use crate::protocol::{BODY_MAX, ProcessId};

/// What is allowed, and what is left of it.
#[derive(Debug)]
pub(super) struct Long {
    /// How long the body of a request or of a reply is at most.
    pub(super) message_max: usize,
    /// How many bytes of one process are held, of each of the three.
    pub(super) process_max: usize,
    /// How many are of all.
    pub(super) room: Room,
}

impl Long {
    /// There is room for the longest message, in any case.
    pub(super) fn new(message_max: usize, process_max: usize, all_max: usize) -> Long {
        let longest = message_max + HEADER_MAX;
        let room = Room::new(all_max.max(2 * longest));
        Long { message_max, process_max: process_max.max(longest), room }
    }

    /// The protocol refuses it (R32). Nobody looks at what is in it, so it takes no memory.
    pub(super) fn one_too_long(&self) -> Bytes {
        vec![0; self.message_max + 1].into()
    }
}

impl Default for Long {
    /// As long as there were no long ones.
    fn default() -> Long {
        Long::new(BODY_MAX, 0, 0)
    }
}

impl Inside {
    /// Whether so many bytes more may be held of what a process asks, or of what waits for it, of which
    /// it has so many.
    pub(super) fn may_hold(&self, id: ProcessId, has: usize, bytes: usize) -> bool {
        let user = self.processes.get(&id).map(|process| process.who.user);
        bytes == 0
            || (has == 0 || has.saturating_add(bytes) <= self.long.process_max)
                && user.is_some_and(|user| self.long.room.has(user, bytes))
    }

    /// Whether one more request may be handed over: what has not been read of the others is not too
    /// much. If it is, that is made up for by [`Inside::make_up`].
    pub(super) fn may_hand_over(&mut self, id: ProcessId) -> bool {
        let most = self.long.process_max;
        let Some(process) = self.processes.get_mut(&id) else { return false };
        let may = process.long_waiting() < most;
        process.is_behind |= !may;
        may
    }

    /// A process has read: it gets the requests that there was no room for.
    pub(super) fn make_up(&mut self, id: ProcessId) {
        let most = self.long.process_max;
        let Some(process) = self.processes.get_mut(&id) else { return };
        if process.is_behind && process.long_waiting() < most {
            process.is_behind = false;
            for port in process.ports() {
                self.hand_over(port);
            }
        }
    }
}
