//! This step's row of the scoreboard.

use lab::{Breach, Faults, Plan, Weather};

lab::node!(
    /// This step's core.
    Step: step1_udp, no clock
);

#[test]
fn storms_leave_calls_without_an_end() {
    // A network that loses, doubles and delays.
    let score = lab::storms::<Step>(Weather::Network, 0..2000, || ());
    assert!(score.never_ended.count > 1000, "{score:?}");
    assert!(score.notes.contains_key("reply that no call awaits, dropped"), "{score:?}");
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
    assert_eq!(plan.to_string(), "drop packet 1");
    assert_eq!(verdict.breach(), Some(Breach::NeverEnded));
}
