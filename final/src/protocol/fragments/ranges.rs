//! Which bytes of a message are there.
//!
//! Invariant: the ranges are not empty, do not touch, and ascend.

use bytes::{BufMut, Bytes, BytesMut};

/// So many separate ranges are told of in one CREDIT: the lowest.
pub(crate) const TOLD_MAX: usize = 64;
/// So many are kept. What would make one more is dropped, and sent again.
const KEPT_MAX: usize = 256;
/// In memory, at most.
pub(crate) const RANGES_LEN: usize = KEPT_MAX * size_of::<(u32, u32)>();
/// Of one range, as it travels: where it begins, and where the bytes after it do.
const RANGE_LEN: usize = 8;

/// Some of the bytes of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// Adds the bytes from here up to there. `false` if nothing was new, or there is no place for it.
    pub(crate) fn insert(&mut self, from: u32, to: u32) -> bool {
        if from >= to || self.cover(from, to) {
            return false;
        }
        let first = self.0.partition_point(|range| range.1 < from);
        let last = self.0.partition_point(|range| range.0 <= to);
        if first == last && self.0.len() >= KEPT_MAX {
            return false;
        }
        let merged = self.0[first..last].iter();
        let merged = merged.fold((from, to), |all, it| (all.0.min(it.0), all.1.max(it.1)));
        self.0.splice(first..last, [merged]);
        true
    }

    /// Whether all bytes from here up to there are among them.
    pub(crate) fn cover(&self, from: u32, to: u32) -> bool {
        let at = self.0.partition_point(|range| range.1 < to);
        self.0.get(at).is_some_and(|range| range.0 <= from && to <= range.1)
    }

    /// How many bytes there are without a gap from the first on.
    pub(crate) fn prefix(&self) -> u32 {
        self.0.first().filter(|range| range.0 == 0).map_or(0, |range| range.1)
    }

    /// All of them, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().copied()
    }

    /// Up to where they say what is missing: if not all could be told, nothing is known behind the last.
    pub(crate) fn known_to(&self) -> u32 {
        match self.0.last() {
            Some(last) if self.0.len() >= TOLD_MAX => last.1,
            _ => u32::MAX,
        }
    }

    /// As they travel: the lowest of them.
    pub(crate) fn encode(&self) -> Bytes {
        let told = &self.0[..self.0.len().min(TOLD_MAX)];
        let mut bytes = BytesMut::with_capacity(told.len() * RANGE_LEN);
        for (from, to) in told {
            bytes.put_u32(*from);
            bytes.put_u32(*to);
        }
        bytes.freeze()
    }

    /// What somebody sent, if it is possible.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Ranges> {
        if !bytes.len().is_multiple_of(RANGE_LEN) || bytes.len() > TOLD_MAX * RANGE_LEN {
            return None;
        }
        let number = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let ranges = bytes.chunks_exact(RANGE_LEN);
        let ranges: Vec<_> = ranges.map(|range| (number(range), number(&range[4..]))).collect();
        let ascend = ranges.windows(2).all(|two| two[0].1 < two[1].0);
        let full = ranges.iter().all(|range| range.0 < range.1);
        (ascend && full).then_some(Ranges(ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside each other, over each other, into a gap, all in all orders.
    #[test]
    fn ranges_are_joined() {
        let pieces = [(0, 10), (10, 20), (15, 30), (40, 50), (35, 41), (60, 61)];
        let mut orders = vec![(Vec::new(), pieces.to_vec())];
        while let Some((mut taken, rest)) = orders.pop() {
            if rest.is_empty() {
                let mut ranges = Ranges::default();
                taken.drain(..).for_each(|(from, to): (u32, u32)| _ = ranges.insert(from, to));
                assert_eq!(ranges.0, [(0, 30), (35, 50), (60, 61)]);
                assert_eq!(ranges.prefix(), 30);
                assert!(ranges.cover(36, 50) && !ranges.cover(29, 31) && !ranges.cover(50, 51));
                assert!(!ranges.insert(36, 40) && !ranges.insert(3, 3));
                assert_eq!(Ranges::decode(&ranges.encode()), Some(ranges));
            }
            for (i, piece) in rest.iter().enumerate() {
                let mut left = rest.clone();
                left.remove(i);
                let taken = taken.iter().copied().chain([*piece]).collect();
                orders.push((taken, left));
            }
        }
    }

    /// A gap too many is not kept, a piece that closes one is.
    #[test]
    fn gaps_are_limited() {
        let mut ranges = Ranges::default();
        for i in 0..KEPT_MAX as u32 {
            assert!(ranges.insert(10 * i, 10 * i + 5));
        }
        assert!(!ranges.insert(1_000_000, 1_000_001));
        assert_eq!(ranges.known_to(), 10 * (KEPT_MAX as u32 - 1) + 5);
        let told = Ranges::decode(&ranges.encode()).unwrap();
        assert_eq!(told.0, ranges.0[..TOLD_MAX]);
        assert_eq!(told.known_to(), 10 * (TOLD_MAX as u32 - 1) + 5);
        assert!(ranges.insert(5, 10) && ranges.insert(1_000_000, 1_000_001));
        assert_eq!(Ranges::default().known_to(), u32::MAX);
    }

    /// Whatever it is that somebody sends.
    #[test]
    fn impossible_ranges_are_refused() {
        let bytes =
            |numbers: &[u32]| numbers.iter().flat_map(|it| it.to_be_bytes()).collect::<Vec<_>>();
        for numbers in [&[1][..], &[0, 0], &[5, 4], &[0, 5, 5, 6], &[10, 20, 5, 6], &[0, 5, 6]] {
            assert_eq!(Ranges::decode(&bytes(numbers)), None, "{numbers:?}");
        }
        let many: Vec<u32> = (0..2 * (TOLD_MAX as u32 + 1)).map(|i| 2 * i).collect();
        assert_eq!(Ranges::decode(&bytes(&many)), None);
        assert!(Ranges::decode(&bytes(&many[2..])).is_some());
        assert_eq!(Ranges::decode(&[]), Some(Ranges::default()));
    }
}
