//! Every fault at every place, up to so many at once.

use unavez_sim::{cases, explore};

/// Drop, double and delay any datagram; crash, stop, pause or kill before any event: no plan breaks a
/// promise (R1 to R3), and where nothing but the network fails, every call is replied (R11, R16, R22).
#[test]
fn no_plan_with_a_few_faults_breaks_a_promise() {
    let mut plans = 0;
    for case in cases() {
        let exploration = explore(&case.scenario, &case.faults, case.depth);
        if let Some((scenario, breach)) = exploration.broken {
            panic!("{}: {breach}, with {:#?}", case.name, scenario.faults);
        }
        plans += exploration.plans;
    }
    // So many that nobody makes the cases smaller by accident.
    assert!(plans > 90_000, "{plans}");
}
