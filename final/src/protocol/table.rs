//! The hash tables of a site: keyed anew in each, for strangers choose what is looked up in them.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::ops::Index;

use slab::Slab;

use super::ids::CallId;

/// A hash table.
pub(crate) type Table<K, V> = HashMap<K, V, ahash::RandomState>;

/// A hash table for what this site itself numbers, so that nobody else chooses what is looked up:
/// neighbours in number are neighbours in memory, some at a time, and what comes in turn is found where
/// the one before it was.
pub(crate) type NumberedTable<K, V> = HashMap<K, V, BuildHasherDefault<Number>>;

/// The same for what is long: it lies where the last one lay that is gone, and is in the processor's
/// cache there.
///
/// Invariant: the places in `index` are those of the values.
#[derive(Debug)]
pub(crate) struct NumberedSlab<K, V> {
    index: NumberedTable<K, u32>,
    values: Slab<V>,
}

impl<K: Copy + Eq + Hash, V> NumberedSlab<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.index.get(key).and_then(|at| self.values.get(*at as usize))
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.index.get(key).and_then(|at| self.values.get_mut(*at as usize))
    }

    /// It is new.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.index.insert(key, self.values.insert(value) as u32);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.index.remove(key).map(|at| self.values.remove(at as usize))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.index.iter().map(|(key, at)| (key, &self.values[*at as usize]))
    }
}

impl<K: Copy + Eq + Hash, V> Index<&K> for NumberedSlab<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        &self.values[self.index[key] as usize]
    }
}

impl<K, V> Default for NumberedSlab<K, V> {
    fn default() -> Self {
        NumberedSlab { index: NumberedTable::default(), values: Slab::new() }
    }
}

/// So many in turn are together. Were all, those that stay for long would fill one stretch of the table,
/// through which is searched whenever the numbers have come round it.
const TOGETHER: u64 = 64;
/// Whatever is odd and has no pattern: the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a number whose neighbours begin here: seven bits tell them apart in the table.
fn among_neighbours(begin: u64, number: u64) -> u64 {
    const PLACE: u64 = u64::MAX >> 7;
    (begin.wrapping_add(number % TOGETHER) & PLACE) | (number.wrapping_mul(GOLDEN) & !PLACE)
}

/// The hasher of such a table.
#[derive(Debug, Default)]
pub(crate) struct Number(u64);

impl Hasher for Number {
    fn finish(&self) -> u64 {
        let begin = (self.0 / TOGETHER).wrapping_mul(GOLDEN).rotate_left(32);
        among_neighbours(begin, self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = (self.0 << 8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Hash tables of calls: those of one client, which come in turn, are neighbours in memory, some at a time.
/// Where they begin, no stranger can choose.
pub(crate) type CallTable<V> = HashMap<CallId, V, ByClient>;
pub(crate) type CallSet = HashSet<CallId, ByClient>;

#[derive(Debug, Clone, Default)]
pub(crate) struct ByClient(ahash::RandomState);

impl BuildHasher for ByClient {
    type Hasher = ClientHasher;

    fn build_hasher(&self) -> ClientHasher {
        ClientHasher { client: self.0.build_hasher(), seq: 0 }
    }
}

/// The last number that is hashed is that of the call; all before it say whose it is.
pub(crate) struct ClientHasher {
    client: ahash::AHasher,
    seq: u64,
}

impl Hasher for ClientHasher {
    fn finish(&self) -> u64 {
        let mut begin = self.client.clone();
        begin.write_u64(self.seq / TOGETHER);
        among_neighbours(begin.finish(), self.seq)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.client.write(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        let before = std::mem::replace(&mut self.seq, number);
        self.client.write_u64(before);
    }
}

/// A hash table that knows which entry was used least recently; and finds the one that it found last
/// without a search, for one event asks for the same entry again and again.
///
/// Invariant: the places in `index` are those of the entries, whose links lead from `first` to `last`
/// over all of them and back.
#[derive(Debug)]
pub(crate) struct LinkedTable<K, V> {
    index: Table<K, u32>,
    entries: Vec<Option<Entry<K, V>>>,
    free: Vec<u32>,
    first: u32,
    last: u32,
    /// Where the last one was found.
    found: Cell<u32>,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    before: u32,
    after: u32,
}

/// No place: there are never so many.
const NONE: u32 = u32::MAX;

impl<K: Copy + Eq + Hash, V> LinkedTable<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let at = self.find(key)?;
        self.entries[at as usize].as_ref().map(|entry| &entry.value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key)?;
        self.entries[at as usize].as_mut().map(|entry| &mut entry.value)
    }

    /// It is used now.
    #[allow(clippy::wrong_self_convention)]
    pub(crate) fn to_back(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key)?;
        if at != self.last {
            self.unlink(at);
            self.link(at);
        }
        self.entries[at as usize].as_mut().map(|entry| &mut entry.value)
    }

    /// It is used now, whether it is new or not.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if let Some(old) = self.to_back(&key) {
            *old = value;
            return;
        }
        let entry = Some(Entry { key, value, before: NONE, after: NONE });
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at as usize] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        self.index.insert(key, at);
        self.link(at);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.index.remove(key)?;
        self.unlink(at);
        self.free.push(at);
        self.entries[at as usize].take().map(|entry| entry.value)
    }

    /// The least recently used one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            let entry = self.entry(next)?;
            next = entry.after;
            Some((&entry.key, &entry.value))
        })
    }

    fn find(&self, key: &K) -> Option<u32> {
        let found = self.found.get();
        if self.entry(found).is_some_and(|entry| entry.key == *key) {
            return Some(found);
        }
        let at = *self.index.get(key)?;
        self.found.set(at);
        Some(at)
    }

    fn entry(&self, at: u32) -> Option<&Entry<K, V>> {
        self.entries.get(at as usize)?.as_ref()
    }

    fn entry_mut(&mut self, at: u32) -> Option<&mut Entry<K, V>> {
        self.entries.get_mut(at as usize)?.as_mut()
    }

    /// Puts it behind all others.
    fn link(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.last, at);
        match self.entry_mut(before) {
            Some(entry) => entry.after = at,
            None => self.first = at,
        }
        if let Some(entry) = self.entry_mut(at) {
            (entry.before, entry.after) = (before, NONE);
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(Entry { before, after, .. }) = self.entry(at) else { return };
        let (before, after) = (*before, *after);
        match self.entry_mut(before) {
            Some(entry) => entry.after = after,
            None => self.first = after,
        }
        match self.entry_mut(after) {
            Some(entry) => entry.before = before,
            None => self.last = before,
        }
    }
}

