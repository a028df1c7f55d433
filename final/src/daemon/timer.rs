//! Timer: knows when something is due (§4.2.3).
//!
//! The paper's Timer does what is due. Ours has Receive do it, which alone knows that nothing lies unread
//! in the socket; so Receive can sleep in the receive itself.
//!
//! Invariant: it is awake only when something may be due. A deadline that was cancelled is slept to, so
//! that a busy site does not wake it twice for each call; whoever brings an earlier one wakes it.

use std::time::Duration;

use super::door::{Door, UNBROKEN};
use super::inside::Stage;
use crate::clock;
use crate::protocol::Time;
use crate::udp::{Bell, Socket};

/// Until the daemon stops.
pub(super) fn run(door: &Door, socket: &Socket, receive: &Bell) {
    let mut inside = door.lock();
    while inside.stage() != Stage::Stopped {
        let deadline = inside.site.deadline();
        let now = clock::running();
        let left = deadline.map(|deadline| deadline.saturating_sub(now));
        let is_due = left == Some(Duration::ZERO);
        if is_due {
            socket.wake(receive);
        }
        // While Receive is about to do it nobody but Receive needs to wake this thread.
        inside.timer_sleeps = deadline.unwrap_or(Time::MAX);
        inside = match left.filter(|_| !is_due) {
            None => door.timer.wait(inside).expect(UNBROKEN),
            Some(left) => door.timer.wait_timeout(inside, left).expect(UNBROKEN).0,
        };
        inside.timer_sleeps = Time::ZERO;
    }
}
