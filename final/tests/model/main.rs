//! The rules of the protocol as a model beside the core: small worlds, all that can happen in them.
//!
//! All of it, with the large ones: `cargo run --release -p unavez --example unavez-model`.

mod check;
mod client;
mod properties;
mod server;
mod state;
mod steps;
mod suites;

use suites::{Expected, suites};

#[test]
fn rules_hold_in_small_worlds() {
    // Every order of events, any loss and duplication (R1, R2, R3, R23, R26).
    run(Expected::Holds);
}

#[test]
fn each_rule_broken_is_found_out() {
    // Or the model would not know what the rule is for.
    run(Expected::Fails);
}

fn run(expected: Expected) {
    for suite in suites().iter().filter(|suite| !suite.large && suite.expected == expected) {
        let began = std::time::Instant::now();
        let found = check::check(suite);
        println!(
            "{:>9} states {:>6.2} s  {}",
            found.states,
            began.elapsed().as_secs_f64(),
            suite.name
        );
        assert!(found.is_as_expected(suite), "{}: {:?}", suite.name, found.failure);
        assert!(found.exhausted || expected == Expected::Fails, "{}", suite.name);
    }
}
