//! How much the daemon holds of the long messages of its processes.
//!
//! Invariant: what a process claims is counted before it is held; no process, and not all of them
//! together, have more than was configured.

use bytes::Bytes;

use crate::local::parts::Room;
use crate::protocol::BODY_MAX;

/// What is allowed, and what is left of it.
#[derive(Debug)]
pub(super) struct Long {
    /// How long the body of a request or of a reply is at most.
    pub(super) message_max: usize,
    /// How many bytes of one process are under way, in each direction.
    pub(super) process_max: usize,
    /// How many more are, of all.
    pub(super) room: Room,
}

impl Long {
    pub(super) fn new(message_max: usize, process_max: usize, all_max: usize) -> Long {
        Long { message_max, process_max, room: Room::new(all_max) }
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
