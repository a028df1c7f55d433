//! Storms by the thousand, and what to do with one that broke a promise.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;
use unavez::protocol::Broken;

use crate::run::Seen;
use crate::scenario::Scenario;
use crate::storm::{Season, storm};
use crate::world::run;

/// So many broken storms are enough to look at.
const BROKEN_KEPT: usize = 20;

/// What some storms gave.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// How many there were of each season.
    pub storms: BTreeMap<Season, u64>,
    /// How many events they had.
    pub events: u64,
    /// How many datagrams.
    pub datagrams: u64,
    /// How many calls were made.
    pub calls: u64,
    /// What happened in them.
    pub seen: Seen,
    /// Seeds of storms that broke a promise, and how.
    pub broken: Vec<(u64, String)>,
}

/// Runs the storms of these seeds, with all rules or all but one; `each` is called after every one,
/// from any thread.
pub fn storms(seeds: Range<u64>, broken: Option<Broken>, each: impl Fn(&Score) + Sync) -> Score {
    let scores = seeds.into_par_iter().map(|seed| {
        let mut scenario = storm(seed);
        scenario.config.broken = broken;
        let score = Score::of(seed, &scenario);
        each(&score);
        score
    });
    scores.reduce(Score::default, Score::add)
}

impl Score {
    fn of(seed: u64, scenario: &Scenario) -> Score {
        let run = run(scenario, false);
        Score {
            storms: BTreeMap::from([(Season::of(seed), 1)]),
            events: run.events.into(),
            datagrams: run.datagrams.into(),
            calls: run.seen.outcomes.values().sum(),
            broken: run.breach.map(|breach| (seed, breach)).into_iter().collect(),
            seen: run.seen,
        }
    }

    fn add(mut self, other: Score) -> Score {
        for (season, count) in other.storms {
            *self.storms.entry(season).or_default() += count;
        }
        self.events += other.events;
        self.datagrams += other.datagrams;
        self.calls += other.calls;
        self.seen.add(other.seen);
        self.broken.extend(other.broken);
        self.broken.sort_unstable();
        self.broken.truncate(BROKEN_KEPT);
        self
    }
}

/// The same breach with as little as possible: calls and faults that are not needed are left out.
pub fn shrink(scenario: &Scenario) -> Scenario {
    let mut least = scenario.clone();
    let Some(breach) = run(&least, false).breach else { return least };
    let same = |scenario: &Scenario| {
        run(scenario, false).breach.is_some_and(|it| kind(&it) == kind(&breach))
    };
    loop {
        let before = (least.calls.len(), least.faults.len());
        least.calls =
            fewer(&least.calls, |calls| same(&Scenario { calls: calls.to_vec(), ..least.clone() }));
        least.faults = fewer(&least.faults, |faults| {
            same(&Scenario { faults: faults.to_vec(), ..least.clone() })
        });
        if before == (least.calls.len(), least.faults.len()) {
            break;
        }
    }
    for calm in [
        |it: &mut Scenario| it.weather.damage = 0,
        |it: &mut Scenario| it.weather.unsent = 0,
        |it: &mut Scenario| it.weather.loss = 0,
        |it: &mut Scenario| it.weather.double = 0,
        |it: &mut Scenario| it.weather.late = 0,
        |it: &mut Scenario| it.weather.jitter = std::time::Duration::ZERO,
    ] {
        let mut calmer = least.clone();
        calm(&mut calmer);
        if same(&calmer) {
            least = calmer;
        }
    }
    least
}

/// Leaves out halves, quarters … and single ones, while it still is broken.
fn fewer<T: Clone>(items: &[T], broken: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut items = items.to_vec();
    let mut size = items.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < items.len() {
            let mut rest = items.clone();
            rest.drain(from..(from + size).min(items.len()));
            if broken(&rest) {
                items = rest;
            } else {
                from += size;
            }
        }
        size = if size == 1 { 0 } else { size / 2 };
    }
    items
}

/// What kind of breach: the sentence without its numbers.
pub fn kind(breach: &str) -> String {
    breach.chars().filter(|c| !c.is_ascii_digit()).take(40).collect()
}
