//! When slow start has gone far enough: HyStart++ (RFC 9406). A round trip that grows longer says that
//! what is sent waits in a queue, before the queue is full and loses it. What waits there by then is let
//! drain, as BBR does it.
//!
//! Invariant: nothing of it is used once the path has a threshold.

use std::time::Duration;

use super::super::site::Time;

/// Section 4.3: by how much a round trip must be longer than that of the round before. There it is 16 ms
/// at most. Here the last of a quarter of the window asks, and waits for those before it: by as much
/// longer, the window is as large as a path of any length takes.
const LONGER_MIN: Duration = Duration::from_millis(4);
const LONGER_PART: u32 = 8;
/// In conservative slow start the window grows by this part, for so many rounds.
const GROWTH_PART: usize = 4;
const ROUNDS: u32 = 5;
/// So many round trips are measured before they say something: eight where each packet is
/// acknowledged; here a message asks four times in a window.
const SAMPLES_MIN: u32 = 3;
/// A quarter of the window is on its way before it is asked for.
const UNASKED: f64 = 4.0 / 3.0;
/// No more is let drain than two losses would: it may be others who fill the queue.
const LEFT_MIN: f64 = 0.25;

/// The rounds of a slow start.
#[derive(Debug, Default)]
pub(super) struct SlowStart {
    /// A round is over when something has arrived that was sent later than it began.
    began: Time,
    /// The shortest round trip of all, of this round and of the one before.
    least: Option<Duration>,
    shortest: Option<Duration>,
    before: Option<Duration>,
    samples: u32,
    conservative: Option<Conservative>,
}

/// Growing by less, until it is known whether the round trip has grown for good.
#[derive(Debug, Clone, Copy)]
struct Conservative {
    /// A shorter round trip says that it has not.
    baseline: Duration,
    rounds: u32,
    /// So many in a row were longer still.
    longer: u32,
}

impl SlowStart {
    /// Nothing was on its way any more, and now something is.
    pub(super) fn begin(&mut self, now: Time) {
        *self = SlowStart { began: now, least: self.least, ..SlowStart::default() };
    }

    /// So long took a round trip. Whether slow start is over, and which part of the window is enough.
    pub(super) fn sample(&mut self, round_trip: Duration) -> Option<f64> {
        self.samples += 1;
        let least = self.least.map_or(round_trip, |least| least.min(round_trip));
        let shortest = self.shortest.map_or(round_trip, |shortest| shortest.min(round_trip));
        (self.least, self.shortest) = (Some(least), Some(shortest));
        let Some(it) = &mut self.conservative else {
            let before = self.before.filter(|_| self.samples >= SAMPLES_MIN);
            if before.is_some_and(|before| shortest >= longer_than(before)) {
                self.conservative = Some(Conservative { baseline: shortest, rounds: 0, longer: 0 });
            }
            return None;
        };
        if round_trip < it.baseline {
            self.conservative = None;
            return None;
        }
        it.longer = if round_trip >= longer_than(it.baseline) { it.longer + 1 } else { 0 };
        // The RFC goes on for its rounds, and fills a short queue.
        (it.longer >= SAMPLES_MIN).then(|| {
            let part = longer_than(least).div_duration_f64(round_trip) * UNASKED;
            part.clamp(LEFT_MIN, 1.0)
        })
    }

    /// Something that was sent then has arrived. Whether slow start is over.
    pub(super) fn arrived(&mut self, sent_at: Time, now: Time) -> bool {
        if sent_at <= self.began {
            return false;
        }
        self.began = now;
        self.before = self.shortest.take().or(self.before);
        self.samples = 0;
        let Some(it) = &mut self.conservative else { return false };
        it.rounds += 1;
        it.rounds >= ROUNDS
    }

    /// By how much the window grows when so many bytes have arrived.
    pub(super) fn growth(&self, arrived: usize) -> usize {
        if self.conservative.is_some() { arrived / GROWTH_PART } else { arrived }
    }
}

fn longer_than(round_trip: Duration) -> Duration {
    round_trip + (round_trip / LONGER_PART).max(LONGER_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Rounds of four round trips each; what is left of the window when slow start is over, and in which
    /// round that is.
    fn ends(rounds: &[u64]) -> Option<(usize, f64)> {
        let mut slow_start = SlowStart::default();
        for (at, round_trip) in rounds.iter().enumerate() {
            let now = ms(1000 * (at as u64 + 1));
            if slow_start.arrived(now - ms(1), now) {
                return Some((at, 1.0));
            }
            for more in [1, 0, 2, 3] {
                if let Some(part) = slow_start.sample(ms(round_trip + more)) {
                    return Some((at, part));
                }
            }
        }
        None
    }

    /// The queue grows with the window. Left is what makes the shortest round trip longer by a little, and
    /// a third of that more.
    #[test]
    fn round_trips_that_grow_end_it() {
        assert_eq!(ends(&[8, 16, 32, 64]), Some((2, 12.0 / 34.0 * UNASKED)));
        assert_eq!(ends(&[200, 240, 280]), Some((2, 1.0)));
        assert_eq!(ends(&[8, 40, 400]), Some((2, LEFT_MIN)));
    }

    #[test]
    fn what_varies_by_little_does_not_end_it() {
        assert_eq!(ends(&[8, 11, 8, 11, 14, 17, 8, 11, 8, 11, 8, 11]), None);
        assert_eq!(ends(&[200, 224, 200, 224, 200, 224]), None);
    }

    /// Longer once, and short again: it was by chance. Longer once, and never shorter again: five rounds.
    #[test]
    fn longer_once_may_be_by_chance() {
        assert_eq!(ends(&[8, 40, 8, 8, 40, 8, 8, 40, 8, 8]), None);
        assert_eq!(ends(&[8, 40, 40, 40, 40, 40, 40, 40]), Some((6, 1.0)));
    }

    /// Two samples say nothing.
    #[test]
    fn few_samples_say_nothing() {
        let mut slow_start = SlowStart::default();
        for (at, round_trip) in [8, 40, 200, 400].into_iter().enumerate() {
            let now = ms(1000 * (at as u64 + 1));
            assert!(!slow_start.arrived(now - ms(1), now));
            assert_eq!([(); 2].map(|()| slow_start.sample(ms(round_trip))), [None; 2]);
        }
    }

    #[test]
    fn it_grows_by_less_while_it_is_not_known() {
        let mut slow_start = SlowStart::default();
        for (at, round_trip) in [8, 40].into_iter().enumerate() {
            assert_eq!(slow_start.growth(1000), 1000);
            slow_start.arrived(ms(10 * at as u64 + 1), ms(10 * at as u64 + 2));
            (0..3).for_each(|_| assert_eq!(slow_start.sample(ms(round_trip)), None));
        }
        assert_eq!(slow_start.growth(1000), 250);
        slow_start.begin(ms(1));
        assert_eq!((slow_start.growth(1000), slow_start.least), (1000, Some(ms(8))));
    }
}
