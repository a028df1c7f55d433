//! What is kept by number, where numbers come in turn and go nearly so: all of it in one row, where each is
//! found by its distance from the ends.
//!
//! Invariant: the numbers ascend; and there is no more room than for a few times what is in it.

use std::collections::VecDeque;
use std::ops::Range;

/// Room for so many is kept in any case.
pub(crate) const ROOM_MIN: usize = 8;

#[derive(Debug)]
pub(crate) struct Row<V>(VecDeque<(u64, V)>);

impl<V> Row<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.find(number).is_ok()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&V> {
        let at = self.find(number).ok()?;
        Some(&self.0[at].1)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut V> {
        let at = self.find(number).ok()?;
        Some(&mut self.0[at].1)
    }

    pub(crate) fn first(&self) -> Option<(u64, &V)> {
        self.0.front().map(|(number, value)| (*number, value))
    }

    pub(crate) fn pop_first(&mut self) -> Option<(u64, V)> {
        let first = self.0.pop_front();
        self.give_back();
        first
    }

    pub(crate) fn insert(&mut self, number: u64, value: V) {
        match self.find(number) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (number, value)),
        }
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<V> {
        let at = self.find(number).ok()?;
        let (_, value) = self.0.remove(at)?;
        self.give_back();
        Some(value)
    }

    pub(crate) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }

    /// In the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.0.iter().map(|(number, value)| (*number, value))
    }

    /// In the order of their numbers.
    pub(crate) fn range(&self, numbers: Range<u64>) -> impl Iterator<Item = (u64, &V)> {
        let at = |number| self.find(number).unwrap_or_else(|at| at);
        let places = at(numbers.start)..at(numbers.end);
        self.0.range(places).map(|(number, value)| (*number, value))
    }

    /// What was room for many is not kept for few.
    fn give_back(&mut self) {
        let (len, room) = (self.0.len(), self.0.capacity());
        if room > ROOM_MIN && room > 4 * len {
            self.0.shrink_to((2 * len).max(ROOM_MIN));
        }
    }

    /// Where it is, or where it belongs. If none is missing between it and an end, it is found at once.
    fn find(&self, number: u64) -> Result<usize, usize> {
        let (Some((first, _)), Some((last, _))) = (self.0.front(), self.0.back()) else {
            return Err(0);
        };
        if number > *last {
            return Err(self.0.len());
        }
        if number < *first {
            return Err(0);
        }
        let end = self.0.len() - 1;
        let from_first = usize::try_from(number - first).unwrap_or(end).min(end);
        let from_last = usize::try_from(last - number).unwrap_or(end).min(end);
        let near = [from_first, end - from_last];
        match near.into_iter().find(|at| self.0[*at].0 == number) {
            Some(at) => Ok(at),
            None => self.0.binary_search_by_key(&number, |(number, _)| *number),
        }
    }
}

impl<V> Default for Row<V> {
    fn default() -> Self {
        Row(VecDeque::new())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// A client that had many calls open once costs no more than others.
    #[test]
    fn what_was_room_for_many_is_not_kept_for_few() {
        let mut row = Row::default();
        (0..1000).for_each(|number| row.insert(number, ()));
        for number in 0..998 {
            row.remove(number);
            assert!(row.0.capacity() <= (4 * row.0.len()).max(ROOM_MIN));
        }
        row.pop_first();
        row.pop_first();
        assert!(row.is_empty() && row.0.capacity() <= ROOM_MIN);
    }

    /// Numbers in turn, some left behind, and jumps to anywhere, beside a tree.
    #[test]
    fn a_row_is_as_a_tree() {
        let mut dice = StdRng::seed_from_u64(1);
        let (mut row, mut tree) = (Row::default(), BTreeMap::new());
        let mut next = 1;
        for value in 0..100_000 {
            if dice.random_bool(0.001) {
                let ends = [0, 70, u64::MAX / 2, u64::MAX - 100, u64::MAX];
                next = ends[dice.random_range(0..ends.len())];
            }
            let number = dice.random_range(next.saturating_sub(40)..=next);
            match dice.random_range(0..5) {
                0 | 1 => {
                    row.insert(next, value);
                    tree.insert(next, value);
                    next = next.saturating_add(1);
                }
                2 => {
                    row.insert(number, value);
                    tree.insert(number, value);
                }
                3 => assert_eq!(row.remove(number), tree.remove(&number)),
                _ => assert_eq!(row.pop_first(), tree.pop_first()),
            }
            assert_eq!(row.get(number), tree.get(&number));
            assert_eq!(row.get_mut(number), tree.get_mut(&number));
            assert_eq!(row.contains(next), tree.contains_key(&next));
            assert_eq!(row.first(), tree.first_key_value().map(|(number, value)| (*number, value)));
            assert_eq!(row.is_empty(), tree.is_empty());
            if value % 64 == 0 {
                let all = tree.iter().map(|(number, value)| (*number, value));
                assert!(row.iter().eq(all));
                let some = tree.range(number..next).map(|(number, value)| (*number, value));
                assert!(row.range(number..next).eq(some));
            }
        }
    }
}
