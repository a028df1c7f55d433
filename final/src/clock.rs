//! The two clocks that the protocol needs, read together.

use nix::time::{ClockId, clock_gettime};

use crate::protocol::{Now, Time};

/// This moment. Both clocks are read without entering the kernel.
pub(crate) fn now() -> Now {
    Now { running: read(ClockId::CLOCK_MONOTONIC), boot: read(ClockId::CLOCK_BOOTTIME) }
}

/// This moment, by the clock that stands still while the machine sleeps.
pub(crate) fn running() -> Time {
    read(ClockId::CLOCK_MONOTONIC)
}

fn read(clock: ClockId) -> Time {
    clock_gettime(clock).expect("every Linux since 2.6.39 has these clocks").into()
}
