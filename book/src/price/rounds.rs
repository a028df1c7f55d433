//! Rounds and their medians.

use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::text::{Cost, Median};
use super::{Once, Result, Way};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Turns {
    pub(crate) rounds: usize,
    /// Exchanges of each way in a round.
    pub(crate) calls: u32,
}

/// Not measured: caches, windows and round trips settle.
const WARM_UP: usize = 10;
/// Before each turn: after a pause the first ones are slower.
const UNMEASURED: u32 = 2;

impl Turns {
    /// Fewer calls than the 65,536 replies that a step has room for, each for half a minute.
    pub(crate) fn of(quick: bool) -> Turns {
        if quick { Turns { rounds: 10, calls: 5 } } else { Turns { rounds: 400, calls: 50 } }
    }

    pub(crate) fn all(self) -> usize {
        WARM_UP + self.rounds
    }
}

/// How long an exchange took in each round, in µs, way by way.
pub(crate) fn measure(once: &mut [Once], turns: Turns, each: &dyn Fn()) -> Result<Vec<Vec<f64>>> {
    let mut took = vec![Vec::with_capacity(turns.rounds); once.len()];
    let mut order: Vec<usize> = (0..once.len()).collect();
    let mut random = StdRng::seed_from_u64(1);
    for round in 0..turns.all() {
        // What one leaves to be done falls to another each time.
        order.shuffle(&mut random);
        for &at in &order {
            let micros = timed(&mut once[at], turns.calls)?;
            if round >= WARM_UP {
                took[at].push(micros);
            }
        }
        each();
    }
    Ok(took)
}

fn timed(once: &mut Once, calls: u32) -> Result<f64> {
    for _ in 0..UNMEASURED {
        once()?;
    }
    let began = Instant::now();
    for _ in 0..calls {
        once()?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(calls))
}

/// The medians, and those of what each way takes more than the one that it is compared with: the two
/// are compared within a round, where the machine was the same.
pub(crate) fn costs(placement: &str, ways: &[Way], took: &[Vec<f64>]) -> Vec<Cost> {
    let more = |way: &Way, rounds: &[f64]| {
        let over = ways.iter().position(|other| Some(other.name) == way.over)?;
        Median::of(rounds.iter().zip(&took[over]).map(|(it, over)| it - over))
    };
    let costs = ways.iter().zip(took).map(|(way, rounds)| Cost {
        placement: placement.into(),
        way: way.name.into(),
        took: Median::of(rounds.iter().copied()).expect("there was a round"),
        adds: more(way, rounds),
    });
    costs.collect()
}
