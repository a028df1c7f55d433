//! Each rule broken on purpose is caught, or the proof would prove nothing.

use unavez::protocol::Broken;
use unavez_sim::{cases, catch, explore};

/// Switches off one rule after the other; `cargo run --example unavez-explore -- --broken` prints the
/// shortest plan for each.
#[test]
fn every_rule_that_is_broken_is_caught() {
    let unseen: Vec<&Broken> =
        Broken::ALL.iter().filter(|rule| catch(**rule).1.broken.is_none()).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// With all its rules the core holds in the very cases that show their loss, without any fault.
#[test]
fn no_rule_is_caught_unless_it_is_broken() {
    for case in cases() {
        let exploration = explore(&case.scenario, &case.faults, 0);
        assert!(exploration.broken.is_none(), "{}: {:?}", case.name, exploration.broken);
    }
}
