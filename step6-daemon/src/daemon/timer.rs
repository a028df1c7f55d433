//! Timer: sleeps until something is due, or for ever (§4.2.3).
//!
//! Invariant: what had arrived by some moment is handled before what is due by it, so nothing is
//! forgotten or given up while a datagram that may matter lies in the socket.

use std::net::UdpSocket;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Door, now};

const HELD: &str = "no thread panics while it holds the lock";

/// Does what is due until the daemon stops. `Condvar` sleeps by a clock that stands still while
/// the machine sleeps: then what is due is done late, as after any long pause.
pub(super) fn run(door: &Door, socket: &UdpSocket) {
    let mut inside = door.lock();
    while !inside.stops {
        let Some(at) = inside.site.deadline() else {
            inside = door.timer.wait(inside).expect(HELD);
            continue;
        };
        // Before the socket is looked at: whatever comes later is not of this moment.
        let moment = now();
        let left = at.saturating_sub(moment);
        if !left.is_zero() {
            inside = door.timer.wait_timeout(inside, left).expect(HELD).0;
        } else if readable(socket) {
            // Receive has been woken by the same datagram, and says when it has handled it.
            inside.timer_yields = true;
            inside = door.timer.wait(inside).expect(HELD);
        } else {
            door.event(&mut inside, "Timer", |inside, _| inside.site.handle_timeout(moment));
        }
    }
}

fn readable(socket: &UdpSocket) -> bool {
    let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut sockets, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
