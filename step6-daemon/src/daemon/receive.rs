//! Receive: hands every datagram to the site, and has no interface to the others (§4.2.2).
//!
//! Invariant: a datagram is read under the lock and handled before it is released, so whoever holds
//! the lock finds each datagram either in the socket or in the site.

use std::net::UdpSocket;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use super::Door;
use crate::wire::DATAGRAM_MAX;

/// Waits for a datagram until the daemon stops.
pub(super) fn run(door: &Door, socket: &UdpSocket, stop: &EventFd) {
    let waits_for = [socket.as_fd(), stop.as_fd()];
    let mut waits_for = waits_for.map(|what| PollFd::new(what, PollFlags::POLLIN));
    loop {
        match poll(&mut waits_for, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            ready => ready.expect("two valid descriptors can be waited for"),
        };
        if waits_for[1].any().unwrap_or(true) {
            return;
        }
        receive_datagram(door, socket);
    }
}

fn receive_datagram(door: &Door, socket: &UdpSocket) {
    const THREAD: &str = "Receive";
    door.enter(THREAD, |inside, now| {
        // One byte more than allowed, so that what is too long is seen to be.
        let mut buffer = [0; DATAGRAM_MAX + 1];
        // The kernel may announce a datagram and then find it damaged.
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            inside.received += 1;
            inside.trace.came(THREAD, from, &buffer[..length]);
            inside.site.handle_packet(now, from, &buffer[..length]);
        }
    });
    door.tell_timer(socket);
}
