//! The memory of clients that were evicted, for the rest of the epoch (R35).
//!
//! Invariant: a yes never becomes a no. It is never rebuilt, re-seeded or rotated; worn out, it costs
//! strangers a second try, never safety.

use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::ids::ClientId;

/// The best number of bits for one wrong yes in a hundred.
const PROBES: u64 = 7;

/// A Bloom filter. It takes its memory when the first client is evicted.
#[derive(Debug)]
pub(crate) struct Evicted {
    key: (u64, u64),
    len: usize,
    words: Vec<u64>,
}

impl Evicted {
    /// In so many bytes, a multiple of 8.
    pub(crate) fn new(key: (u64, u64), len: usize) -> Evicted {
        Evicted { key, len, words: Vec::new() }
    }

    pub(crate) fn insert(&mut self, client: &ClientId) {
        if self.words.is_empty() {
            self.words = vec![0; self.len / 8];
        }
        for bit in self.bits(client) {
            self.words[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    /// `false` is certain.
    pub(crate) fn has(&self, client: &ClientId) -> bool {
        !self.words.is_empty()
            && self.bits(client).all(|bit| self.words[(bit / 64) as usize] >> (bit % 64) & 1 == 1)
    }

    fn bits(&self, client: &ClientId) -> impl Iterator<Item = u64> + use<> {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        client.hash(&mut hasher);
        let hash = hasher.finish128();
        let bits = self.len as u64 * 8;
        (0..PROBES).map(move |i| hash.h1.wrapping_add(i.wrapping_mul(hash.h2 | 1)) % bits)
    }
}
