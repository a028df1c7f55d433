//! What this step mends: the step before still fails.

use lab::{Breach, Plan};

lab::node!(
    /// The step before.
    Previous: step1_udp, no clock
);

#[test]
fn without_retransmission_a_lost_packet_hangs_the_caller() {
    for plan in ["drop request 1", "drop reply 1", "crash B at 0 ms"] {
        let plan: Plan = plan.parse().unwrap();
        let verdict = lab::run::<Previous>(&plan).verdict;
        assert_eq!(verdict.breach(), Some(Breach::NeverEnded), "{plan}");
    }
}
