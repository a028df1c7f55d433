//! The network: what becomes of each datagram.
//!
//! Invariant: no copy lives longer than the configured lifetime, counted from the moment of sending.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use unavez::protocol::{DATAGRAM_MAX, Time};

use crate::scenario::{Fate, Fault, Scenario, Weather};

pub(crate) struct Network {
    weather: Weather,
    lifetime: Duration,
    random: Pcg64Mcg,
    fates: Vec<(u32, Fate)>,
    pub(crate) datagrams: u32,
}

/// What becomes of a datagram.
pub(crate) struct Transit {
    /// When each copy arrives, and whether a bit of it turned.
    pub(crate) arrivals: Vec<(Time, Option<usize>)>,
    /// Whether a copy takes longer than usual.
    pub(crate) late: bool,
}

impl Network {
    pub(crate) fn new(scenario: &Scenario) -> Network {
        let fates = scenario.faults.iter().filter_map(|fault| match fault {
            Fault::Packet(number, fate) => Some((*number, *fate)),
            Fault::Host(..) => None,
        });
        Network {
            weather: scenario.weather,
            lifetime: scenario.config.packet_lifetime,
            random: Pcg64Mcg::seed_from_u64(scenario.weather.seed),
            fates: fates.collect(),
            datagrams: 0,
        }
    }

    pub(crate) fn transit(&mut self, now: Time, len: usize) -> Transit {
        self.datagrams += 1;
        let number = self.datagrams;
        let fate = self.fate(number);
        let mut late = fate.is_some();
        let mut delays = match fate {
            Some(Fate::Drop | Fate::Unsent(_)) => vec![],
            Some(Fate::Delay(by)) => vec![by],
            Some(Fate::Double(by)) => vec![self.usual(), by],
            None if self.chance(self.weather.loss) => vec![],
            None if len > self.weather.passes.max(DATAGRAM_MAX) => vec![],
            None => vec![self.usual()],
        };
        if !delays.is_empty() && self.chance(self.weather.double) {
            for _ in 0..self.random.random_range(1..=3) {
                delays.push(self.usual());
            }
        }
        if self.weather.late > 0 {
            for delay in &mut delays {
                if self.random.random_ratio(self.weather.late, 1000) {
                    *delay = self.random.random_range(*delay..=self.lifetime.max(*delay));
                    late = true;
                }
            }
        }
        let arrivals = delays.into_iter().map(|delay| {
            let damaged = self.chance(self.weather.damage);
            (now + delay, damaged.then(|| self.random.random_range(0..len * 8)))
        });
        Transit { arrivals: arrivals.collect(), late }
    }

    /// Whether the kernel refuses to send it, and if so, whether it speaks of an earlier one.
    pub(crate) fn unsent(&mut self) -> Option<bool> {
        if let Some(Fate::Unsent(refused)) = self.fate(self.datagrams + 1) {
            self.datagrams += 1;
            return Some(refused);
        }
        self.chance(self.weather.unsent).then(|| self.random.random_ratio(1, 3))
    }

    fn fate(&self, number: u32) -> Option<Fate> {
        self.fates.iter().find(|(it, _)| *it == number).map(|(_, fate)| *fate)
    }

    fn usual(&mut self) -> Duration {
        let jitter = self.weather.jitter.as_micros() as u64;
        let more = if jitter == 0 { 0 } else { self.random.random_range(0..=jitter) };
        self.weather.latency + Duration::from_micros(more)
    }

    /// Draws only where something may happen, so that a calm network is the same for all seeds.
    fn chance(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.random.random_ratio(thousandths, 1000)
    }
}