impl<K, V> Default for LinkedTable<K, V> {
    fn default() -> Self {
        LinkedTable {
            index: Table::default(),
            entries: Vec::new(),
            free: Vec::new(),
            first: NONE,
            last: NONE,
            found: Cell::new(NONE),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::super::ids::{ClientId, ClientPort};
    use super::*;

    /// Numbers in turn are in turn in the table, most of those in one place are told apart, and many that
    /// stay leave room everywhere.
    #[test]
    fn neighbours_are_neighbours() {
        let hash = |number: u64| {
            let mut hasher = Number::default();
            number.hash(&mut hasher);
            hasher.finish()
        };
        let table: NumberedTable<u64, u64> = (0..1000).map(|number| (number, number)).collect();
        assert!((0..1000).all(|number| table[&number] == number));
        assert!((0..TOGETHER).all(|it| hash(6400 + it) & 1023 == (hash(6400) + it) & 1023));
        let mut full = [0; 128];
        (0..1 << 16).for_each(|number| full[(hash(number) as usize & 0x1_ffff) >> 10] += 1);
        assert!(full.iter().all(|full| *full < 700), "of 1,024 places each: {full:?}");
        let marks: std::collections::BTreeSet<u64> = (0..16).map(|it| hash(it) >> 57).collect();
        assert!(marks.len() > 12, "{marks:?}");
    }

    /// The calls of a client are in turn, those of another are elsewhere, and each table has them elsewhere.
    #[test]
    fn calls_of_a_client_are_neighbours() {
        let hasher = ByClient::default();
        let client = |port| ClientId { port: ClientPort(port), ..ClientId::default() };
        let place =
            |port, seq| hasher.hash_one(CallId { client: client(port), seq }) & (u64::MAX >> 7);
        let away = |port, seq| place(port, seq).wrapping_sub(place(1, 1)) & (u64::MAX >> 7);
        assert!((1..TOGETHER).all(|seq| away(1, seq) == seq - 1));
        assert!((1..1000).all(|far| away(1, far << 20) > 1000));
        assert!((2..1000).all(|port| away(port, 1) > 1000 && away(port, 2) == away(port, 1) + 1));
        let other = ByClient::default().hash_one(CallId { client: client(1), seq: 1 });
        assert_ne!(hasher.hash_one(CallId { client: client(1), seq: 1 }), other);
    }

    /// A hundred thousand random uses of few keys, beside a list that is searched.
    #[test]
    fn the_least_recently_used_is_first() {
        let mut dice = StdRng::seed_from_u64(1);
        let (mut table, mut list) = (LinkedTable::default(), Vec::<(u8, u32)>::new());
        for value in 0..100_000 {
            let key = dice.random_range(0..16_u8);
            let at = list.iter().position(|it| it.0 == key);
            match dice.random_range(0..4) {
                0 => {
                    at.map(|at| list.remove(at));
                    list.push((key, value));
                    table.insert(key, value);
                }
                1 => assert_eq!(table.remove(&key), at.map(|at| list.remove(at).1)),
                2 => {
                    let used = at.map(|at| list.remove(at));
                    assert_eq!(table.to_back(&key).copied(), used.map(|it| it.1));
                    list.extend(used);
                }
                _ => {
                    let expected = at.map(|at| list[at].1);
                    assert_eq!(table.get(&key).copied(), expected);
                    assert_eq!(table.get_mut(&key).copied(), expected);
                }
            }
            assert_eq!(table.len(), list.len());
            assert!(table.iter().map(|(key, value)| (*key, *value)).eq(list.iter().copied()));
        }
    }
}
