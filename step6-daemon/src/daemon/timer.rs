//! Timer: sleeps until something is due, or for ever (§4.2.3).
//!
//! Invariant: what had arrived by some moment is handled before what is due by it, so nothing is
//! forgotten or given up while a datagram that may matter lies in the socket.

use std::net::UdpSocket;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::RcvBuf;

use super::limits::DATAGRAM_MIN;
use super::{Door, Inside, now, readable};

const HELD: &str = "no thread panics while it holds the lock";

/// Does what is due until the daemon stops. `Condvar` sleeps by a clock that stands still while
/// the machine sleeps: then what is due is done late, as after any long pause.
pub(super) fn run(door: &Door, socket: &UdpSocket) {
    let buffer = getsockopt(socket, RcvBuf).expect("every socket has a buffer");
    let held_max = (buffer / DATAGRAM_MIN) as u64;
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
            continue;
        }
        if readable(socket) {
            // Receive has been woken by the same datagrams, and says when it has handled so many as can
            // have arrived by now. Who sends without end must not keep Timer from its work.
            inside.timer_yields = Some(inside.received + held_max);
            let waits = |inside: &mut Inside| inside.timer_yields.is_some() && !inside.stops;
            inside = door.timer.wait_while(inside, waits).expect(HELD);
        }
        door.event(&mut inside, "Timer", |inside, _| inside.site.handle_timeout(moment));
    }
}
