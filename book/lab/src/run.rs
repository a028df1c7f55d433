//! A run that came to rest: what happened, what became of the calls, what it cost.

use std::fmt;

use crate::events::{Event, Trace};
use crate::node::Time;
use crate::plan::Fault;
use crate::verdict::Verdict;

/// A run that came to rest.
#[derive(Debug)]
pub struct Run {
    /// What happened.
    pub events: Vec<Event>,
    /// What became of the calls.
    pub verdict: Verdict,
    /// What it cost.
    pub cost: Cost,
    /// Where another fault could have struck, in order.
    pub points: Vec<Point>,
    /// Faults of the plan that never came about.
    pub unstruck: Vec<Fault>,
}

/// What a run cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Packets sent.
    pub packets: u32,
    /// Bytes in them.
    pub bytes: usize,
    /// Table entries and timers held at most, all sites together.
    pub entries_max: usize,
    /// How long until nothing was held any more.
    pub lasted: Time,
}

/// A place in a run where a fault can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The `n`th packet is sent.
    Packet(u32),
    /// The `n`th event is about to be handled.
    Event(u32),
    /// The service has run for the `n`th time, and has not answered yet.
    Execution(u32),
}

/// As text: its trace, then its verdict.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}verdict: {}", Trace(&self.events), self.verdict)
    }
}
