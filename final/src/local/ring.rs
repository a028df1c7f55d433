//! A ring of bytes in shared words: one side writes, the other reads.
//!
//! Each message is a word with its length, then its bytes, padded to words. `head` and `tail` count
//! words and never go back.
//!
//! Invariant: each side trusts its own count only. The other's is checked whenever it is read, each
//! length before anything is done with it; then whatever stands in the ring is at worst a wrong
//! message, and nothing outside of it is ever touched.

use std::ops::Range;

use super::control::{Lane, Words};
use super::sync::Ordering;
use super::{Broken, MESSAGE_MAX, Unsent};

const WORD: usize = 8;

/// Where a ring lies among the shared words. Its length is a power of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

#[derive(Debug)]
pub(crate) struct Writer<W> {
    lane: Lane<W>,
    place: Place,
    tail: u64,
    /// As it was last seen.
    head: u64,
}

#[derive(Debug)]
pub(crate) struct Reader<W> {
    lane: Lane<W>,
    place: Place,
    head: u64,
    /// As it was last seen.
    tail: u64,
    taken: u64,
}

impl Place {
    fn check(self) -> Place {
        let message = words(MESSAGE_MAX);
        assert!(self.len.is_power_of_two() && self.len >= message, "it holds the longest message");
        self
    }

    fn index(self, count: u64) -> usize {
        self.start + (count as usize & (self.len - 1))
    }

    /// Where so many words lie from this count on: up to the end, and from the start.
    fn indexes(self, count: u64, len: usize) -> [Range<usize>; 2] {
        let from = self.index(count);
        let to_end = len.min(self.start + self.len - from);
        [from..from + to_end, self.start..self.start + len - to_end]
    }
}

/// With its length.
fn words(len: usize) -> usize {
    1 + len.div_ceil(WORD)
}

impl<W: Words> Writer<W> {
    pub(crate) fn new(lane: Lane<W>, place: Place) -> Writer<W> {
        Writer { lane, place: place.check(), tail: 0, head: 0 }
    }

    /// Appends a message of two halves; `true` if the reader must be rung.
    pub(crate) fn try_send(&mut self, head: &[u8], body: &[u8]) -> Result<bool, Unsent> {
        let len = head.len().saturating_add(body.len());
        if len > MESSAGE_MAX {
            return Err(Broken("a message is longer than may be").into());
        }
        let needed = words(len) as u64;
        if !self.has_room(needed) && !self.finds_room(needed)? {
            self.lane.starves();
            if !self.finds_room(needed)? {
                return Err(Unsent::Full);
            }
            self.lane.is_fed();
        }
        self.put(0, len as u64);
        // One word may hold the end of the head and the beginning of the body.
        let (whole, rest) = head.as_chunks::<WORD>();
        let (begin, body) = body.split_at(body.len().min(rest.len().wrapping_neg() % WORD));
        let at = self.put_words(1, whole);
        let at = self.put_rest(at, rest, begin);
        let (whole, rest) = body.as_chunks::<WORD>();
        let at = self.put_words(at, whole);
        self.put_rest(at, rest, &[]);
        self.tail = self.tail.wrapping_add(needed);
        self.lane.tail().store(self.tail, Ordering::Release);
        Ok(self.lane.wrote())
    }

    pub(crate) fn taken(&self) -> u64 {
        self.lane.taken()
    }

    fn has_room(&self, needed: u64) -> bool {
        self.place.len as u64 - self.tail.wrapping_sub(self.head) >= needed
    }

    fn finds_room(&mut self, needed: u64) -> Result<bool, Broken> {
        let head = self.lane.head().load(Ordering::Acquire);
        if head.wrapping_sub(self.head) > self.tail.wrapping_sub(self.head) {
            return Err(Broken("its ring was read backwards, or beyond its end"));
        }
        self.head = head;
        Ok(self.has_room(needed))
    }

