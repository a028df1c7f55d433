//! This step's row of the scoreboard.

use lab::{Faults, Plan, Weather};
use step5_heartbeat::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step5_heartbeat, |epoch| Site::new(Config::default(), epoch), epochs
);

#[test]
fn no_storm_breaks_a_promise() {
    // A bad network, one whose sites also crash and come back, and one with a slow service.
    for weather in [Weather::Network, Weather::Restarts, Weather::Slow] {
        let score = lab::storms::<Step>(weather, 0..20_000, || ());
        let broken = [score.ran_twice, score.wrong_reply, score.never_ended, score.untidy];
        assert_eq!(broken.map(|tally| tally.first), [None; 4], "{weather:?} {score:?}");
        assert_eq!(score.gave_up.count > 0, weather != Weather::Slow, "{weather:?} {score:?}");
    }
}

#[test]
fn storms_reach_everything_that_this_step_can_do() {
    let score = lab::storms::<Step>(Weather::Restarts, 0..2000, || ());
    for note in [
        "duplicate, still in service",
        "duplicate, kept reply sent again",
        "orphan of another life, dropped",
        "reply forgotten",
        "reply that no call awaits, dropped",
        "request to another life, refused",
    ] {
        assert!(score.notes.get(note).is_some_and(|times| *times > 100), "{note}: {score:?}");
    }
}

#[test]
fn no_living_server_is_given_up() {
    // A service of 3 to 8 s, which is longer than the patience (§3.3).
    let score = lab::storms::<Step>(Weather::Slow, 0..20_000, || ());
    assert_eq!(score.gave_up.first, None, "{score:?}");
    assert!(score.notes["duplicate, still in service"] > 1000, "{score:?}");
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
fn no_three_faults_break_a_promise() {
    // All plans of up to three faults, crashes and restarts of either side among them.
    for plan in ["no faults", "2 calls", "service takes 500 ms", "service takes 1 s"] {
        let found = lab::explore::<Step>(&plan.parse().unwrap(), Faults::Crashes, 3);
        assert_eq!(found.broken, None, "{plan}");
        assert!(found.plans > 5000, "{plan}: {} plans", found.plans);
    }
}
