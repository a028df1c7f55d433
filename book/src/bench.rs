//! The steps on the bench: what the matrix, the scoreboard and the figures are computed with.

use crate::unavez_node;
use lab::{Exploration, Faults, Node, Plan, Run, Score, Weather};
use std::ops::Range;
use std::time::Duration;

lab::node!(
    /// The first step.
    Step1: step1_udp, no clock
);

lab::node!(
    /// The second step.
    Step2: step2_retransmit, |_life| {
        step2_retransmit::Site::new(step2_retransmit::Config::default())
    }
);

lab::node!(
    /// The third step.
    Step3: step3_dedup, |_life| step3_dedup::Site::new(step3_dedup::Config::default())
);

lab::node!(
    /// The third step, with the paper's rule for freeing replies to the letter.
    Paper: step3_dedup, |_life| {
        let config = step3_dedup::Config::default();
        step3_dedup::Site::new(step3_dedup::Config { packet_lifetime: Duration::ZERO, ..config })
    }
);

lab::node!(
    /// The fourth step.
    Step4: step4_epochs, |epoch| {
        step4_epochs::Site::new(step4_epochs::Config::default(), epoch)
    }, epochs
);

lab::node!(
    /// The fifth step.
    Step5: step5_heartbeat, |epoch| {
        step5_heartbeat::Site::new(step5_heartbeat::Config::default(), epoch)
    }, epochs
);

lab::node!(
    /// The sixth step: the core of the fifth, byte for byte.
    Step6: step6_daemon, |epoch| {
        step6_daemon::Site::new(step6_daemon::Config::default(), epoch)
    }, epochs
);

/// A core that the bench can run.
#[derive(Clone, Copy)]
pub struct Core {
    /// The crate.
    pub name: &'static str,
    /// The example that plays fault plans on it.
    pub example: &'static str,
    /// Runs a plan.
    pub run: fn(&Plan) -> Run,
    /// Runs storms.
    pub storms: fn(Weather, Range<u64>, &(dyn Fn() + Sync)) -> Score,
    /// Explores.
    pub explore: fn(&Plan, Faults, usize) -> Exploration,
    /// What the file of a trace says.
    pub text: fn(&str, &Plan) -> String,
}

impl Core {
    const fn of<N: Node>(name: &'static str, example: &'static str) -> Core {
        Core {
            name,
            example,
            run: lab::run::<N>,
            storms: |weather, seeds, each| lab::storms::<N>(weather, seeds, each),
            explore: lab::explore::<N>,
            text: lab::snapshot::text::<N>,
        }
    }

    /// The core that an example plays on.
    pub fn played_by(example: &str) -> Option<Core> {
        STEPS.into_iter().chain(OTHERS).find(|core| core.example == example)
    }
}

/// The columns of the matrix and the rows of the scoreboard.
pub const STEPS: [Core; 7] = [
    Core::of::<Step1>("step1-udp", "step1-play"),
    Core::of::<Step2>("step2-retransmit", "step2-play"),
    Core::of::<Step3>("step3-dedup", "step3-play"),
    Core::of::<Step4>("step4-epochs", "step4-play"),
    Core::of::<Step5>("step5-heartbeat", "step5-play"),
    Core::of::<Step6>("step6-daemon", "step6-play"),
    Core::of::<unavez_node::Core<unavez_node::Usual>>("final", "unavez-play"),
];

/// Others that some trace is of.
const OTHERS: [Core; 4] = [
    Core::of::<Paper>("step3-dedup under the paper's rule", "step3-paper"),
    Core::of::<unavez_node::Core<unavez_node::ByName>>("final, by name", "unavez-by-name"),
    Core::of::<unavez_node::Core<unavez_node::Hurried>>("final, hurried", "unavez-hurried"),
    Core::of::<unavez_node::Core<unavez_node::Small>>("final, small", "unavez-small"),
];
