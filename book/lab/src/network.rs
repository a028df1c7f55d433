//! What the simulated network does to each datagram: by order, by kind or by seed.

use std::collections::BTreeMap;

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::node::Time;
use crate::plan::{Fate, Fault, Plan, Weather, When};

/// How long a datagram travels when nothing is wrong.
pub(crate) const LATENCY: Time = Time::from_millis(5);
/// A packet that is to be overtaken waits so long for one that does it.
const REORDER_WITHIN: Time = Time::from_secs(1);

/// A plan's network, service and crashes.
pub(crate) struct Network {
    plan: Plan,
    counts: BTreeMap<String, u32>,
    held: BTreeMap<(usize, usize), Held>,
    storm: Option<(Weather, Pcg64Mcg)>,
    clients: usize,
}

/// A packet that waits to be overtaken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Its place in the queue of what is due.
    pub(crate) key: (Time, u64),
    /// Its place in the list of events.
    pub(crate) event: usize,
    /// Which of the packet's copies it is.
    pub(crate) copy: usize,
}

/// What becomes of one datagram.
pub(crate) struct Transit {
    /// When each copy arrives.
    pub(crate) arrivals: Vec<Time>,
    /// Whether one comes later than usual.
    pub(crate) late: bool,
    /// Whether it waits to be overtaken.
    pub(crate) holds: bool,
    /// A packet that this one overtakes, and when that one arrives.
    pub(crate) overtaken: Option<(Held, Time)>,
}

impl Network {
    pub(crate) fn new(plan: &Plan) -> Network {
        let mut plan = plan.clone();
        let mut clients = plan.clients as usize;
        let storm = plan.storm.map(|storm| {
            let mut random = Pcg64Mcg::seed_from_u64(storm.seed);
            clients = random.random_range(1..=2);
            plan.calls = random.random_range(1..=3);
            plan.at_once = random.random_bool(0.5);
            (storm.weather, random)
        });
        Network { plan, counts: BTreeMap::new(), held: BTreeMap::new(), storm, clients }
    }

    pub(crate) fn clients(&self) -> usize {
        self.clients
    }

    pub(crate) fn calls(&self) -> usize {
        self.plan.calls as usize
    }

    pub(crate) fn at_once(&self) -> bool {
        self.plan.at_once
    }

    /// How long the service takes for the next request.
    pub(crate) fn service(&mut self) -> Time {
        match &mut self.storm {
            None => self.plan.service,
            Some((Weather::Slow, random)) => millis(random, 3000, 8000),
            Some((_, random)) => millis(random, 0, 50),
        }
    }

    /// Which sites crash at which time, and for how long.
    pub(crate) fn crashes(&mut self) -> Vec<(usize, Time, Option<Time>)> {
        let mut crashes = Vec::new();
        for fault in &self.plan.faults {
            if let Fault::Crash { site, when: When::At(at), down } = *fault {
                crashes.push((site, at, down));
            }
        }
        if let Some((Weather::Restarts, random)) = &mut self.storm {
            for _ in 0..random.random_range(1..=2) {
                let site = random.random_range(0..=self.clients);
                crashes.push((site, millis(random, 0, 1000), Some(millis(random, 10, 1000))));
            }
        }
        crashes
    }

    /// Which sites stand still at which time, and for how long.
    pub(crate) fn pauses(&self) -> Vec<(usize, Time, Time)> {
        let pause = |fault: &Fault| match *fault {
            Fault::Pause { site, at, long } => Some((site, at, long)),
            _ => None,
        };
        self.plan.faults.iter().filter_map(pause).collect()
    }

    /// What becomes of the next datagram on this path.
    pub(crate) fn transit(&mut self, now: Time, path: (usize, usize), label: &str) -> Transit {
        let usual = now + LATENCY;
        let arrivals = match &mut self.storm {
            None => vec![usual],
            // So little that nobody is given up there for want of a packet.
            Some((Weather::Slow, random)) => weather(random, usual, 10),
            Some((_, random)) => weather(random, usual, 30),
        };
        let fates: Vec<Fate> = self.fates(label);
        let arrivals = fates.iter().fold(arrivals, |arrivals, fate| suffer(*fate, arrivals));
        let holds = fates.contains(&Fate::Reorder);
        let overtaken = match arrivals.first() {
            Some(first) if !holds => self.held.remove(&path).map(|held| (held, *first)),
            _ => None,
        };
        Transit { holds, late: arrivals.iter().any(|at| *at > usual), arrivals, overtaken }
    }

    /// The datagram just judged waits to be overtaken on this path.
    pub(crate) fn hold(&mut self, path: (usize, usize), held: Held) {
        self.held.insert(path, held);
    }

    /// The faults on packets that were never sent.
    pub(crate) fn unstruck(&self) -> Vec<Fault> {
        let sent = |kind| self.counts.get(kind).copied().unwrap_or(0);
        let never = |fault: &&Fault| matches!(fault, Fault::Packet(pick, _) if pick.number > sent(pick.kind));
        self.plan.faults.iter().filter(never).copied().collect()
    }

    fn fates(&mut self, label: &str) -> Vec<Fate> {
        let kind = label.split(' ').next().unwrap_or(label).to_lowercase();
        let mut count = |kind: &str| {
            let count = self.counts.entry(kind.into()).or_default();
            *count += 1;
            *count
        };
        let numbers = [("packet", count("packet")), (&kind, count(&kind))];
        let picked = |fault: &Fault| match fault {
            Fault::Packet(pick, fate) if numbers.contains(&(pick.kind, pick.number)) => Some(*fate),
            _ => None,
        };
        self.plan.faults.iter().filter_map(picked).collect()
    }
}

/// What a storm does to a datagram, which loses this percentage of all, and delays it of the rest.
fn weather(random: &mut Pcg64Mcg, usual: Time, percent: u32) -> Vec<Time> {
    let copies = match random.random_range(0..100) {
        number if number < percent => 0,
        number if number < percent + 20 => 2,
        _ => 1,
    };
    let arrivals = (0..copies).map(|_| match random.random_ratio(percent, 100) {
        true => usual + millis(random, 0, 2000),
        false => usual,
    });
    arrivals.collect()
}

/// What a fate makes of the copies so far.
fn suffer(fate: Fate, mut arrivals: Vec<Time>) -> Vec<Time> {
    match fate {
        Fate::Drop => arrivals.clear(),
        Fate::Duplicate(by) => arrivals.extend(arrivals.first().map(|first| *first + by)),
        Fate::Delay(by) => arrivals.iter_mut().for_each(|at| *at += by),
        Fate::Reorder => arrivals.iter_mut().for_each(|at| *at += REORDER_WITHIN),
    }
    arrivals
}

fn millis(random: &mut impl Rng, from: u64, to: u64) -> Time {
    Time::from_millis(random.random_range(from..=to))
}
