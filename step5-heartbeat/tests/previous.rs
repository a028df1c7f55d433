//! What this step mends: the step before still fails.

use lab::{End, Plan};
use step4_epochs::{Config, Site};

lab::node!(
    /// The step before.
    Previous: step4_epochs, |epoch| Site::new(Config::default(), epoch), epochs
);

#[test]
fn without_heartbeats_a_slow_server_is_given_up() {
    let plan: Plan = "service takes 5 s".parse().unwrap();
    let verdict = lab::run::<Previous>(&plan).verdict;
    assert_eq!((verdict.calls[0].executed, &verdict.calls[0].end), (1, &End::Failed));
}
