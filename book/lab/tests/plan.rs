//! Fault plans as text.

use std::time::Duration;

use lab::plan::{Fate, Fault, KINDS, Pick, Plan, Storm, Weather, When};
use proptest::prelude::*;

fn time() -> impl Strategy<Value = Duration> {
    (0..100_000u64).prop_map(Duration::from_millis)
}

fn number() -> impl Strategy<Value = u32> {
    1..=1000u32
}

fn fault() -> impl Strategy<Value = Fault> {
    let pick = (proptest::sample::select(&KINDS[..]), number());
    let pick = pick.prop_map(|(kind, number)| Pick { kind, number });
    let fate = prop_oneof![
        Just(Fate::Drop),
        Just(Fate::Reorder),
        time().prop_map(Fate::Duplicate),
        time().prop_map(Fate::Delay),
    ];
    let when = prop_oneof![
        time().prop_map(When::At),
        number().prop_map(When::Event),
        number().prop_map(When::BeforeExecution),
        number().prop_map(When::AfterExecution),
    ];
    prop_oneof![
        (pick, fate).prop_map(|(pick, fate)| Fault::Packet(pick, fate)),
        (0..2usize, when, proptest::option::of(time()))
            .prop_map(|(site, when, down)| Fault::Crash { site, when, down }),
        (0..2usize, time(), time()).prop_map(|(site, at, long)| Fault::Pause { site, at, long }),
    ]
}

fn storm() -> impl Strategy<Value = Storm> {
    let weather = prop_oneof![Just(Weather::Network), Just(Weather::Restarts), Just(Weather::Slow)];
    (weather, any::<u64>()).prop_map(|(weather, seed)| Storm { weather, seed })
}

fn plan() -> impl Strategy<Value = Plan> {
    let faults = proptest::collection::vec(fault(), 0..4);
    (number(), 1..=20u32, any::<bool>(), time(), faults, proptest::option::of(storm())).prop_map(
        |(calls, clients, at_once, service, faults, storm)| Plan {
            calls,
            clients,
            at_once,
            service,
            faults,
            storm,
        },
    )
}

proptest! {
    #[test]
    fn what_is_shown_parses_to_the_same_plan(plan in plan()) {
        prop_assert_eq!(plan.to_string().parse::<Plan>(), Ok(plan));
    }

    #[test]
    fn no_text_panics(text in ".{0,60}") {
        let _ = text.parse::<Plan>();
    }
}

#[test]
fn spaces_in_times_do_not_matter() {
    let plan = |text: &str| text.parse::<Plan>().unwrap();
    assert_eq!(
        plan("delay reply 1 by 300ms;crash B at 2s"),
        plan("delay reply 1 by 300 ms; crash B at 2 s")
    );
}

#[test]
fn a_wrong_part_is_named() {
    let error = "drop reply 1; drop reply".parse::<Plan>().unwrap_err().to_string();
    assert!(error.starts_with(r#""drop reply": "#), "{error}");
}
