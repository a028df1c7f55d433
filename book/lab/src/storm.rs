//! Storms: seeded random faults at scale, counted.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use crate::events::What;
use crate::node::Node;
use crate::plan::{Plan, Weather};
use crate::run::Run;
use crate::verdict::End;
use crate::world::run;

/// How many of some storms broke which promise, and what else happened in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Score {
    /// How many there were.
    pub storms: u64,
    /// In which a call ran more than once.
    pub ran_twice: Tally,
    /// In which a caller was given a reply that is not its own.
    pub wrong_reply: Tally,
    /// In which a caller was told that its call did not run, and it ran.
    pub false_proof: Tally,
    /// In which a caller waits for ever.
    pub never_ended: Tally,
    /// In which a call failed.
    pub gave_up: Tally,
    /// In which a call ended again, something was left over, or the run did not come to rest.
    pub untidy: Tally,
    /// What no packet shows, and how often.
    pub notes: BTreeMap<String, u64>,
}

/// How many storms, and the first of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The seed of the first.
    pub first: Option<u64>,
}

/// Runs these storms on a core; `each` is called after every one, from any thread.
pub fn storms<N: Node>(weather: Weather, seeds: Range<u64>, each: impl Fn() + Sync) -> Score {
    let scores = seeds.into_par_iter().map(|seed| {
        let score = Score::of(seed, &run::<N>(&Plan::storm(weather, seed)));
        each();
        score
    });
    scores.reduce(Score::default, Score::add)
}

impl Score {
    fn of(seed: u64, run: &Run) -> Score {
        let tally =
            |happened: bool| Tally { count: u64::from(happened), first: happened.then_some(seed) };
        let ended = |end: End| run.verdict.calls.iter().any(|call| call.end == end);
        let mut notes = BTreeMap::new();
        for event in &run.events {
            if let What::Note(note) = &event.what {
                *notes.entry(note.clone()).or_default() += 1;
            }
        }
        Score {
            storms: 1,
            ran_twice: tally(run.verdict.calls.iter().any(|call| call.executed > 1)),
            wrong_reply: tally(ended(End::WrongReply)),
            false_proof: tally(
                run.verdict
                    .calls
                    .iter()
                    .any(|call| call.end == End::NotExecuted && call.executed > 0),
            ),
            never_ended: tally(ended(End::Never)),
            gave_up: tally(ended(End::Failed) || ended(End::NotExecuted)),
            untidy: tally(
                run.verdict.ended_again > 0 || run.verdict.left_over > 0 || run.verdict.stopped,
            ),
            notes,
        }
    }

    fn add(mut self, other: Score) -> Score {
        self.storms += other.storms;
        let tallies = [
            (&mut self.ran_twice, other.ran_twice),
            (&mut self.wrong_reply, other.wrong_reply),
            (&mut self.false_proof, other.false_proof),
            (&mut self.never_ended, other.never_ended),
            (&mut self.gave_up, other.gave_up),
            (&mut self.untidy, other.untidy),
        ];
        for (sum, more) in tallies {
            sum.count += more.count;
            sum.first = [sum.first, more.first].into_iter().flatten().min();
        }
        for (note, times) in other.notes {
            *self.notes.entry(note).or_default() += times;
        }
        self
    }
}
