//! The way to an address: how much may be on it at once, and in how large datagrams.
//!
//! Congestion control is that of RFC 9002, section 7: slow start, congestion avoidance and recovery of
//! RFC 5681, by bytes, with the loss detection of a protocol that numbers what it sends; the first slow
//! start ends by HyStart++ (RFC 9406). All messages to one address share it. The size of datagrams is
//! found as RFC 8899 says, with fragments as probes.
//!
//! Invariant: `in_flight` is the sum of what the messages to this address have in flight.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::config::Config;
use super::super::rtt::RoundTrip;
use super::super::site::Time;
use super::super::wire::DATAGRAM_MAX;
use super::slow_start::SlowStart;
use super::{FIRST_WINDOW, FRAGMENT_HEADER};

/// RFC 9002, section 7.7.2: what is left of the window after a loss.
const LOSS_REDUCTION: (usize, usize) = (1, 2);
/// In datagrams: RFC 9002, section 7.2.
const WINDOW_MIN: usize = 2;
/// In bytes: RFC 6928, section 2.
const FIRST_BYTES: usize = 14_600;
/// So often is a larger datagram tried (RFC 8899, section 5.1.2).
const PROBES_MAX: u32 = 3;
/// RFC 9002, section 6.1.2.
const GRANULARITY: Duration = Duration::from_millis(1);
/// A round trip below which what is in flight lies in the receiver's buffer for the most part.
const NEAR: Duration = Duration::from_millis(1);
/// A message asks so many times in a window what has come.
const ASKED_PER_WINDOW: usize = 4;

#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) round_trip: RoundTrip,
    window: usize,
    /// Below it the window doubles in a round trip.
    threshold: usize,
    slow_start: SlowStart,
    pub(super) in_flight: usize,
    /// Losses of what was sent before are those of one congestion.
    recovers_since: Option<Time>,
    /// The largest datagram that is known to pass.
    pub(super) datagram: usize,
    /// `None` until the driver has said.
    larger: Option<Larger>,
    /// How many bytes the receiver's buffer takes at once.
    pub(super) room: usize,
    /// When it was heard from last, and since when it is waited for.
    heard: Time,
    waits_since: Time,
    /// Messages that have something to send, in turn.
    pub(super) turn: VecDeque<u64>,
}

/// Datagrams that leave this machine, and may arrive.
#[derive(Debug, Clone, Copy)]
struct Larger {
    size: usize,
    certain: bool,
    /// So many were lost, and one is on its way.
    lost: u32,
    flying: bool,
}

impl Path {
    pub(super) fn new(now: Time) -> Path {
        Path {
            round_trip: RoundTrip::default(),
            window: first_window(DATAGRAM_MAX),
            threshold: usize::MAX,
            slow_start: SlowStart::default(),
            in_flight: 0,
            recovers_since: None,
            datagram: DATAGRAM_MAX,
            larger: None,
            room: usize::MAX,
            heard: now,
            waits_since: now,
            turn: VecDeque::new(),
        }
    }

    /// How many bytes of a message a fragment has.
    pub(super) fn fragment_len(&self) -> usize {
        self.datagram - FRAGMENT_HEADER
    }

    /// How many a probe has, if one is due.
    pub(super) fn probe_len(&self) -> Option<usize> {
        let larger = self.larger.filter(|larger| larger.size > self.datagram)?;
        let due = !larger.flying && larger.lost < PROBES_MAX;
        due.then_some(larger.size - FRAGMENT_HEADER)
    }

    /// Whether one more may leave.
    pub(super) fn has_room(&self) -> bool {
        let near = self.round_trip.measured().is_some_and(|(smoothed, _)| smoothed < NEAR);
        let room = if near { self.room } else { usize::MAX };
        let fits = self.in_flight + self.fragment_len() <= self.window.min(room);
        self.larger.is_some() && (self.in_flight == 0 || fits)
    }

    /// After how many fragments a message asks what has come.
    pub(super) fn asks_after(&self) -> usize {
        let datagrams = self.window.min(self.room) / self.datagram;
        (datagrams / ASKED_PER_WINDOW / self.turn.len().max(1)).max(1)
    }

    pub(super) fn sent(&mut self, len: usize, probe: bool, now: Time, config: &Config) {
        if self.in_flight == 0 {
            self.waits_since = now;
            self.slow_start.begin(now);
            let idle = now.saturating_sub(self.heard) > self.timeout(config);
            if idle && !self.larger.is_some_and(|larger| larger.certain) {
                // RFC 5681, section 4.1. Within the machine others have no share in the way.
                self.window = self.window.min(first_window(self.datagram));
            }
        }
        self.in_flight += len;
        self.set_flying(probe, true);
    }

    /// Something came from there.
    pub(super) fn hear(&mut self, room: u32, now: Time) {
        (self.heard, self.waits_since) = (now, now);
        self.room = room as usize;
    }

    /// Whether nothing has come from there for too long.
    pub(super) fn is_silent(&self, now: Time, config: &Config) -> bool {
        self.in_flight > 0 && now.saturating_sub(self.waits_since) > self.timeout(config)
    }

