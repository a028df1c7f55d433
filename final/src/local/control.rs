//! How the two sides of a channel wake each other: for each way, a word that says whether the reader
//! sleeps, and one that says whether the writer waits for room.
//!
//! A reader sleeps where its bell wakes it, or on the word itself (a futex): that takes one system call
//! on each side instead of two or three, but nothing else wakes it there.
//!
//! Invariant: whoever says that it sleeps and then finds nothing is rung for what comes next; whoever
//! says that it waits for room and then finds none is rung when there is. (Each side says it, then
//! looks; the other does its work, then asks: with a barrier between, one of the two sees the other.)

use std::ops::Range;
use std::time::Duration;

use super::Way;
use super::sync::{AtomicU64, Ordering, fence};

/// How many words the control page has.
pub(crate) const CONTROL_LEN: usize = 512;
/// From one way's words to the other's.
const LANE: usize = 256;
/// Each in a pair of cache lines of its own.
const HEAD: usize = 0;
const TAKEN: usize = 1;
const TAIL: usize = 16;
const ASLEEP: usize = 32;
const STARVED: usize = 48;
/// What stands in ASLEEP.
const AWAKE: u64 = 0;
const BY_BELL: u64 = 1;
const ON_WORD: u64 = 2;

/// Words that both sides see.
pub(crate) trait Words {
    fn words(&self) -> &[AtomicU64];
    /// Sleeps as long as this word has this value and nobody wakes whoever sleeps on it, or so long; or
    /// less.
    fn sleep(&self, index: usize, value: u64, so_long: Option<Duration>);
    /// Wakes one, or all, of those who sleep on this word.
    fn wake(&self, index: usize, all: bool);
}

/// One way's words in the control page.
#[derive(Debug, Clone)]
pub(crate) struct Lane<W> {
    words: W,
    start: usize,
}

impl<W: Words> Lane<W> {
    pub(crate) fn new(words: W, way: Way) -> Lane<W> {
        assert!(words.words().len() >= CONTROL_LEN, "the control page is there");
        Lane { words, start: if way == Way::Up { 0 } else { LANE } }
    }

    // ---- the reader

    /// It says that it sleeps until its bell rings, and looks once more after this.
    pub(crate) fn sleeps(&self) {
        self.says(BY_BELL);
    }

    /// It says that it sleeps on the word, and looks once more before [`Lane::sleep`].
    pub(crate) fn sleeps_on_word(&self) {
        self.says(ON_WORD);
    }

    /// Sleeps on the word, unless something has come since it said so, or it was roused.
    pub(crate) fn sleep(&self, so_long: Option<Duration>) {
        self.words.sleep(self.start + ASLEEP, ON_WORD, so_long);
    }

    /// (Another thread of the reader's side.) Wakes it, or spares it the sleep of which it has spoken.
    pub(crate) fn rouse(&self) {
        self.woke();
        self.words.wake(self.start + ASLEEP, true);
    }

    pub(crate) fn woke(&self) {
        self.word(ASLEEP).store(AWAKE, Ordering::SeqCst);
    }

    fn says(&self, how: u64) {
        self.word(ASLEEP).store(how, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// It has made room. Whether the writer waits for that, and must be rung.
    pub(crate) fn freed(&self) -> bool {
        fence(Ordering::SeqCst);
        self.take(STARVED) != AWAKE
    }

    /// It has taken so many messages in all, and acted on all but the last.
    pub(crate) fn count_taken(&self, taken: u64) {
        self.word(TAKEN).store(taken, Ordering::Release);
    }

    // ---- the writer

    /// It has written, and wakes a reader that sleeps on the word. Whether the reader sleeps otherwise,
    /// and must be rung.
    pub(crate) fn wrote(&self) -> bool {
        fence(Ordering::SeqCst);
        match self.take(ASLEEP) {
            AWAKE => false,
            ON_WORD => {
                // One thread reads. However many a hostile side lets sleep there: it costs no more.
                self.words.wake(self.start + ASLEEP, false);
                false
            }
            _ => true,
        }
    }

    /// It waits for room, and looks once more after this.
    pub(crate) fn starves(&self) {
        self.word(STARVED).store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn is_fed(&self) {
        self.word(STARVED).store(0, Ordering::SeqCst);
    }

    /// How many messages the reader has taken, as it says.
    pub(crate) fn taken(&self) -> u64 {
        self.word(TAKEN).load(Ordering::Acquire)
    }

    // ---- what is in it

    /// Up to where it was read, of a ring: the reader's.
    pub(super) fn head(&self) -> &AtomicU64 {
        self.word(HEAD)
    }

    /// Up to where a ring is written, or how many messages lie in the queue and before it: the writer's.
    pub(super) fn tail(&self) -> &AtomicU64 {
        self.word(TAIL)
    }

    pub(super) fn at(&self, index: usize) -> &AtomicU64 {
        &self.words.words()[index]
    }

    pub(super) fn all(&self, indexes: Range<usize>) -> &[AtomicU64] {
        &self.words.words()[indexes]
    }

    /// One bell for each time that it was set.
    fn take(&self, which: usize) -> u64 {
        let word = self.word(which);
        if word.load(Ordering::Relaxed) == AWAKE {
            AWAKE
        } else {
            word.swap(AWAKE, Ordering::SeqCst)
        }
    }

    fn word(&self, which: usize) -> &AtomicU64 {
        &self.words.words()[self.start + which]
    }
}
