//! A message that is half built.
//!
//! Invariant: never more memory than the message has bytes, and its checksum.

use bytes::Bytes;

use super::super::broken::Broken;
use super::super::config::Config;
use super::super::kind::Credit;
use super::ranges::Ranges;
use super::wire::{Fragment, TRAILER};

/// What has come of a message.
#[derive(Debug)]
pub(crate) struct Building {
    /// Drawn anew for each: a sender that hears of another one begins anew.
    number: u32,
    len: u32,
    bytes: Vec<u8>,
    have: Ranges,
    /// The last that was sent of what has come.
    newest: u32,
    /// Over so many bytes.
    sum: u32,
    summed: u32,
}

impl Building {
    /// A message of so many bytes, of which nothing has come.
    pub(crate) fn new(number: u32, len: u32) -> Building {
        // No page of it is taken before something is written there.
        let bytes = Vec::with_capacity((len + TRAILER) as usize);
        Building { number, len, bytes, have: Ranges::default(), newest: 0, sum: 0, summed: 0 }
    }

    /// How many bytes the message has.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// A fragment came.
    pub(crate) fn take(&mut self, fragment: &Fragment<&[u8]>) {
        self.newest = self.newest.max(fragment.serial);
        self.insert(fragment.offset, fragment.body);
    }

    /// These bytes of it came.
    pub(crate) fn insert(&mut self, offset: u32, piece: &[u8]) {
        let Some(end) = offset.checked_add(piece.len() as u32) else { return };
        if end > self.len + TRAILER || !self.have.insert(offset, end) {
            return;
        }
        let (from, to) = (offset as usize, end as usize);
        if from == self.bytes.len() {
            self.bytes.extend_from_slice(piece);
        } else {
            if to > self.bytes.len() {
                self.bytes.resize(to, 0);
            }
            self.bytes[from..to].copy_from_slice(piece);
        }
        self.sum_up();
    }

    /// While the bytes are still in the processor's cache.
    fn sum_up(&mut self) {
        let to = self.have.prefix().min(self.len);
        let new = &self.bytes[self.summed as usize..to as usize];
        self.sum = crc32c::crc32c_append(self.sum, new);
        self.summed = to;
    }

    /// Whether all has come.
    pub(crate) fn is_complete(&self, config: &Config) -> bool {
        let end = self.len + TRAILER;
        let holes = config.is_broken(Broken::HolesIgnored) && self.bytes.len() == end as usize;
        self.have.prefix() == end || holes
    }

    /// The message, if it is right (R40).
    pub(crate) fn finish(mut self, config: &Config) -> Option<Bytes> {
        let right = config.is_broken(Broken::HolesIgnored)
            || self.bytes[self.len as usize..] == self.sum.to_be_bytes()[..];
        self.bytes.truncate(self.len as usize);
        right.then(|| self.bytes.into())
    }

    /// What is said of it: it may go on by so many bytes.
    pub(crate) fn credit(&self, further: usize, room: usize, stalled: bool) -> (Credit, Bytes) {
        let granted = self.have.prefix().saturating_add(clamped(further));
        let room = clamped(room);
        let credit = Credit { building: self.number, newest: self.newest, granted, room, stalled };
        (credit, self.have.encode())
    }
}

fn clamped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