    /// What calls have measured, until messages have.
    pub(super) fn know(&mut self, round_trip: RoundTrip) {
        if self.round_trip.measured().is_none() {
            self.round_trip = round_trip;
        }
    }

    /// What was asked there was answered after so long.
    pub(super) fn sample(&mut self, round_trip: Duration) {
        self.round_trip.sample(round_trip);
        if let Some(part) = self.slow_start.sample(round_trip) {
            self.end_slow_start(part);
        }
    }

    /// It came there (RFC 9002, sections 7.3.1 and 7.3.3).
    pub(super) fn arrived(&mut self, len: usize, sent_at: Time, probe: bool, now: Time) {
        let used = 2 * self.in_flight >= self.window;
        self.in_flight -= len;
        self.set_flying(probe, false);
        if probe {
            self.pass();
        }
        if self.slow_start.arrived(sent_at, now) {
            self.end_slow_start(1.0);
        }
        let recovering = self.recovers_since.is_some_and(|since| sent_at <= since);
        if recovering || !used {
            return;
        }
        let grown = match self.window < self.threshold {
            true if self.threshold == usize::MAX => self.slow_start.growth(len),
            true => len,
            false => (self.datagram * len / self.window).max(1),
        };
        self.window = self.window.saturating_add(grown);
    }

    /// It did not (section 7.3.2). A probe that is lost says nothing of congestion (RFC 8899, section 3).
    pub(super) fn lost(&mut self, len: usize, sent_at: Time, probe: bool, now: Time) {
        self.in_flight -= len;
        self.set_flying(probe, false);
        if let Some(larger) = self.larger.as_mut().filter(|_| probe) {
            larger.lost += 1;
            return;
        }
        if self.recovers_since.is_some_and(|since| sent_at <= since) {
            return;
        }
        self.recovers_since = Some(now);
        let left = self.window * LOSS_REDUCTION.0 / LOSS_REDUCTION.1;
        self.window = left.max(WINDOW_MIN * self.datagram);
        self.threshold = self.window;
    }

    /// It is not known any more what became of it.
    pub(super) fn forgotten(&mut self, len: usize, probe: bool) {
        self.in_flight -= len;
        self.set_flying(probe, false);
    }

    /// What was sent there is wanted once more: not all of it at once.
    pub(super) fn begin_anew(&mut self) {
        self.window = self.window.min(first_window(self.datagram));
    }

    /// Nothing was heard from there for longer than a timeout (RFC 9002, section 7.6). If it does not
    /// carry its large datagrams any more, that is found out anew (RFC 8899, section 4.3).
    pub(super) fn restart(&mut self, now: Time) {
        self.threshold = (self.window / 2).max(WINDOW_MIN * self.datagram);
        if let Some(larger) = self.larger.as_mut().filter(|larger| !larger.certain) {
            self.datagram = DATAGRAM_MAX;
            larger.lost = 0;
        }
        self.window = WINDOW_MIN * self.datagram;
        self.waits_since = now;
    }

    /// So large datagrams leave this machine for there, and arrive for certain, or not.
    pub(super) fn may_carry(&mut self, size: usize, certain: bool) {
        if self.larger.is_none() {
            self.larger = Some(Larger { size, certain, lost: 0, flying: false });
            if certain {
                self.pass();
            }
        }
    }

    /// It does not carry large datagrams, after all.
    pub(super) fn is_too_small(&mut self) {
        self.datagram = DATAGRAM_MAX;
        if let Some(larger) = &mut self.larger {
            larger.size = DATAGRAM_MAX;
        }
    }

    /// How long to wait for word from there.
    pub(crate) fn timeout(&self, config: &Config) -> Duration {
        self.round_trip.timeout(config)
    }

    /// What is not there and was sent so long ago is lost (RFC 9002, section 6.1.2).
    pub(super) fn loss_delay(&self) -> Duration {
        let smoothed = self.round_trip.measured().map_or(Duration::ZERO, |(smoothed, _)| smoothed);
        (smoothed * 9 / 8).max(GRANULARITY)
    }

    /// Only the first one ends so: once there is a threshold, it is the better guess.
    fn end_slow_start(&mut self, part: f64) {
        if self.threshold == usize::MAX {
            let left = (self.window as f64 * part) as usize;
            self.window = left.max(WINDOW_MIN * self.datagram);
            self.threshold = self.window;
        }
    }

    fn set_flying(&mut self, probe: bool, flying: bool) {
        if let Some(larger) = self.larger.as_mut().filter(|_| probe) {
            larger.flying = flying;
        }
    }

    fn pass(&mut self) {
        let Some(larger) = self.larger.filter(|larger| larger.size > self.datagram) else { return };
        self.datagram = larger.size;
        self.window = self.window.max(first_window(self.datagram));
    }
}

/// RFC 6928, section 2.
fn first_window(datagram: usize) -> usize {
    (FIRST_WINDOW * datagram).min(FIRST_BYTES.max(2 * datagram))
}
