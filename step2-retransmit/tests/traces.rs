//! The traces that the book prints.

use lab::{Breach, End, Run};
use step2_retransmit::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step2_retransmit, |_life| Site::new(Config::default())
);

fn trace(name: &str, plan: &str) -> Run {
    lab::assert_trace::<Step>("step2-play", name, plan)
}

#[test]
fn lost_request_is_sent_again() {
    // The network loses the request (§3.1).
    let run = trace("step2-lost-request", "drop request 1");
    assert_eq!(run.verdict.breach(), None);
}

#[test]
fn dead_server_is_given_up() {
    // The server is down: a bounded number of attempts, then a clear failure (§3.1).
    let run = trace("step2-dead-server", "crash B at 0 ms");
    assert_eq!(run.verdict.breach(), None);
    assert_eq!(run.verdict.calls[0].end, End::Failed);
    assert_eq!(run.cost.packets, 1 + Config::default().retransmits_max);
}

#[test]
fn lost_reply_serves_twice() {
    // The network loses the reply, and nothing tells the second request from a new one (§3.1).
    let run = trace("step2-lost-reply", "drop reply 1");
    assert_eq!(run.verdict.breach(), Some(Breach::RanTwice));
}

#[test]
fn slow_service_is_served_again_and_again() {
    // Nothing is lost at all: the service takes longer than the timer.
    let run = trace("step2-slow-service", "service takes 500 ms");
    assert_eq!(run.verdict.calls[0].executed, 3);
}

#[test]
fn late_reply_answers_another_call() {
    // The reply to the first call comes when the second is outstanding.
    let run = trace("step2-late-reply", "2 calls; delay reply 1 by 203 ms");
    assert_eq!(run.verdict.calls[1].end, End::WrongReply);
}
