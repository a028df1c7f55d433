//! The traces that the book prints.

use lab::{Breach, Run};

lab::node!(
    /// This step's core.
    Step: step1_udp, no clock
);

fn trace(name: &str, plan: &str) -> Run {
    lab::assert_trace::<Step>("step1-play", name, plan)
}

#[test]
fn an_exchange_is_two_packets() {
    // Nothing goes wrong (§1).
    let run = trace("step1-no-faults", "no faults");
    assert_eq!(run.verdict.breach(), None);
    assert_eq!(run.cost.packets, 2);
}

#[test]
fn lost_request_hangs() {
    // The network loses the request (§3.1).
    let run = trace("step1-lost-request", "drop request 1");
    assert_eq!(run.verdict.breach(), Some(Breach::NeverEnded));
    assert_eq!(run.verdict.calls[0].executed, 0);
}

#[test]
fn lost_reply_hangs() {
    // The network loses the reply: to the client it looks the same (§3.1).
    let run = trace("step1-lost-reply", "drop reply 1");
    assert_eq!(run.verdict.breach(), Some(Breach::NeverEnded));
    assert_eq!(run.verdict.calls[0].executed, 1);
}

#[test]
fn duplicate_request_runs_twice() {
    // The network itself may double a datagram (§3.1).
    let run = trace("step1-duplicate", "duplicate request 1");
    assert_eq!(run.verdict.breach(), Some(Breach::RanTwice));
}
