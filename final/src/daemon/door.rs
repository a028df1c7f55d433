//! The one way to what is inside.
//!
//! Invariant: whenever nobody holds the lock, all actions were taken out of the core, and Timer sleeps
//! no longer than to the core's deadline, or is woken.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::inside::{Inside, Stage};
use crate::protocol::Time;

#[derive(Debug)]
pub(super) struct Door {
    inside: Mutex<Inside>,
    /// Timer sleeps on it.
    pub(super) timer: Condvar,
    /// The last process has left a daemon that stops.
    left: Condvar,
}

pub(super) const UNBROKEN: &str = "no thread panics while it holds the lock";

impl Door {
    pub(super) fn new(inside: Inside) -> Door {
        Door { inside: Mutex::new(inside), timer: Condvar::new(), left: Condvar::new() }
    }

    /// Lets an event in.
    pub(super) fn enter<T>(&self, event: impl FnOnce(&mut Inside) -> T) -> T {
        let mut inside = self.lock();
        let result = event(&mut inside);
        inside.settle();
        let deadline = inside.site.deadline();
        if deadline.is_some_and(|deadline| deadline < inside.timer_sleeps) {
            inside.timer_sleeps = Time::ZERO;
            self.timer.notify_one();
        }
        if inside.stage() == Stage::Stops && inside.processes.is_empty() {
            self.left.notify_all();
        }
        result
    }

    /// Ends every call, tells all processes, gives them so long to leave, and lets the threads go.
    pub(super) fn stop(&self, so_long: Duration) {
        self.enter(Inside::stop);
        let until = Instant::now() + so_long;
        let mut inside = self.lock();
        while !inside.processes.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inside = self.left.wait_timeout(inside, left).expect(UNBROKEN).0;
        }
        inside.finish();
        self.timer.notify_one();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect(UNBROKEN)
    }
}
