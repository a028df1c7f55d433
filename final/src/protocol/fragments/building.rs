//! A message that is half built.
//!
//! Invariant: never more memory than the message has bytes, and its checksum; and none is written further
//! on than its sender may go, who could have all of it filled with zeros by one piece.

use bytes::Bytes;

use super::super::broken::Broken;
use super::super::config::Config;
use super::super::kind::Credit;
use super::FIRST_GRANTED;
use super::ranges::Ranges;
use super::wire::{Fragment, TRAILER};

/// So many bytes may be missing before what is taken: more are not lost at once, and a stranger cannot have
/// more filled with zeros by one piece.
const GAP_MAX: usize = 128 << 10;

/// What has come of a message.
#[derive(Debug)]
pub(crate) struct Building {
    /// Drawn anew for each: a sender that hears of another one begins anew.
    number: u32,
    len: u32,
    bytes: Vec<u8>,
    have: Ranges,
    /// So far its sender may go, as far as it was told.
    granted: u32,
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
        let (have, granted) = (Ranges::default(), FIRST_GRANTED);
        Building { number, len, bytes, have, granted, newest: 0, sum: 0, summed: 0 }
    }

    /// How many bytes the message has.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// A fragment came. Whether it has anything new.
    pub(crate) fn take(&mut self, fragment: &Fragment<&[u8]>) -> bool {
        self.newest = self.newest.max(fragment.serial);
        self.insert(fragment.offset, fragment.body)
    }

    /// These bytes of it came. Whether any of them is new.
    pub(crate) fn insert(&mut self, offset: u32, piece: &[u8]) -> bool {
        let Some(end) = offset.checked_add(piece.len() as u32) else { return false };
        let far = offset as usize > self.bytes.len() + GAP_MAX;
        let beyond = end > self.granted.min(self.len + TRAILER);
        if far || beyond || !self.have.insert(offset, end) {
            return false;
        }
        // What is summed up stays as it is, whatever another copy of it has there.
        let known = self.summed.saturating_sub(offset).min(piece.len() as u32);
        let (piece, from, to) = (&piece[known as usize..], (offset + known) as usize, end as usize);
        if from == self.bytes.len() {
            self.bytes.extend_from_slice(piece);
        } else {
            if to > self.bytes.len() {
                self.bytes.resize(to, 0);
            }
            self.bytes[from..to].copy_from_slice(piece);
        }
        self.sum_up();
        true
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
    pub(crate) fn credit(&mut self, further: usize, room: usize, stalled: bool) -> (Credit, Bytes) {
        let granted = self.have.prefix().saturating_add(clamped(further));
        self.granted = self.granted.max(granted);
        let room = clamped(room);
        let credit = Credit { building: self.number, newest: self.newest, granted, room, stalled };
        (credit, self.have.encode())
    }
}

fn clamped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R40: a piece that was on its way for long overlaps others that came in its place, and was damaged
    /// where they are.
    #[test]
    fn what_is_summed_up_stays_as_it_is() {
        let message: Vec<u8> = (0..200).collect();
        let sum = crc32c::crc32c(&message).to_be_bytes();
        let mut building = Building::new(1, 200);
        assert!(building.insert(0, &message[..100]));
        let mut damaged = message[50..150].to_vec();
        damaged[7] ^= 1;
        assert!(building.insert(50, &damaged));
        assert!(building.insert(150, &message[150..]));
        assert!(building.insert(200, &sum));
        assert_eq!(building.finish(&Config::default()).unwrap(), message);
    }

    /// R43: one piece far behind all others has little memory filled.
    #[test]
    fn what_is_far_behind_is_not_taken() {
        let mut building = Building::new(1, 8 << 20);
        building.credit(4 << 20, 0, false);
        assert!(!building.insert(GAP_MAX as u32 + 1, &[7]));
        assert!(building.bytes.is_empty());
        assert!(building.insert(GAP_MAX as u32, &[7]));
    }

    /// R42: a sender goes on no further than it may. What lies behind is not taken, and no memory written.
    #[test]
    fn what_was_not_granted_is_not_taken() {
        let mut building = Building::new(1, 1 << 20);
        building.insert(0, &[7; 1000]);
        building.insert(FIRST_GRANTED - 1, &[7; 2]);
        building.insert((1 << 20) + 3, &[7]);
        assert_eq!((building.bytes.len(), building.have.iter().count()), (1000, 1));
        let (credit, _) = building.credit(100_000, 0, false);
        assert_eq!(credit.granted, 101_000);
        building.insert(100_999, &[7]);
        building.insert(101_000, &[7]);
        assert_eq!((building.bytes.len(), building.have.iter().count()), (101_000, 2));
        // What was granted once is not taken back, as the sender may be on its way there.
        building.credit(0, 0, false);
        building.insert(100_990, &[7; 9]);
        assert_eq!(building.have.iter().last(), Some((100_990, 101_000)));
    }
}
