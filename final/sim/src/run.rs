//! What a run gave.

use std::collections::BTreeMap;

use unavez::protocol::{Note, Outcome, Time};

/// A run, over.
#[derive(Debug, Default)]
pub struct Run {
    /// The first promise that was broken, and how.
    pub breach: Option<String>,
    /// Its lines, if somebody wanted to read them.
    pub lines: Vec<String>,
    /// What happened, and how often.
    pub seen: Seen,
    /// How many events it had.
    pub events: u32,
    /// How many datagrams were sent.
    pub datagrams: u32,
    /// Where a fault could have struck, in order.
    pub points: Vec<Point>,
    /// How long it lasted.
    pub lasted: Time,
}

/// A place where a fault may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The `n`th datagram.
    Packet(u32),
    /// The `n`th event, which is this site's.
    Event(u32, usize),
}

/// What happened, and how often.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// What the sites counted.
    pub notes: BTreeMap<Note, u64>,
    /// How calls ended, by name.
    pub outcomes: BTreeMap<String, u64>,
}

impl Seen {
    pub(crate) fn outcome(&mut self, outcome: &Outcome) {
        let name = match outcome {
            Outcome::Reply(_) => "Reply".into(),
            Outcome::NotExecuted(why) => format!("NotExecuted({why:?})"),
            Outcome::Unknown(why) => format!("Unknown({why:?})"),
        };
        *self.outcomes.entry(name).or_default() += 1;
    }

    /// Adds what happened elsewhere.
    pub fn add(&mut self, other: Seen) {
        for (note, times) in other.notes {
            *self.notes.entry(note).or_default() += times;
        }
        for (outcome, times) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += times;
        }
    }
}
