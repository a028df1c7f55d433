//! This step's row of the scoreboard.

use lab::{Breach, Faults, Plan, Weather};
use step3_dedup::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step3_dedup, |_life| Site::new(Config::default())
);

#[test]
fn no_storm_of_the_network_breaks_a_promise() {
    let score = lab::storms::<Step>(Weather::Network, 0..20_000, || ());
    let broken = [score.ran_twice, score.wrong_reply, score.never_ended, score.untidy];
    assert_eq!(broken.map(|tally| tally.first), [None; 4], "{score:?}");
    // Each thing that this step can do did happen.
    for note in [
        "duplicate dropped, still in service",
        "duplicate, kept reply sent again",
        "reply forgotten",
        "reply that no call awaits, dropped",
    ] {
        assert!(score.notes.get(note).is_some_and(|times| *times > 1000), "{note}: {score:?}");
    }
    assert!(score.gave_up.count > 0, "{score:?}");
}

#[test]
fn restarts_still_run_services_twice() {
    // Records live in memory: the next step (§3.4).
    let score = lab::storms::<Step>(Weather::Restarts, 0..2000, || ());
    assert!(score.ran_twice.count > 100, "{score:?}");
    assert_eq!(score.never_ended.count, 0, "{score:?}");
}

#[test]
fn living_servers_are_still_given_up() {
    // A service slower than the client's patience: the step after the next (§3.3).
    let score = lab::storms::<Step>(Weather::Slow, 0..2000, || ());
    assert_eq!(score.gave_up.count, score.storms, "{score:?}");
    assert_eq!(score.ran_twice.count, 0, "{score:?}");
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
fn no_three_faults_of_the_network_break_a_promise() {
    // All plans of up to three faults, for one call, two in turn, two at once, and a slow service.
    for plan in ["no faults", "2 calls", "2 calls at once", "service takes 500 ms"] {
        let found = lab::explore::<Step>(&plan.parse().unwrap(), Faults::Network, 3);
        assert_eq!(found.broken, None, "{plan}");
        assert!(found.plans > 1000, "{plan}: {} plans", found.plans);
    }
}

#[test]
fn one_crash_breaks_it() {
    // The shortest plan that does.
    let found = lab::explore::<Step>(&Plan::default(), Faults::Crashes, 2);
    let (plan, verdict) = found.broken.expect("restarts are not this step's");
    assert_eq!(plan.to_string(), "crash B after execution 1 for 50 ms");
    assert_eq!(verdict.breach(), Some(Breach::RanTwice));
}
