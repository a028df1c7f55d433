//! Send: takes packets from its FIFO and sends them, and knows nothing else (§4.2.4).
//!
//! Invariant: it never enters the site.

use std::net::{SocketAddr, UdpSocket};

use crossbeam_channel::Receiver;

use crate::wire::Packet;

/// A worse network, for trying things out: what leaves may be lost or doubled.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// Lose this share of the packets: 0 to 1.
    pub loss: f64,
    /// Send this share of the packets twice: 0 to 1.
    pub duplicate: f64,
    /// The same seed, the same losses.
    pub seed: u64,
}

/// Waits for a packet until nobody can have one more.
pub(super) fn run(fifo: &Receiver<(SocketAddr, Packet)>, socket: &UdpSocket, mut faults: Faults) {
    for (to, packet) in fifo {
        if faults.happens(faults.loss) {
            continue;
        }
        let copies = if faults.happens(faults.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            // What the kernel refuses to send is lost, like any other datagram.
            let _ = socket.send_to(&packet.encode(), to);
        }
    }
}

impl Faults {
    /// SplitMix64: small, and far better than these faults need.
    fn happens(&mut self, share: f64) -> bool {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.seed;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / ((1_u64 << 53) as f64) < share
    }
}
