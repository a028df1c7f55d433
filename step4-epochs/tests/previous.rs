//! What this step mends: the step before still fails.

use lab::{Breach, End, Plan};
use step3_dedup::{Config, Site};

lab::node!(
    /// The step before.
    Previous: step3_dedup, |_life| Site::new(Config::default())
);

#[test]
fn without_epochs_a_server_that_restarts_serves_again() {
    let plan: Plan = "crash B after execution 1 for 50 ms".parse().unwrap();
    assert_eq!(lab::run::<Previous>(&plan).verdict.breach(), Some(Breach::RanTwice));
}

#[test]
fn without_epochs_a_client_that_restarts_is_given_an_old_reply() {
    let plan: Plan = "2 calls; crash A at 7 ms for 50 ms".parse().unwrap();
    assert_eq!(lab::run::<Previous>(&plan).verdict.calls[1].end, End::WrongReply);
}
