//! Receive: takes what the network brings (§4.2.2).
//!
//! Invariant: what it reads from the socket is handled before it leaves the lock, so whoever holds the
//! lock and finds the socket empty knows that nothing lies anywhere (R23).

use super::door::Door;
use super::inside::Stage;
use crate::udp::{Bell, Socket};

/// Until the daemon stops, which rings.
pub(super) fn run(door: &Door, socket: &Socket, bell: &Bell) {
    let mut stopped = false;
    while !stopped {
        bell.sleep(Some(socket), None);
        stopped = door.enter(|inside| {
            inside.read_burst();
            inside.stage() == Stage::Stopped
        });
    }
}
