//! The queue of what is due, against the simplest that could work.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use step5_heartbeat::timers::{Timer, Timers};
use step5_heartbeat::{CallId, Epoch, Time};

fn timer(number: u16) -> Timer {
    let epoch = Epoch { counter: 1, random: 0 };
    Timer::Retransmit(CallId { peer: ([127, 0, 0, 1], number).into(), epoch, seq: 1 })
}

/// Armed timers with the number of their arming, searched from end to end.
#[derive(Default)]
struct Simple {
    armed: BTreeMap<u16, (Time, usize)>,
}

impl Simple {
    fn pop(&mut self, now: Time) -> Option<Timer> {
        let first =
            self.armed.iter().min_by_key(|(_, due)| **due).map(|(number, due)| (*number, *due));
        let (number, _) = first.filter(|(_, (at, _))| *at <= now)?;
        self.armed.remove(&number);
        Some(timer(number))
    }
}

proptest! {
    #[test]
    fn it_agrees_with_a_list(steps in proptest::collection::vec((0..3u8, 0..6u16, 0..50u64), 1..200)) {
        // Arm, move, cancel and pop in any order, with many at the same moment.
        let (mut timers, mut simple) = (Timers::default(), Simple::default());
        for (step, (what, number, at)) in steps.into_iter().enumerate() {
            let at = Duration::from_millis(at);
            match what {
                0 => {
                    timers.arm(timer(number), at);
                    simple.armed.insert(number, (at, step));
                }
                1 => {
                    timers.cancel(timer(number));
                    simple.armed.remove(&number);
                }
                _ => prop_assert_eq!(timers.pop(at), simple.pop(at)),
            }
            prop_assert_eq!(timers.deadline(), simple.armed.values().map(|(at, _)| *at).min());
            prop_assert_eq!(timers.entries(), simple.armed.len());
        }
    }
}

#[test]
fn cancelled_timers_do_not_pile_up() {
    // A server that answers at once: every timer is cancelled long before it is due.
    let mut timers = Timers::default();
    timers.arm(timer(0), Duration::ZERO);
    for number in 1..=10_000 {
        timers.arm(timer(number), Duration::from_secs(1));
        timers.cancel(timer(number));
    }
    let held = format!("{timers:?}").matches("Entry").count();
    assert!(held <= 2 + 64, "{held} entries for 1 timer");
}
