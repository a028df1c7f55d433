//! The traces that the book prints.

use lab::{End, Run};
use step5_heartbeat::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step5_heartbeat, |epoch| Site::new(Config::default(), epoch), epochs
);

fn trace(name: &str, plan: &str) -> Run {
    let run = lab::assert_trace::<Step>("step5-play", name, plan);
    assert_eq!(run.verdict.breach(), None, "{plan}");
    run
}

#[test]
fn a_short_call_is_two_packets_still() {
    // The reply comes before the acknowledgement is due, which is then cancelled (§3.3).
    let run = trace("step5-short-service", "service takes 90 ms");
    assert_eq!(run.cost.packets, 2);
}

#[test]
fn slow_service_is_awaited() {
    // The server acknowledges before the client's timer is due, and answers for this call (§3.3).
    let run = trace("step5-slow-service", "service takes 2 s");
    assert_eq!((run.verdict.calls[0].executed, &run.verdict.calls[0].end), (1, &End::Replied));
}

#[test]
fn lost_acknowledgement_is_given_again() {
    // A duplicate of a call in service is acknowledged at once.
    let run = trace("step5-lost-working", "service takes 700 ms; drop working 1");
    assert_eq!(run.verdict.calls[0].end, End::Replied);
}

#[test]
fn heartbeat_fetches_a_lost_reply() {
    // Only heartbeats run, and the reply is lost.
    let run = trace("step5-lost-reply", "service takes 1 s; drop reply 1");
    assert_eq!((run.verdict.calls[0].executed, &run.verdict.calls[0].end), (1, &End::Replied));
}

#[test]
fn reincarnated_server_does_not_answer_for_its_former_life() {
    let run = trace("step5-server-restart", "service takes 2 s; crash B at 700 ms for 50 ms");
    assert_eq!((run.verdict.calls[0].executed, &run.verdict.calls[0].end), (0, &End::Failed));
}
