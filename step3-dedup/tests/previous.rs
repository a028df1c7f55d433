//! What this step mends: the step before still fails.

use lab::{Breach, Plan};
use step2_retransmit::{Config, Site};

lab::node!(
    /// The step before.
    Previous: step2_retransmit, |_life| Site::new(Config::default())
);

#[test]
fn without_records_a_duplicate_runs_the_service_again() {
    for plan in ["drop reply 1", "duplicate request 1", "service takes 500 ms"] {
        let plan: Plan = plan.parse().unwrap();
        let verdict = lab::run::<Previous>(&plan).verdict;
        assert_eq!(verdict.breach(), Some(Breach::RanTwice), "{plan}");
    }
}

#[test]
fn without_numbers_a_late_reply_answers_another_call() {
    let plan: Plan = "2 calls; delay reply 1 by 203 ms".parse().unwrap();
    let verdict = lab::run::<Previous>(&plan).verdict;
    assert_eq!(verdict.calls[1].end, lab::End::WrongReply);
}
