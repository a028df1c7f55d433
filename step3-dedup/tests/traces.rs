//! The traces that the book prints.

use lab::{Breach, End, Run};
use step3_dedup::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step3_dedup, |_life| Site::new(Config::default())
);

fn trace(name: &str, plan: &str) -> Run {
    lab::assert_trace::<Step>("step3-play", name, plan)
}

#[test]
fn lost_reply_serves_once() {
    // The network loses the reply; the duplicate is answered with the kept one (§3.1).
    let run = trace("step3-lost-reply", "drop reply 1");
    assert_eq!(run.verdict.breach(), None);
    assert_eq!(run.verdict.calls[0].executed, 1);
}

#[test]
fn duplicate_in_service_is_dropped() {
    // Three requests arrive before the service is done; it runs once, and one reply goes out.
    let run = trace("step3-slow-service", "service takes 500 ms");
    assert_eq!(run.verdict.breach(), None);
    assert_eq!(run.cost.packets, 4);
}

#[test]
fn late_duplicate_is_answered() {
    // The network's own copy comes long after the call has ended (§3.2).
    let run = trace("step3-late-duplicate", "duplicate request 1 by 25 s");
    assert_eq!(run.verdict.breach(), None);
}

#[test]
fn late_reply_is_recognised() {
    // The reply to the first call comes when the second is outstanding.
    let run = trace("step3-late-reply", "2 calls; delay reply 1 by 203 ms");
    assert_eq!(run.verdict.breach(), None);
}

#[test]
fn server_that_restarts_has_forgotten() {
    // The record dies with the server's memory: the next step (§3.4).
    let run = trace("step3-server-restart", "crash B after execution 1 for 50 ms");
    assert_eq!(run.verdict.breach(), Some(Breach::RanTwice));
}

#[test]
fn client_that_restarts_counts_from_one_again() {
    // The new life's first number is the old life's: it is given the old reply (§3.4).
    let run = trace("step3-client-restart", "2 calls; crash A at 7 ms for 50 ms");
    assert_eq!(run.verdict.calls[1].end, End::WrongReply);
}
