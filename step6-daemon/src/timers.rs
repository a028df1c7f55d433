//! What is due, and when: the binary heap of §4.2.3.
//!
//! Invariant: the entry on top of the heap is armed. Below it lie at most 64 more cancelled ones
//! than armed ones: to find an entry in a heap takes long, so cancelling only forgets it.

use std::collections::HashMap;

use binary_heap_plus::{BinaryHeap, MinComparator};

use crate::site::{CallId, Time};

/// Why something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// When to send a request again, or to give up.
    Retransmit(CallId),
    /// When to acknowledge a request that is still in service.
    Acknowledge(CallId),
    /// When to ask whether a call is still being served, or to give up.
    Heartbeat(CallId),
    /// When to forget the reply to a request.
    Forget(CallId),
}

/// Timers that are armed, the earliest first; those of the same moment in the order of arming.
///
/// ```
/// # use std::time::Duration;
/// # use step5_heartbeat::{CallId, Epoch, timers::{Timer, Timers}};
/// # let epoch = Epoch { counter: 1, random: 0 };
/// # let call = CallId { peer: "127.0.0.1:7373".parse().unwrap(), epoch, seq: 1 };
/// let mut timers = Timers::default();
/// timers.arm(Timer::Retransmit(call), Duration::from_millis(200));
/// assert_eq!(timers.deadline(), Some(Duration::from_millis(200)));
/// assert_eq!(timers.pop(Duration::from_millis(199)), None);
/// assert_eq!(timers.pop(Duration::from_millis(200)), Some(Timer::Retransmit(call)));
/// assert_eq!(timers.deadline(), None);
/// ```
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
        self.armed.remove(&timer);
        self.prune();
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
    pub fn entries(&self) -> usize {
        self.armed.len()
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
