//! What is kept of a client (R25): its floor, a bit for each number above it that was seen, and on
//! top a record for each call that is not forgotten.
//!
//! Invariant: a number below the floor, or with its bit set, is never new again.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::ids::ServerPort;
use super::kind::{Flags, Ran, Reason};
use super::row::{ROOM_MIN, Row};
use super::site::Time;
use super::wire::BODY_MAX;

/// The bytes of a tombstone, with its place in the table and room for a few records, without its window.
pub(crate) const TOMBSTONE_LEN: usize = 2 * (size_of::<Tombstone>() + 64) + ROOM_MIN * 16;
/// The bytes of a record, with its place in the tombstone and its timer, without bodies.
pub(crate) const RECORD_LEN: usize = size_of::<Record>() + 256;

/// What is kept of a client.
#[derive(Debug)]
pub(crate) struct Tombstone {
    floor: u64,
    /// One bit a number, at the number modulo the window.
    seen: Vec<u64>,
    pub(crate) records: Row<Box<Record>>,
    /// The highest number that was taken.
    pub(crate) highest: u64,
    /// When a packet of this client came last, or one of its calls ended.
    pub(crate) heard: Time,
    /// Until when a copy of any of its calls may be sent (R35).
    pub(crate) lives_until: Time,
    /// When it is looked through next.
    pub(crate) tidy_at: Time,
    pub(crate) order: Order,
    /// Where it is counted, if its address was validated when it came (R26).
    pub(crate) ip: Option<IpAddr>,
    /// It has shown a token: it is where it says (R36).
    pub(crate) validated: bool,
    /// It was chosen to be evicted, if it stays as it is.
    pub(crate) leaving: bool,
}

/// How far the chain of ordered requests is (R33).
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// How many wait for the one before them.
    pub(crate) waiting: usize,
    /// The last that was handed over, or marked when nothing before it was left to wait for.
    passed: u64,
    /// Those that were marked while they waited, each with the one before it: whoever comes after
    /// them waits for that one in their place.
    skipped: BTreeMap<u64, u64>,
}

/// What is kept of a call.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) port: ServerPort,
    pub(crate) flags: Flags,
    /// `None` if it was called off before it came (R37).
    pub(crate) hash: Option<u64>,
    pub(crate) predecessor: u64,
    pub(crate) max_reply: u32,
    pub(crate) patience_ends: Option<Time>,
    /// The highest that came, when, and where from (R22).
    pub(crate) attempt: u32,
    pub(crate) came: Time,
    pub(crate) address: SocketAddr,
    /// How many bytes may be sent there; `None` is any, for a valid token was shown (R36).
    pub(crate) paid: Option<usize>,
    /// When something about it came last.
    pub(crate) heard: Time,
    pub(crate) forget_at: Time,
    /// WORKING was said of it.
    pub(crate) worked: bool,
}

/// How far a call is.
#[derive(Debug)]
pub(crate) enum State {
    /// Not written yet to anything that a process can read (R20).
    Queued(Bytes),
    /// Not even queued: the one before it has not been handed over (R33).
    Ordered(Bytes),
    /// In the hands of a process, which may know that it is not wanted any more.
    Serving { cancelled: bool },
    /// Over.
    Done(Answer),
}

/// What a duplicate is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Reply(Bytes),
    Refused { ran: Ran, reason: Reason },
}

/// What is known of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was seen, and what became of it is forgotten.
    Forgotten,
    Recorded,
    New,
    /// Above the window.
    Beyond,
}

impl Tombstone {
    pub(crate) fn new(floor: u64, window: u32, ip: Option<IpAddr>, now: Time) -> Tombstone {
        Tombstone {
            floor,
            seen: vec![0; window as usize / 64],
            records: Row::default(),
            highest: 0,
            heard: now,
            lives_until: Time::ZERO,
            tidy_at: Time::MAX,
            order: Order::default(),
            ip,
            validated: ip.is_some(),
            leaving: false,
        }
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn window(&self) -> u32 {
        self.seen.len() as u32 * 64
    }

    pub(crate) fn standing(&self, seq: u64) -> Standing {
        if self.records.contains(seq) {
            Standing::Recorded
        } else if seq < self.floor {
            Standing::Forgotten
        } else if seq - self.floor >= u64::from(self.window()) {
            Standing::Beyond
        } else if self.bit(seq) {
            Standing::Forgotten
        } else {
            Standing::New
        }
    }

    /// Within the window.
    pub(crate) fn set_seen(&mut self, seq: u64) {
        let (word, bit) = self.place(seq);
        self.seen[word] |= 1 << bit;
    }

    fn bit(&self, seq: u64) -> bool {
        let (word, bit) = self.place(seq);
        self.seen[word] >> bit & 1 == 1
    }

    fn place(&self, seq: u64) -> (usize, u64) {
        let at = seq % u64::from(self.window());
        ((at / 64) as usize, at % 64)
    }

    /// The client has ended all calls below (R15). Their bits are free for the numbers that come.
    pub(crate) fn raise_floor(&mut self, floor: u64) {
        if floor - self.floor >= u64::from(self.window()) {
            self.seen.fill(0);
        } else {
            for seq in self.floor..floor {
                let (word, bit) = self.place(seq);
                self.seen[word] &= !(1 << bit);
            }
        }
        self.floor = floor;
        self.order.drop_below(floor);
    }

    /// Whether what comes after this one must wait (R33).
    pub(crate) fn must_wait(&self, predecessor: u64) -> bool {
        let mut before = predecessor;
        // Each is before the one that names it, so this ends.
        while let Some(skipped) = self.order.skipped.get(&before) {
            before = *skipped;
        }
        before >= self.floor && before > self.order.passed
    }

    /// A larger window (R26).
    pub(crate) fn grow(&mut self, window: u32) {
        // The window may end above the last of all numbers, and that one may be seen.
        let numbers = (0..u64::from(self.window())).map_while(|i| self.floor.checked_add(i));
        let seen: Vec<u64> = numbers.filter(|seq| self.bit(*seq)).collect();
        self.seen = vec![0; window as usize / 64];
        for seq in seen {
            self.set_seen(seq);
        }
    }
}

impl Order {
    /// How much is kept for it.
    pub(crate) fn len(&self) -> usize {
        self.waiting + self.skipped.len()
    }

    /// It was handed over, or will not be, and nothing before it can come any more.
    pub(crate) fn pass(&mut self, seq: u64) {
        self.passed = self.passed.max(seq);
        self.drop_below(self.passed);
    }

    /// It will not be handed over, but those before it may.
    pub(crate) fn skip(&mut self, seq: u64, predecessor: u64) {
        self.skipped.insert(seq, predecessor);
    }

    fn drop_below(&mut self, seq: u64) {
        if self.skipped.first_key_value().is_some_and(|(first, _)| *first < seq) {
            self.skipped = self.skipped.split_off(&seq);
        }
    }
}

impl Record {
    /// The bytes of bodies that it may hold, now or when its reply comes (R26).
    pub(crate) fn bytes(&self) -> usize {
        match &self.state {
            State::Done(Answer::Reply(body)) => body.len(),
            State::Done(Answer::Refused { .. }) => 0,
            State::Queued(body) | State::Ordered(body) => body.len().max(BODY_MAX),
            State::Serving { .. } => BODY_MAX,
        }
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.flags.has(Flags::IDEMPOTENT)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Queued(_) | State::Ordered(_))
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    pub(crate) fn patience_is_over(&self, now: Time) -> bool {
        self.patience_ends.is_some_and(|ends| ends <= now)
    }
}
