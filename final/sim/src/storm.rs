//! Storms: a scenario from a seed, with everything in it that may go wrong together.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use unavez::protocol::{BODY_MAX, Config, Flags};

use crate::scenario::{
    CallPlan, Demands, Fault, Freeze, HostPlan, Mishap, Scenario, ServicePlan, Weather, When,
};

/// In how long all calls of a storm are made.
const SPAN_MS: u64 = 3000;

/// What a storm is mostly made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Season {
    /// A network that loses, doubles, delays, reorders and damages.
    Network,
    /// That, and sites that crash and come back.
    Restarts,
    /// That, and machines that sleep, are paused or stopped, with clocks that are not exact.
    Clocks,
    /// That, and tables that are full, with many calls of many clients.
    Pressure,
    /// That, and processes that die, call off, move, and lose their port.
    Processes,
    /// Everything.
    Everything,
}

impl Season {
    /// All of them.
    pub const ALL: [Season; 6] = [
        Season::Network,
        Season::Restarts,
        Season::Clocks,
        Season::Pressure,
        Season::Processes,
        Season::Everything,
    ];

    /// That of a seed.
    pub fn of(seed: u64) -> Season {
        Season::ALL[(seed % Season::ALL.len() as u64) as usize]
    }

    fn has(self, other: Season) -> bool {
        self == other || self == Season::Everything
    }
}

/// The storm of this seed.
pub fn storm(seed: u64) -> Scenario {
    let mut maker = Maker { season: Season::of(seed), random: Pcg64Mcg::seed_from_u64(seed) };
    let config = maker.config();
    let hosts = maker.hosts();
    let calls = maker.calls(&hosts, &config);
    let faults = maker.faults(&hosts, &config);
    let weather = maker.weather(seed);
    let remembered = !faults.iter().any(|fault| {
        let Fault::Host(_, _, mishap) = fault else { return false };
        matches!(mishap, Mishap::Freeze(..) | Mishap::FreezeReading(..) | Mishap::Cut(_))
    });
    let demands = Demands { remembered, ..Demands::default() };
    Scenario { config, hosts, calls, faults, weather, demands }
}

struct Maker {
    season: Season,
    random: Pcg64Mcg,
}

impl Maker {
    fn config(&mut self) -> Config {
        let tight = self.season.has(Season::Pressure);
        let packet_lifetime = self.millis(200, 2000);
        let clients_max = if tight { self.pick(&[4, 6, 8]) } else { 64 };
        let window_max = self.pick(&[64, 64, 128, 1024]);
        let windows = clients_max as u64 * 64;
        let port_life = 4 * packet_lifetime + self.millis(0, 2000);
        let rto_initial = self.millis(50, 300);
        let accept_max = self.millis(4000, 8000);
        Config {
            packet_lifetime,
            rto_initial,
            rto_min: self.millis(10, 40),
            rto_max: rto_initial * 2,
            backoff_max: rto_initial * self.pick(&[2, 4, 8]),
            retransmits_max: self.pick(&[2, 4, 7]),
            resends_max: self.pick(&[0, 1, 3]),
            accept_max,
            patience_default: self.millis(500, 4000),
            heartbeat_every: self.millis(100, 400),
            heartbeats_missed_max: self.pick(&[2, 4]),
            working_after_max: self.millis(5, 60),
            patience_kept_max: accept_max + self.millis(0, 5000),
            drift_ppm: 1000,
            drain_time: self.millis(1, 100),
            window: 64,
            window_max,
            windows_sum_max: if tight { windows } else { windows * 4 },
            clients_max,
            clients_per_address_max: if tight { self.pick(&[2, 4, 8]) } else { 64 },
            port_life,
            port_life_max: port_life + self.millis(0, 10_000),
            records_max: if tight { self.pick(&[4, 8, 32]) } else { 4096 },
            bytes_max: if tight { self.pick(&[2, 6, 64]) * BODY_MAX } else { 1 << 24 },
            ordered_wait_max: if tight { 2 } else { 16 },
            token_max: if self.chance(100) { Duration::ZERO } else { self.millis(100, 20_000) },
            busy_after: self.millis(5, 100),
            calls_max: if tight { self.pick(&[16, 400]) } else { 4096 },
            ports_max: self.pick(&[1, 2, 128]),
            message_max: self.pick(&[40, 64]) * BODY_MAX,
            building_max: if tight { 90 * BODY_MAX } else { 1 << 24 },
            building_per_address_max: if tight { 72 * BODY_MAX } else { 1 << 24 },
            credit_max: self.pick(&[131_072, 1 << 20]),
            // So few that some strangers are taken for evicted ones.
            evicted_len: self.pick(&[8, 64, 4096]),
            ..Config::default()
        }
    }

    fn hosts(&mut self) -> Vec<HostPlan> {
        let count = if self.chance(300) { 2 } else { self.random.random_range(3..=4) };
        let hosts = (0..count).map(|host| {
            let batch = self.pick(&[0, 0, 1, 3]);
            // The first always serves, the second always asks.
            let services = if host == 0 { self.random.random_range(1..=2) } else { self.upto(1) };
            let clients = if host == 1 { self.random.random_range(1..=3) } else { self.upto(2) };
            let services = (0..services).map(|_| ServicePlan {
                take_after: if self.chance(600) { Duration::ZERO } else { self.millis(0, 300) },
                hands: self.pick(&[1, 2, 100]),
            });
            HostPlan { drift_ppm: 0, batch, services: services.collect(), clients }
        });
        let mut hosts: Vec<HostPlan> = hosts.collect();
        if self.season.has(Season::Clocks) {
            for host in &mut hosts {
                host.drift_ppm = self.random.random_range(-400..=400);
            }
        }
        hosts
    }

