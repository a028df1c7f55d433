//! Exploration: all scenarios with up to `k` faults, the fewest first, each run from the start on the
//! real core. A datagram suffers one fault at most, and so does a site before an event.

use std::time::Duration;

use rayon::prelude::*;

use crate::run::Point;
use crate::scenario::{Fate, Fault, Mishap, Scenario, When};
use crate::world::run;

/// Which faults are tried.
#[derive(Debug, Clone)]
pub struct Faults {
    /// What the network does to a datagram.
    pub fates: Vec<Fate>,
    /// What befalls a site just before an event of its own.
    pub mishaps: Vec<(usize, Mishap)>,
}

/// What an exploration found.
#[derive(Debug)]
pub struct Exploration {
    /// How many scenarios ran.
    pub plans: u64,
    /// The first that broke a promise, and how: none has fewer faults.
    pub broken: Option<(Scenario, String)>,
}

impl Faults {
    /// What a network may do: it drops, doubles, and delays beyond a timeout or nearly a lifetime.
    pub fn network(scenario: &Scenario) -> Faults {
        let beyond_a_timeout = scenario.config.rto_initial * 2;
        let nearly_a_lifetime = scenario.config.packet_lifetime - Duration::from_millis(1);
        let fates = vec![
            Fate::Drop,
            Fate::Double(scenario.weather.latency),
            Fate::Double(nearly_a_lifetime),
            Fate::Delay(beyond_a_timeout),
            Fate::Delay(nearly_a_lifetime),
        ];
        Faults { fates, mishaps: Vec::new() }
    }

    /// That, and these.
    #[must_use]
    pub fn and(mut self, mishaps: &[(usize, Mishap)]) -> Faults {
        self.mishaps.extend(mishaps);
        self
    }
}

/// Runs the scenario, then with every fault added, then with every two …, until a promise breaks or
/// `faults_max` is reached.
pub fn explore(scenario: &Scenario, faults: &Faults, faults_max: usize) -> Exploration {
    let mut plans = 0;
    let mut level = vec![Branch { faults: Vec::new(), from: 0 }];
    for depth in 0..=faults_max {
        plans += level.len() as u64;
        let last = depth == faults_max;
        let follow = |branch: &Branch| branch.follow(scenario, faults, last);
        let broken = level.par_iter().map(follow).collect::<Result<Vec<_>, _>>();
        match broken {
            Ok(next) => level = next.into_iter().flatten().collect(),
            Err((scenario, breach)) => {
                return Exploration { plans, broken: Some((*scenario, breach)) };
            }
        }
    }
    Exploration { plans, broken: None }
}

/// A plan, and the first place in its run where one more fault makes a plan that was not tried yet.
struct Branch {
    faults: Vec<Fault>,
    from: usize,
}

impl Branch {
    fn follow(
        &self,
        scenario: &Scenario,
        faults: &Faults,
        last: bool,
    ) -> Result<Vec<Branch>, (Box<Scenario>, String)> {
        let mut scenario = scenario.clone();
        scenario.faults.extend(&self.faults);
        let run = run(&scenario, false);
        if let Some(breach) = run.breach {
            return Err((Box::new(scenario), breach));
        }
        if last {
            return Ok(Vec::new());
        }
        let points = run.points.iter().enumerate().skip(self.from);
        let branches = points.flat_map(|(i, point)| {
            faults.at(*point).into_iter().map(move |fault| {
                let mut faults = self.faults.clone();
                faults.push(fault);
                Branch { faults, from: i + 1 }
            })
        });
        Ok(branches.collect())
    }
}

impl Faults {
    /// All that can strike here.
    fn at(&self, point: Point) -> Vec<Fault> {
        match point {
            Point::Packet(number) => {
                self.fates.iter().map(|fate| Fault::Packet(number, *fate)).collect()
            }
            Point::Event(number, host) => {
                let mishaps = self.mishaps.iter().filter(|(it, _)| *it == host);
                let when = When::Event(number);
                mishaps.map(|(host, mishap)| Fault::Host(when, *host, *mishap)).collect()
            }
        }
    }
}
