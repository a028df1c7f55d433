//! This step's row of the scoreboard.

use lab::{Breach, Faults, Plan, Weather};
use step2_retransmit::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step2_retransmit, |_life| Site::new(Config::default())
);

#[test]
fn every_call_ends_in_every_storm() {
    for weather in [Weather::Network, Weather::Restarts, Weather::Slow] {
        let score = lab::storms::<Step>(weather, 0..2000, || ());
        assert_eq!((score.never_ended.count, score.untidy.count), (0, 0), "{weather:?} {score:?}");
    }
}

#[test]
fn storms_run_services_twice() {
    // Who sends again makes duplicates (§3.1): more than the network does by itself.
    let score = lab::storms::<Step>(Weather::Network, 0..2000, || ());
    assert!(score.ran_twice.count > 1500, "{score:?}");
    assert!(score.wrong_reply.count > 500, "{score:?}");
    assert!(score.gave_up.count > 0, "{score:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    // Two runs of each of 200 storms of every weather.
    for seed in 0..200 {
        for weather in [Weather::Network, Weather::Restarts, Weather::Slow] {
            let plan = Plan::storm(weather, seed);
            assert_eq!(lab::transcript::<Step>(&plan), lab::transcript::<Step>(&plan));
        }
    }
}

#[test]
fn one_fault_is_enough() {
    // The shortest plan that breaks a promise.
    let found = lab::explore::<Step>(&Plan::default(), Faults::Network, 3);
    let (plan, verdict) = found.broken.expect("this step breaks");
    assert_eq!(plan.to_string(), "duplicate packet 1");
    assert_eq!(verdict.breach(), Some(Breach::RanTwice));
}
