//! The bench of the price of each mechanism, end to end, and the run of it that is kept.

use book::{Price, price_file};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// A run of a few rounds, by the program: it starts itself again for the other processes.
fn quick() -> Price {
    let ran = Command::new(env!("CARGO_BIN_EXE_book"))
        .args(["price", "--quick"])
        .output()
        .expect("the program runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).expect("it prints text");
    text.parse().unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

fn named(price: &Price) -> BTreeSet<(&str, &str)> {
    let names = price.costs.iter().map(|cost| (cost.placement.as_str(), cost.way.as_str()));
    names.collect()
}

#[test]
fn everything_is_measured_and_kept() {
    let kept = fs::read_to_string(price_file()).expect("it is there");
    let kept: Price = kept.parse().expect("it is a run");
    let quick = quick();
    let mut wanted = named(&kept);
    assert!(wanted.len() > 40, "{wanted:?}");
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1) {
        wanted.retain(|(placement, _)| *placement != "a-core-each");
    }
    assert_eq!(named(&quick), wanted);
    assert_eq!(quick.costs.len(), wanted.len(), "each once");
    for cost in &quick.costs {
        assert!(0.0 < cost.took.low && cost.took.low <= cost.took.median, "{cost:?}");
        assert!(cost.took.median <= cost.took.high, "{cost:?}");
    }
}

#[test]
fn a_quick_run_says_that_it_is_one() {
    // The book refuses it; a run that may be kept says neither.
    assert!(quick().machine.ends_with(", quick"));
    let kept = fs::read_to_string(price_file()).expect("it is there");
    let machine = kept.lines().next().expect("it has a first line");
    assert!(!machine.contains("quick") && !machine.contains("not optimized"), "{machine}");
}
