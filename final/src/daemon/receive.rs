//! Receive: takes what the network brings, and does what is due (§4.2.2).
//!
//! Invariant: what it reads from the socket is handled before it leaves the lock, and nobody else reads
//! it. So what is due is done when nothing that came earlier lies anywhere (R23).
//!
//! When datagrams come one by one it looks for no second: the process that was just woken wants the
//! lock. When they come in crowds it takes many at once, so that the answers travel together.

use super::door::Door;
use super::inside::Stage;
use super::limits::{BURST_MAX, LOOK_EVERY};
use crate::udp::{Bell, Socket};

/// Until the daemon stops, which wakes it.
pub(super) fn run(door: &Door, socket: &Socket, bell: &Bell) {
    let (mut crowded, mut times, mut stopped) = (false, 0_u32, false);
    while !stopped {
        socket.sleep(bell, None);
        times = times.wrapping_add(1);
        let looks = crowded || times.is_multiple_of(LOOK_EVERY);
        let most = if looks { BURST_MAX } else { 1 };
        let (read, stops) =
            door.enter(|inside| (inside.read_burst(most), inside.stage() == Stage::Stopped));
        stopped = stops;
        if looks {
            crowded = read > 1;
        }
    }
}