    fn calls(&mut self, hosts: &[HostPlan], config: &Config) -> Vec<CallPlan> {
        let mut calls = Vec::new();
        let bursts = if self.season.has(Season::Pressure) { 300 } else { 30 };
        while calls.len() < 4 {
            for _ in 0..self.random.random_range(1..=8) {
                let call = self.call(hosts, config);
                let together = if self.chance(bursts) { self.pick(&[5, 20, 90]) } else { 1 };
                for i in 0..together {
                    let at = call.at + Duration::from_micros(i * 100);
                    calls.push(CallPlan { at, ..call.clone() });
                }
            }
        }
        calls
    }

    fn call(&mut self, hosts: &[HostPlan], config: &Config) -> CallPlan {
        let asking: Vec<usize> = (0..hosts.len()).filter(|i| hosts[*i].clients > 0).collect();
        let serving: Vec<usize> =
            (0..hosts.len()).filter(|i| !hosts[*i].services.is_empty()).collect();
        let from = self.pick(&asking);
        let to = if self.chance(500) { 0 } else { self.pick(&serving) };
        let many = self.season.has(Season::Processes);
        let mut flags = Flags::NONE;
        for (flag, often) in [(Flags::IDEMPOTENT, 80), (Flags::ORDERED, 250), (Flags::CERTAIN, 300)]
        {
            flags = if self.chance(often) { flags | flag } else { flags };
        }
        let patience = if self.chance(150) { None } else { Some(self.millis(50, 4000)) };
        let max_reply = if self.chance(50) { 4 } else { config.message_max as u32 };
        CallPlan {
            at: self.millis(0, SPAN_MS),
            from: (from, self.random.random_range(0..hosts[from].clients)),
            to: (to, self.random.random_range(0..hosts[to].services.len())),
            by_name: self.chance(250),
            old: if many { self.upto(1) } else { 0 },
            flags,
            patience,
            max_reply,
            size: self.size(100),
            reply: self.size(150),
            service: match self.upto(3) {
                0 | 1 => Duration::ZERO,
                2 => self.millis(0, 100),
                _ => self.millis(0, 3000),
            },
            heeds: self.chance(500),
            cancel: self.chance(if many { 200 } else { 30 }).then(|| self.millis(0, 500)),
        }
    }

    /// Of most messages none is given; some have one datagram, some a few, few many.
    fn size(&mut self, given: u32) -> usize {
        match self.chance(given) {
            false => 0,
            true => {
                let max = self.pick(&[BODY_MAX, BODY_MAX + 100, 8 * BODY_MAX, 60 * BODY_MAX]);
                self.upto(max)
            }
        }
    }

    fn faults(&mut self, hosts: &[HostPlan], config: &Config) -> Vec<Fault> {
        let mut faults = Vec::new();
        let season = self.season;
        let times =
            |maker: &mut Self, when: bool, max: usize| if when { maker.upto(max) } else { 0 };
        for _ in 0..times(self, season.has(Season::Restarts), 4) {
            let down =
                if self.chance(500) { Duration::from_millis(1) } else { self.millis(1, 1000) };
            faults.push(self.befall(hosts, Mishap::Crash(down)));
        }
        for _ in 0..times(self, season.has(Season::Clocks), 5) {
            let how = self.pick(&[Freeze::Pause, Freeze::Suspend, Freeze::Stall]);
            let longest = (3 * config.port_life).as_millis() as u64;
            let time = if self.chance(500) { self.millis(1, 500) } else { self.millis(1, longest) };
            let mishap = match self.chance(400) {
                true => Mishap::FreezeReading(how, time),
                false => Mishap::Freeze(how, time),
            };
            faults.push(self.befall(hosts, mishap));
        }
        for _ in 0..times(self, season.has(Season::Processes), 6) {
            let host = self.random.random_range(0..hosts.len());
            let mishap = match self.upto(5) {
                0 | 1 if !hosts[host].services.is_empty() => Mishap::ServerDies(
                    self.upto(hosts[host].services.len() - 1),
                    self.millis(1, 500),
                ),
                2 if !hosts[host].services.is_empty() => {
                    Mishap::Reopens(self.upto(hosts[host].services.len() - 1))
                }
                3 if hosts[host].clients > 0 => {
                    Mishap::ClientDies(self.upto(hosts[host].clients - 1))
                }
                4 => Mishap::Move,
                _ if self.chance(300) => Mishap::Swap(self.upto(hosts.len() - 1)),
                _ => Mishap::Cut(self.millis(10, 3000)),
            };
            let when = When::At(self.millis(0, SPAN_MS + 1000));
            faults.push(Fault::Host(when, host, mishap));
        }
        faults
    }

    /// At a random time, or at a random event.
    fn befall(&mut self, hosts: &[HostPlan], mishap: Mishap) -> Fault {
        let when = match self.chance(500) {
            true => When::At(self.millis(0, SPAN_MS + 1000)),
            false => When::Event(self.random.random_range(1..=200)),
        };
        Fault::Host(when, self.random.random_range(0..hosts.len()), mishap)
    }

    fn weather(&mut self, seed: u64) -> Weather {
        let strength = self.pick(&[0, 1, 3]);
        Weather {
            seed,
            latency: self.millis(1, 10),
            jitter: self.millis(0, 20),
            loss: 60 * strength,
            double: 80 * strength,
            late: 50 * strength,
            damage: self.pick(&[0, 10]),
            unsent: self.pick(&[0, 0, 30]),
            leaves: self.pick(&[0, 1472, 9000]),
            passes: self.pick(&[0, 1472, 9000]),
        }
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        self.random.random_ratio(thousandths, 1000)
    }

    fn upto(&mut self, max: usize) -> usize {
        self.random.random_range(0..=max)
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.random_range(from..=to))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.random_range(0..from.len())]
    }
}
