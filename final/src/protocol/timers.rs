//! What is due and when: a binary heap (§4.2.3 of the paper).
//!
//! Invariant: the earliest entry of the heap is armed, so the deadline is never too early for
//! nothing. Cancelling is lazy: a cancelled entry stays until it would be the earliest, or until most
//! are cancelled.

use binary_heap_plus::{BinaryHeap, MinComparator};

use super::ids::{CallId, ClientId, ClientPort};
use super::site::{Call, Time};
use super::table::{CallTable, NumberedTable, Table};

/// Why a timer fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// When to send a request again, or a heartbeat, or an ABORT, or to give up.
    Ask(Call),
    /// When to look whether a client port is idle.
    IdlePort(ClientPort),
    /// When to send the first WORKING.
    Working(CallId),
    /// When to look whether more of a large request has come.
    HalfBuilt(CallId),
    /// When to look through what is kept of a client.
    Tidy(ClientId),
    /// When to look whether the receive queue is empty: something waits for that to be forgotten (R23).
    Drained,
    /// When to look whether it is, once no copy sent before this life can come any more (R29).
    Fresh,
}

/// The timers of a site.
///
/// ```
/// use std::time::Duration;
/// use unavez::protocol::{Timer, Timers};
///
/// let mut timers = Timers::default();
/// timers.arm(Timer::Drained, Duration::from_millis(200));
/// assert_eq!(timers.deadline(), Some(Duration::from_millis(200)));
/// assert_eq!(timers.pop(Duration::from_millis(199)), None);
/// assert_eq!(timers.pop(Duration::from_millis(200)), Some(Timer::Drained));
/// assert_eq!(timers.deadline(), None);
/// ```
#[derive(Debug)]
pub struct Timers {
    heap: BinaryHeap<Entry, MinComparator>,
    /// The slots of those that are armed.
    armed: Armed,
    /// What the entries stand for, so that these are small.
    slots: Vec<Timer>,
    /// Of each slot: the entry that stands for it now; 0 if it is not armed. By itself, so that all of it is
    /// in the processor's cache when many are looked at.
    numbers: Vec<u64>,
    free: Vec<u32>,
    count: u64,
}

/// Most timers are those of calls, which come in turn: of this site's, which are numbered here, and of
/// those that are at work here.
#[derive(Debug, Default)]
struct Armed {
    asks: NumberedTable<Call, u32>,
    working: CallTable<u32>,
    others: Table<Timer, u32>,
}

/// In the order in which entries leave the heap.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    number: u64,
    slot: u32,
}

/// So many more cancelled entries than armed ones are not worth a prune.
const PRUNE_ABOVE: usize = 64;

impl Timers {
    /// Arms a timer, or moves it if it is armed.
    pub fn arm(&mut self, timer: Timer, at: Time) {
        self.count += 1;
        let (slots, numbers) = (&mut self.slots, &mut self.numbers);
        let slot = self.armed.get_or_insert(timer, || match self.free.pop() {
            Some(free) => {
                slots[free as usize] = timer;
                free
            }
            None => {
                slots.push(timer);
                numbers.push(0);
                (slots.len() - 1) as u32
            }
        });
        self.numbers[slot as usize] = self.count;
        // 584 years of nanoseconds.
        let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        self.heap.push(Entry { at, number: self.count, slot });
        self.prune();
    }

    /// Disarms a timer; it need not be armed.
    pub fn cancel(&mut self, timer: Timer) {
        if let Some(slot) = self.armed.remove(timer) {
            self.release(slot);
            self.prune();
        }
    }

    /// Whether it is armed.
    pub fn is_armed(&self, timer: Timer) -> bool {
        self.armed.has(timer)
    }

    /// When the earliest is due.
    pub fn deadline(&self) -> Option<Time> {
        self.heap.peek().map(|entry| Time::from_nanos(entry.at))
    }

    /// Takes the earliest, if it is due.
    pub fn pop(&mut self, now: Time) -> Option<Timer> {
        self.deadline().filter(|at| *at <= now)?;
        let entry = self.heap.pop()?;
        let timer = self.slots[entry.slot as usize];
        self.armed.remove(timer);
        self.release(entry.slot);
        self.prune();
        Some(timer)
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.armed.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.armed.len() == 0
    }

    fn release(&mut self, slot: u32) {
        self.numbers[slot as usize] = 0;
        self.free.push(slot);
    }

    fn prune(&mut self) {
        let armed = |entry: &Entry| self.numbers[entry.slot as usize] == entry.number;
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

impl Armed {
    fn has(&self, timer: Timer) -> bool {
        match timer {
            Timer::Ask(call) => self.asks.contains_key(&call),
            Timer::Working(call) => self.working.contains_key(&call),
            other => self.others.contains_key(&other),
        }
    }

    fn get_or_insert(&mut self, timer: Timer, slot: impl FnOnce() -> u32) -> u32 {
        match timer {
            Timer::Ask(call) => *self.asks.entry(call).or_insert_with(slot),
            Timer::Working(call) => *self.working.entry(call).or_insert_with(slot),
            other => *self.others.entry(other).or_insert_with(slot),
        }
    }

    fn remove(&mut self, timer: Timer) -> Option<u32> {
        match timer {
            Timer::Ask(call) => self.asks.remove(&call),
            Timer::Working(call) => self.working.remove(&call),
            other => self.others.remove(&other),
        }
    }

    fn len(&self) -> usize {
        self.asks.len() + self.working.len() + self.others.len()
    }
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            heap: BinaryHeap::new_min(),
            armed: Armed::default(),
            slots: Vec::new(),
            numbers: Vec::new(),
            free: Vec::new(),
            count: 0,
        }
    }
}
