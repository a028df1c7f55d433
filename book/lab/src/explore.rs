//! Exploration: all plans of up to `k` faults, the fewest faults first, each run from the start on
//! the real core. A packet suffers one fault at most, and so does an event.

use rayon::prelude::*;

use crate::node::{Node, Time};
use crate::plan::{Fate, Fault, Pick, Plan, When};
use crate::run::Point;
use crate::verdict::Verdict;
use crate::world::run;

/// Longer than a core waits before it sends again.
const BEYOND_A_TIMEOUT: Time = Time::from_millis(300);
/// Nearly as long as the steps say that a packet may live.
const NEARLY_A_LIFETIME: Time = Time::from_secs(29);
/// How long a crashed site is down.
const DOWN: Time = Time::from_millis(50);

/// Which faults are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Drop, duplicate, delay and reorder any packet.
    Network,
    /// That, and crash and restart either side at any event.
    Crashes,
}

/// What an exploration found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exploration {
    /// How many plans ran.
    pub plans: u64,
    /// The first plan that broke a promise, and how: none has fewer faults.
    pub broken: Option<(Plan, Verdict)>,
}

/// Runs the plan, then with every fault added, then with every two …, until a promise breaks or `faults_max` is reached.
pub fn explore<N: Node>(plan: &Plan, faults: Faults, faults_max: usize) -> Exploration {
    let mut plans = 0;
    let mut level = vec![Branch { plan: plan.clone(), from: 0 }];
    for depth in 0..=faults_max {
        plans += level.len() as u64;
        let last = depth == faults_max;
        let outcomes: Vec<Outcome> =
            level.par_iter().map(|branch| branch.follow::<N>(faults, last)).collect();
        let mut next = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Broken(plan, verdict) => {
                    return Exploration { plans, broken: Some((plan, verdict)) };
                }
                Outcome::Held(branches) => next.extend(branches),
            }
        }
        level = next;
    }
    Exploration { plans, broken: None }
}

/// A plan, and the first place in its run where one more fault makes a plan that was not tried yet.
struct Branch {
    plan: Plan,
    from: usize,
}

enum Outcome {
    Broken(Plan, Verdict),
    Held(Vec<Branch>),
}

impl Branch {
    fn follow<N: Node>(&self, faults: Faults, last: bool) -> Outcome {
        let run = run::<N>(&self.plan);
        if run.verdict.breach().is_some() {
            return Outcome::Broken(self.plan.clone(), run.verdict);
        }
        if last {
            return Outcome::Held(Vec::new());
        }
        let points = run.points.iter().enumerate().skip(self.from);
        let branches = points.flat_map(|(i, point)| {
            let more = strikes(*point, faults);
            more.into_iter().map(move |fault| Branch { plan: self.plan.and(fault), from: i + 1 })
        });
        Outcome::Held(branches.collect())
    }
}

/// All faults that can strike here.
fn strikes(point: Point, faults: Faults) -> Vec<Fault> {
    let crash = |site, when| Fault::Crash { site, when, down: Some(DOWN) };
    match point {
        Point::Packet(number) => {
            let pick = Pick { kind: "packet", number };
            let fates = [
                Fate::Drop,
                Fate::Duplicate(Time::ZERO),
                Fate::Duplicate(BEYOND_A_TIMEOUT),
                Fate::Duplicate(NEARLY_A_LIFETIME),
                Fate::Delay(BEYOND_A_TIMEOUT),
                Fate::Delay(NEARLY_A_LIFETIME),
                Fate::Reorder,
            ];
            fates.map(|fate| Fault::Packet(pick, fate)).into()
        }
        _ if faults == Faults::Network => Vec::new(),
        Point::Event(number) => [0, 1].map(|site| crash(site, When::Event(number))).into(),
        Point::Execution(number) => vec![crash(1, When::AfterExecution(number))],
    }
}
