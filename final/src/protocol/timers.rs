//! What is due and when: a binary heap (§4.2.3 of the paper).
//!
//! Invariant: the earliest entry of the heap is armed, so the deadline is never too early for
//! nothing. Cancelling is lazy: a cancelled entry stays until it would be the earliest, or until most
//! are cancelled.

use std::collections::HashMap;

use binary_heap_plus::{BinaryHeap, MinComparator};

use super::ids::{CallId, ClientId, ClientPort};
use super::site::{Call, Time};

/// Why a timer fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// When to send a request again, or a heartbeat, or an ABORT, or to give up.
    Ask(Call),
    /// When to look whether a client port is idle.
    IdlePort(ClientPort),
    /// When to send the first WORKING.
    Working(CallId),
    /// When to look through what is kept of a client.
    Tidy(ClientId),
    /// When to find the receive queue empty for the second time.
    Drained,
}

/// The timers of a site.
#[derive(Debug)]
pub struct Timers {
    heap: BinaryHeap<Entry, MinComparator>,
    armed: HashMap<Timer, u64>,
    count: u64,
}

/// In the order in which entries leave the heap.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Time,
    number: u64,
    timer: Timer,
}

/// So many more cancelled entries than armed ones are not worth a prune.
const PRUNE_ABOVE: usize = 64;

impl Timers {
    /// Arms a timer, or moves it if it is armed.
    pub fn arm(&mut self, timer: Timer, at: Time) {
        self.count += 1;
        self.armed.insert(timer, self.count);
        self.heap.push(Entry { at, number: self.count, timer });
        self.prune();
    }

    /// Disarms a timer; it need not be armed.
    pub fn cancel(&mut self, timer: Timer) {
        if self.armed.remove(&timer).is_some() {
            self.prune();
        }
    }

    /// Whether it is armed.
    pub fn is_armed(&self, timer: Timer) -> bool {
        self.armed.contains_key(&timer)
    }

    /// When the earliest is due.
    pub fn deadline(&self) -> Option<Time> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes the earliest, if it is due.
    pub fn pop(&mut self, now: Time) -> Option<Timer> {
        self.deadline().filter(|at| *at <= now)?;
        let entry = self.heap.pop()?;
        self.armed.remove(&entry.timer);
        self.prune();
        Some(entry.timer)
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.armed.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    fn prune(&mut self) {
        let armed = |entry: &Entry| self.armed.get(&entry.timer) == Some(&entry.number);
        if self.heap.len() > 2 * self.armed.len() + PRUNE_ABOVE {
            let mut entries = std::mem::replace(&mut self.heap, BinaryHeap::new_min()).into_vec();
            entries.retain(armed);
            self.heap = BinaryHeap::from_vec_cmp(entries, MinComparator);
        }
        while self.heap.peek().is_some_and(|entry| !armed(entry)) {
            self.heap.pop();
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Timers { heap: BinaryHeap::new_min(), armed: HashMap::new(), count: 0 }
    }
}