    /// Where the next word belongs.
    fn put_words(&self, at: u64, words: &[[u8; WORD]]) -> u64 {
        let (mut words, count) = (words, words.len());
        for indexes in self.place.indexes(self.tail.wrapping_add(at), count) {
            let (these, later) = words.split_at(indexes.len());
            for (to, bytes) in self.lane.all(indexes).iter().zip(these) {
                to.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
            }
            words = later;
        }
        at + count as u64
    }

    /// What is less than a word, or one of two halves.
    fn put_rest(&self, at: u64, rest: &[u8], begin: &[u8]) -> u64 {
        if rest.is_empty() {
            return at;
        }
        let mut bytes = [0; WORD];
        bytes[..rest.len()].copy_from_slice(rest);
        bytes[rest.len()..][..begin.len()].copy_from_slice(begin);
        self.put(at, u64::from_ne_bytes(bytes));
        at + 1
    }

    fn put(&self, at: u64, word: u64) {
        let index = self.place.index(self.tail.wrapping_add(at));
        self.lane.at(index).store(word, Ordering::Relaxed);
    }
}

impl<W: Words> Reader<W> {
    pub(crate) fn new(lane: Lane<W>, place: Place) -> Reader<W> {
        Reader { lane, place: place.check(), head: 0, tail: 0, taken: 0 }
    }

    /// Takes the next message into the buffer, in place of what was there.
    pub(crate) fn try_receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Broken> {
        if self.is_empty()? {
            buffer.clear();
            return Ok(false);
        }
        let there = self.tail.wrapping_sub(self.head);
        let len = usize::try_from(self.get(0)).unwrap_or(usize::MAX);
        if len > MESSAGE_MAX || words(len) as u64 > there {
            return Err(Broken("a message is longer than may be, or than was written"));
        }
        let count = words(len) - 1;
        buffer.resize(count * WORD, 0);
        let mut left = buffer.as_chunks_mut::<WORD>().0;
        for indexes in self.place.indexes(self.head.wrapping_add(1), count) {
            let (these, later) = left.split_at_mut(indexes.len());
            for (bytes, from) in these.iter_mut().zip(self.lane.all(indexes)) {
                *bytes = from.load(Ordering::Relaxed).to_ne_bytes();
            }
            left = later;
        }
        buffer.truncate(len);
        self.head = self.head.wrapping_add(words(len) as u64);
        self.lane.head().store(self.head, Ordering::Release);
        // Last, and still before it is acted on: if this side ends in between, it counts as not taken,
        // and rightly so.
        self.taken += 1;
        self.lane.count_taken(self.taken);
        Ok(true)
    }

    /// Half of it is free again: a writer that is woken for each message would do nothing else.
    pub(crate) fn freed(&self) -> bool {
        self.tail.wrapping_sub(self.head) <= self.place.len as u64 / 2 && self.lane.freed()
    }

    pub(crate) fn may_sleep(&mut self) -> Result<bool, Broken> {
        self.lane.sleeps();
        self.is_still_empty()
    }

    pub(crate) fn may_sleep_on_word(&mut self) -> Result<bool, Broken> {
        self.lane.sleeps_on_word();
        self.is_still_empty()
    }

    pub(crate) fn lane(&self) -> Lane<W>
    where
        W: Clone,
    {
        self.lane.clone()
    }

    fn is_still_empty(&mut self) -> Result<bool, Broken> {
        let empty = self.is_empty()?;
        if !empty {
            self.lane.woke();
        }
        Ok(empty)
    }

    pub(crate) fn woke(&self) {
        self.lane.woke();
    }

    fn is_empty(&mut self) -> Result<bool, Broken> {
        if self.tail == self.head {
            let tail = self.lane.tail().load(Ordering::Acquire);
            if tail.wrapping_sub(self.head) > self.place.len as u64 {
                return Err(Broken("its ring was written backwards, or over what was not read"));
            }
            self.tail = tail;
        }
        Ok(self.tail == self.head)
    }

    fn get(&self, at: u64) -> u64 {
        let index = self.place.index(self.head.wrapping_add(at));
        self.lane.at(index).load(Ordering::Relaxed)
    }
}
