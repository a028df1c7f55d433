//! `unavez demo`: it holds what it promises, and leaves nothing behind.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::{done, run, signal, unavez};

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn promise_holds_on_a_bad_link_and_through_kills() {
    // A short form of the demo: every call has its end, none ran twice (R1, R2, R3).
    let dir = tempfile::tempdir().unwrap();
    let mut demo = unavez(&["demo", "--calls", "600", "--kills", "2", "--json"]);
    let done = done(demo.env("TMPDIR", dir.path()).spawn().unwrap());
    assert_eq!((done.code, &*done.err), (Some(0), ""), "{done:?}");
    let report = done.json();
    let number = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((&report["held"], number("calls"), number("kills")), (&true.into(), 600, 2));
    assert_eq!(number("replies") + number("not_executed") + number("unknown"), 600, "{report}");
    assert_eq!((number("ran_twice"), number("without_one_end")), (0, 0), "{report}");
    assert!(number("executed") >= number("replies"), "{report}");
    // And the link was as bad as it was to be.
    assert!(number("retransmissions") > 0 && number("duplicates_suppressed") > 0, "{report}");
    for fault in ["lost", "doubled", "overtaken"] {
        assert!(report["datagrams"][fault].as_u64().unwrap() > 50, "{report}");
    }
    assert!(is_empty(dir.path()), "state and ledger are left");
}

#[test]
fn good_link_costs_two_packets_a_call() {
    // No faults, one call at a time, so that none share a datagram: two for each call, and two for the
    // name (R4). A slow machine may add some.
    let words = "demo --calls 200 --at-once 1 --kills 0 --loss 0 --duplicate 0 --reorder 0 --json";
    let report = run(&words.split(' ').collect::<Vec<_>>()).json();
    let sent = report["datagrams"]["sent"].as_u64().unwrap();
    assert!((402..=450).contains(&sent), "{report}");
    assert_eq!((&report["replies"], &report["executed"]), (&200.into(), &200.into()));
    assert_eq!(report["verdict"], "held: every call ran exactly once");
}

#[test]
fn exact_datagrams_can_be_dropped() {
    // One call at a time, the first and the fourth datagram lost: the name is asked for twice, and so
    // is the bank. The table says so.
    let words =
        "demo --calls 3 --at-once 1 --kills 0 --loss 0 --duplicate 0 --reorder 0 --drop 1,4";
    let done = run(&words.split(' ').collect::<Vec<_>>());
    assert_eq!((done.code, &*done.err), (Some(0), ""));
    for row in [
        "calls        3  ",
        "replied        3  ",
        "ran twice        0  ",
        "duplicates suppressed        ",
        "retransmissions        ",
        "of these 2 lost, 0 doubled, 0 overtaken\n",
        "packets per exchange ",
        "verdict: held: every call ran exactly once\n",
    ] {
        assert!(done.out.contains(row), "{row:?} is not in\n{}", done.out);
    }
}

#[test]
fn interrupted_demo_leaves_nothing() {
    // Ctrl-C on the way, as soon as it has made its directory.
    let dir = tempfile::tempdir().unwrap();
    let mut demo = unavez(&["demo", "--calls", "1000000"]);
    let demo = demo.env("TMPDIR", dir.path()).spawn().unwrap();
    let ledger = || {
        fs::read_dir(dir.path())
            .unwrap()
            .find_map(|dir| fs::metadata(dir.unwrap().path().join("ledger")).ok())
    };
    while ledger().is_none_or(|ledger| ledger.len() == 0) {
        std::thread::yield_now();
    }
    signal(&demo, Signal::SIGINT);
    done(demo).fails(130, "interrupted");
    assert!(is_empty(dir.path()), "state and ledger are left");
}
