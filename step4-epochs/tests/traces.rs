//! The traces that the book prints.

use lab::{End, Run};
use step4_epochs::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step4_epochs, |epoch| Site::new(Config::default(), epoch), epochs
);

fn trace(name: &str, plan: &str) -> Run {
    let run = lab::assert_trace::<Step>("step4-play", name, plan);
    assert_eq!(run.verdict.breach(), None, "{plan}");
    run
}

#[test]
fn restarted_server_refuses_what_it_may_have_served() {
    // The server crashes between execution and reply; its next life refuses the duplicate (§3.4).
    let run = trace("step4-server-restart", "crash B after execution 1 for 50 ms");
    assert_eq!((run.verdict.calls[0].executed, &run.verdict.calls[0].end), (1, &End::Failed));
}

#[test]
fn next_call_goes_to_the_new_life() {
    // The caller of the first call is told which life the server is in.
    let run = trace("step4-next-call", "2 calls; crash B after execution 1 for 50 ms");
    assert_eq!(run.verdict.calls[1].end, End::Replied);
}

#[test]
fn restarted_client_is_a_stranger() {
    // The first number of the new life is not that of the old one (§3.4).
    let run = trace("step4-client-restart", "2 calls; crash A at 7 ms for 50 ms");
    assert_eq!(run.verdict.calls[1].end, End::Replied);
}

#[test]
fn orphan_is_dropped() {
    // The reply to the former life arrives when the new one awaits another (§3.4).
    let run = trace("step4-orphan", "2 calls; delay reply 1 by 24 ms; crash A at 7 ms for 20 ms");
    assert_eq!(run.verdict.calls[1].end, End::Replied);
}

#[test]
fn late_copy_for_a_former_life_is_refused() {
    // The record died with the former life, the network's copy did not.
    trace("step4-late-copy", "duplicate request 1 by 200 ms; crash B at 20 ms for 50 ms");
}

#[test]
fn slow_service_is_given_up() {
    // The server lives and is at work, but the client cannot know: the next step (§3.3).
    let run = trace("step4-slow-service", "service takes 5 s");
    assert_eq!((run.verdict.calls[0].executed, &run.verdict.calls[0].end), (1, &End::Failed));
}
