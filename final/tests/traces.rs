//! The traces that the book prints, and its storms.

#[path = "../examples/play/node.rs"]
mod node;

use std::time::Duration;

use lab::{Breach, End, Faults, Run, Weather};
use node::{ByName, Core, Hurried, Setup, Small, Usual};
use unavez::protocol::Config;

fn trace<S: Setup>(example: &str, name: &str, plan: &str) -> Run {
    let run = lab::assert_trace::<Core<S>>(example, name, plan);
    assert_eq!(run.verdict.breach(), None, "{plan}");
    assert!(run.unstruck.is_empty(), "{plan}: {:?}", run.unstruck);
    run
}

fn first(run: &Run) -> (u32, &End) {
    (run.verdict.calls[0].executed, &run.verdict.calls[0].end)
}

#[test]
fn first_contact_takes_two_datagrams() {
    // Neither side has heard of the other (R4).
    let run = trace::<Usual>("unavez-play", "final-no-faults", "no faults");
    assert_eq!(run.cost.packets, 2);
}

#[test]
fn lost_reply_serves_once() {
    // The reply is lost, and the copy of the request is answered with the kept one (R22).
    let run = trace::<Usual>("unavez-play", "final-lost-reply", "drop reply 1");
    assert_eq!((run.cost.packets, first(&run)), (4, (1, &End::Replied)));
}

#[test]
fn slow_service_is_asked_after() {
    // WORKING comes before the client would send again, then a heartbeat a second (R16, R27).
    let run = trace::<Usual>("unavez-play", "final-slow-service", "service takes 2 s");
    assert_eq!((run.cost.packets, first(&run)), (5, (1, &End::Replied)));
}

#[test]
fn name_costs_two_datagrams_once() {
    // The first call asks who serves under the name, the second one knows (R4, R10).
    let run = trace::<ByName>("unavez-by-name", "final-by-name", "2 calls");
    assert_eq!(run.cost.packets, 6);
}

#[test]
fn fresh_refusal_proves_and_the_call_goes_to_the_next_life() {
    // The client stands still while the server restarts. Its first copy meets a life that is older than
    // any packet, so the call did not run and is sent again by itself (R29).
    let plan = "2 calls; pause A at 16 ms for 40 s; crash B at 30 ms for 50 ms";
    let run = trace::<ByName>("unavez-by-name", "final-restart-fresh", plan);
    assert!(run.verdict.calls.iter().all(|call| (call.executed, &call.end) == (1, &End::Replied)));
}

#[test]
fn restart_in_the_middle_proves_nothing() {
    // The server crashes after the debit: the copy that the next life refuses was not the first (R29).
    let plan = "crash B after execution 1 for 50 ms";
    let run = trace::<Usual>("unavez-play", "final-restart", plan);
    assert_eq!(first(&run), (1, &End::Failed));
}

struct Hasty;

impl Setup for Hasty {
    fn config() -> Config {
        Config { packet_lifetime: Duration::from_millis(1), ..Usual::config() }
    }
}

#[test]
fn packet_that_outlives_its_time_is_taken_for_a_proof() {
    // The first copy is served, and the server crashes. A copy of it comes later than packets are said
    // to live, so the next life believes that nothing sent before it can come any more (R29).
    let plan = "duplicate request 1 by 300 ms; crash B after execution 1 for 50 ms";
    let plan = plan.parse().expect("it is right");
    assert_eq!(lab::run::<Core<Hasty>>(&plan).verdict.breach(), Some(Breach::FalseProof));
    assert_eq!(lab::run::<Core<Usual>>(&plan).verdict.breach(), None);
}

#[test]
fn abort_that_overtakes_its_request_proves() {
    // The request is late and the patience ends. ABORT leaves a mark that refuses the request (R37).
    let plan = "delay request 1 by 400 ms";
    let run = trace::<Hurried>("unavez-hurried", "final-abort", plan);
    assert_eq!(first(&run), (0, &End::NotExecuted));
}

#[test]
fn abort_of_a_call_in_service_proves_nothing() {
    // The patience ends while the service is at work (R38).
    let run = trace::<Hurried>("unavez-hurried", "final-abort-in-service", "service takes 500 ms");
    assert_eq!(first(&run), (1, &End::Failed));
}

#[test]
fn stranger_shows_a_token_when_tables_fill() {
    // Two clients of at most three are known when the third comes (R36).
    let run = trace::<Small>("unavez-small", "final-challenge", "3 clients");
    assert_eq!(run.cost.packets, 8);
    assert!(run.verdict.calls.iter().all(|call| call.end == End::Replied));
}

#[test]
fn full_table_makes_a_client_wait() {
    // Three records are all there is; the fourth call is not recorded, and is asked again (R26).
    let plan = "4 calls at once; service takes 50 ms";
    let run = trace::<Small>("unavez-small", "final-busy", plan);
    assert!(run.verdict.calls.iter().all(|call| (call.executed, &call.end) == (1, &End::Replied)));
}

#[test]
fn forgotten_client_is_told_and_begins_anew() {
    // The client stands still until the server has forgotten it. Its first and only copy is refused, so
    // the call did not run, and goes by a new port (R35).
    let run =
        trace::<Small>("unavez-small", "final-port-closed", "2 calls; pause A at 7 ms for 300 s");
    assert!(run.verdict.calls.iter().all(|call| (call.executed, &call.end) == (1, &End::Replied)));
}

#[test]
fn no_storm_breaks_a_promise() {
    // A bad network, crashes of either side, a slow service; the last setup has little room besides.
    // All calls end, none runs twice, and none runs that was said not to (R1, R2, R3).
    for weather in [Weather::Network, Weather::Restarts, Weather::Slow] {
        for score in [
            lab::storms::<Core<Usual>>(weather, 0..250, || ()),
            lab::storms::<Core<ByName>>(weather, 0..250, || ()),
            lab::storms::<Core<Hurried>>(weather, 0..250, || ()),
            lab::storms::<Core<Small>>(weather, 0..250, || ()),
        ] {
            let broken = [
                score.ran_twice,
                score.wrong_reply,
                score.false_proof,
                score.never_ended,
                score.untidy,
            ];
            assert_eq!(broken.map(|tally| tally.first), [None; 5], "{weather:?} {score:?}");
        }
    }
}

#[test]
fn no_two_faults_break_a_promise() {
    // All plans of up to two faults, crashes and restarts of either side among them.
    for plan in ["2 calls", "service takes 2 s"] {
        let found = lab::explore::<Core<Usual>>(&plan.parse().unwrap(), Faults::Crashes, 2);
        assert_eq!(found.broken, None, "{plan}");
        assert!(found.plans > 1000, "{plan}: {} plans", found.plans);
    }
}
