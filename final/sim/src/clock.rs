//! The clocks of a site: each of them may stand still, and none is exact.
//!
//! Invariant: no clock ever goes back.

use std::time::Duration;

use unavez::protocol::{Now, Time};

use crate::scenario::Freeze;

/// Where the clocks of all sites begin: not together, so that one taken for the other shows.
const RUNNING_FROM: Duration = Duration::from_secs(1000);
const BOOT_FROM: Duration = Duration::from_secs(5000);

#[derive(Debug)]
pub(crate) struct Clock {
    drift_ppm: i64,
    frozen: Option<(Freeze, Time)>,
    running_lost: Time,
    boot_lost: Time,
    /// For how long it did not run though its clocks did.
    stalled: Time,
}

impl Clock {
    pub(crate) fn new(drift_ppm: i64) -> Clock {
        let (running_lost, boot_lost, stalled) = (Time::ZERO, Time::ZERO, Time::ZERO);
        Clock { drift_ppm, frozen: None, running_lost, boot_lost, stalled }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// What they show; only of a site that runs.
    pub(crate) fn now(&self, at: Time) -> Now {
        Now {
            running: RUNNING_FROM + self.local(at - self.running_lost),
            boot: BOOT_FROM + self.local(at - self.boot_lost),
        }
    }

    pub(crate) fn stalled(&self) -> Time {
        self.stalled
    }

    /// When the running clock shows this time at the earliest, if nothing stands still before.
    pub(crate) fn when(&self, running: Time) -> Time {
        let local = running.saturating_sub(RUNNING_FROM).as_nanos() as i128;
        let mut at = local * 1_000_000 / (1_000_000 + i128::from(self.drift_ppm));
        while (self.local(Time::from_nanos(at as u64)).as_nanos() as i128) < local {
            at += 1;
        }
        self.running_lost + Time::from_nanos(at as u64)
    }

    pub(crate) fn freeze(&mut self, how: Freeze, at: Time) {
        self.frozen.get_or_insert((how, at));
    }

    pub(crate) fn thaw(&mut self, at: Time) {
        let Some((how, since)) = self.frozen.take() else { return };
        let lost = at - since;
        match how {
            Freeze::Pause => {
                self.running_lost += lost;
                self.boot_lost += lost;
            }
            Freeze::Suspend => self.running_lost += lost,
            Freeze::Stall => self.stalled += lost,
        }
    }

    fn local(&self, elapsed: Time) -> Time {
        let nanos = elapsed.as_nanos() as i128;
        Time::from_nanos((nanos + nanos * i128::from(self.drift_ppm) / 1_000_000) as u64)
    }
}
