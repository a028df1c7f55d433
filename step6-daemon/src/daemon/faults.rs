//! A worse network, for trying things out: what leaves may be lost or doubled.

use std::collections::BTreeSet;

/// What becomes of the packets that the daemon sends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// Lose exactly these packets, counted from 1.
    pub drop: BTreeSet<u64>,
    /// Lose this share of the packets: 0 to 1.
    pub loss: f64,
    /// Send this share of the packets twice: 0 to 1.
    pub duplicate: f64,
    /// The same seed, the same losses.
    pub seed: u64,
    /// How many packets there were.
    pub packets: u64,
}

impl Faults {
    /// How many copies of the next packet leave.
    pub(super) fn copies(&mut self) -> usize {
        self.packets += 1;
        if self.drop.contains(&self.packets) || self.happens(self.loss) {
            return 0;
        }
        if self.happens(self.duplicate) { 2 } else { 1 }
    }

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
