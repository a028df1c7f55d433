//! Some thousands of storms; `cargo run --release --example unavez-storms` runs as many as one likes.

use unavez::protocol::Note;
use unavez_sim::{Score, run, storm, storms};

const STORMS: u64 = 2000;

/// What no storm can bring about: a false retry and a wrong whole need a site that breaks the protocol, and
/// have tests of their own (R31, R40).
const NEVER: [&str; 3] = ["FalseRetry", "Unknown(FalseRetry)", "WrongWhole"];

const OUTCOMES: [&str; 20] = [
    "Reply",
    "NotExecuted(NeverSent)",
    "NotExecuted(Unsendable)",
    "NotExecuted(Cancelled)",
    "NotExecuted(NoSuchPort)",
    "NotExecuted(Unresolved)",
    "NotExecuted(NoSuchName)",
    "NotExecuted(Expired)",
    "NotExecuted(ServerDied)",
    "NotExecuted(Orphaned)",
    "NotExecuted(ServerRestarted)",
    "NotExecuted(PortClosed)",
    "Unknown(TimedOut)",
    "Unknown(Cancelled)",
    "Unknown(ServerUnreachable)",
    "Unknown(ServerDied)",
    "Unknown(ServerRestarted)",
    "Unknown(Forgotten)",
    "Unknown(FalseRetry)",
    "Unknown(ReplyTooBig)",
];

/// Everything that may go wrong does, in random order: no call runs twice (R1), each ends in time (R2)
/// and says the truth (R3), tables stay within their bounds (R26) and are empty in the end (R23, R35);
/// and everything that can happen did.
#[test]
fn storms_break_no_promise_and_leave_nothing_untried() {
    let score = storms(1..1 + STORMS, None, |_| {});
    assert!(score.broken.is_empty(), "{:#?}", score.broken);
    assert_eq!(unreached(&score), Vec::<String>::new());
}

fn unreached(score: &Score) -> Vec<String> {
    let notes = Note::ALL.iter().filter(|note| !score.seen.notes.contains_key(note));
    let notes = notes.map(|note| format!("{note:?}"));
    let outcomes = OUTCOMES.iter().filter(|outcome| !score.seen.outcomes.contains_key(**outcome));
    let all = notes.chain(outcomes.map(|outcome| outcome.to_string()));
    all.filter(|name| !NEVER.contains(&name.as_str())).collect()
}

/// The same seed, the same storm, byte for byte: a breach can be played again.
#[test]
fn a_storm_plays_the_same_again() {
    for seed in 1..=30 {
        let (once, again) = (run(&storm(seed), true), run(&storm(seed), true));
        assert_eq!(once.lines, again.lines);
        assert!(!once.lines.is_empty());
    }
}
