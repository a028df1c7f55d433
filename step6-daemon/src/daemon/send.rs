//! Send: takes packets from its FIFO and sends them, and knows nothing else (§4.2.4).
//!
//! Invariant: it never enters the site.

use std::net::{SocketAddr, UdpSocket};

use crossbeam_channel::Receiver;

use crate::wire::Packet;

/// Waits for a packet until nobody can have one more.
pub(super) fn run(fifo: &Receiver<(SocketAddr, Packet)>, socket: &UdpSocket) {
    for (to, packet) in fifo {
        // What the kernel refuses to send is lost, like any other datagram.
        let _ = socket.send_to(&packet.encode(), to);
    }
}
