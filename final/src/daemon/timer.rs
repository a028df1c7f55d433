//! Timer: does what is due (§4.2.3).
//!
//! Invariant: it is awake only when something may be due. A deadline that was cancelled is slept to, so
//! that a busy site does not wake it twice for each call; whoever brings an earlier one wakes it.

use std::time::Duration;

use super::door::{Door, UNBROKEN};
use super::inside::Stage;
use crate::clock;
use crate::protocol::Time;

/// Until the daemon stops.
pub(super) fn run(door: &Door) {
    let mut inside = door.lock();
    while inside.stage() != Stage::Stopped {
        let deadline = inside.site.deadline();
        let now = clock::now().running;
        let left = deadline.map(|deadline| deadline.saturating_sub(now));
        if left == Some(Duration::ZERO) {
            inside.handle_timeout();
            inside.settle();
            continue;
        }
        inside.timer_sleeps = deadline.unwrap_or(Time::MAX);
        inside = match left {
            None => door.timer.wait(inside).expect(UNBROKEN),
            Some(left) => door.timer.wait_timeout(inside, left).expect(UNBROKEN).0,
        };
        inside.timer_sleeps = Time::ZERO;
    }
}
