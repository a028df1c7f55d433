//! What is measured where, and how much of the time each part of it gets.

use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use super::contender::Contender;
use super::floods::{BESIDE_TIME_MIN, SHARE_TIME};
use super::link::Hop;
use super::measure::REST;
use super::network::Network;
use super::orders::Kind;
use super::rounds::{COUNTED_CALLS, LONG, LOSSY_CALLS, UNMEASURED, Workload};

use crate::Result;

/// How long a small call's message is.
pub(super) const SMALL: usize = 64;
/// As long as the paper's longest: 3.5 MB (§5).
pub(super) const LONGEST: usize = 7 << 19;
/// How often all processes are started anew: fewer give no interval of 95 in 100.
pub(super) const PASSES: u32 = 6;
/// What takes long is done after every second start.
const SLOW_EVERY: usize = 2;

pub(super) fn is_slow_pass(pass: usize) -> bool {
    pass.is_multiple_of(SLOW_EVERY)
}

/// After how many of all starts that is.
pub(super) fn slow_passes(passes: usize) -> usize {
    passes.div_ceil(SLOW_EVERY)
}

/// A network, and what is done on it.
pub(super) struct Venue {
    pub(super) network: Network,
    /// The links of it, if it has some with a rate.
    pub(super) hops: Vec<Hop>,
    pub(super) placement: Placement,
    pub(super) works: Vec<Work>,
}

/// On which cores the client's and the server's side run, with a name.
pub(super) type Placement = (&'static str, [usize; 2]);

/// One table's worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Work {
    /// All contenders in turns.
    Rounds(Workload),
    /// Two flows at a time, of messages that long.
    Share(usize),
    /// Small calls alone, and while messages that long are sent.
    Beside(usize),
}

/// What is asked for.
pub(super) struct Wanted {
    pub(super) sizes: Vec<usize>,
    /// How many small calls are open at a time.
    pub(super) open: u32,
    /// Exchanges only.
    pub(super) quick: bool,
    /// Those that are possible; the last one is that of real hosts.
    pub(super) placements: Vec<Placement>,
}

impl Wanted {
    /// Both hosts are this one, in each placement.
    pub(super) fn loopback(&self) -> impl Iterator<Item = Venue> {
        let many = Workload::Pipeline(Kind::there_and_back(SMALL), self.open);
        let many = (!self.quick).then_some(Work::Rounds(many));
        self.placements.iter().map(move |placement| Venue {
            network: Network::LOOPBACK,
            hops: Vec::new(),
            placement: *placement,
            works: self.exchanges().chain(many).collect(),
        })
    }

    /// Two hosts and a wire, of this rate or as fast as the machine.
    pub(super) fn lan(&self, rate: Option<u64>) -> Venue {
        let hop = rate.map(|rate| Hop { rate, delay: Duration::ZERO, loss: 0.0 });
        self.venue(Network::lan(rate), hop.into_iter().collect())
    }

    /// The same, where packets get lost.
    pub(super) fn lossy_lan(&self, rate: u64, loss: f64) -> Venue {
        let network = Network::lan(Some(rate)).with_loss(loss);
        self.venue(network, vec![Hop { rate, delay: Duration::ZERO, loss }])
    }

    /// Two LANs with routers between them.
    pub(super) fn man(&self, hops: &[Hop]) -> Venue {
        self.venue(Network::man(hops), hops.to_vec())
    }

    fn venue(&self, network: Network, hops: Vec<Hop>) -> Venue {
        let longest = self.sizes.iter().copied().max().unwrap_or(LONGEST);
        let of_link = |part| network.rate.map_or(longest, |rate| rate as usize / 8 / part);
        // A transfer takes a second at most, and one of two flows a fifth of it.
        let (long, shared) = (longest.min(of_link(1)), LONGEST.min(of_link(10)));
        let bulk = Work::Rounds(Workload::Bulk(Kind::one_way(long)));
        let works = if network.loss > 0.0 {
            vec![Work::Rounds(Workload::Lossy(Kind::there_and_back(SMALL))), bulk]
        } else if self.quick {
            self.exchanges().collect()
        } else if network.rate.is_none() {
            // A wire without a rate is not what two flows have to share.
            self.exchanges().chain([bulk]).collect()
        } else {
            self.exchanges().chain([bulk, Work::Share(shared), Work::Beside(long)]).collect()
        };
        let placement = *self.placements.last().expect("there is a core");
        Venue { network, hops, placement, works }
    }

    fn exchanges(&self) -> impl Iterator<Item = Work> {
        let sizes = self.sizes.iter().copied();
        sizes.map(|len| Work::Rounds(Workload::Exchange(Kind::there_and_back(len))))
    }
}

/// What takes longer once is done only by those whose figures say most, and what takes very long by TCP and
/// the site in the process.
const SLOW: Duration = Duration::from_millis(250);
const VERY_SLOW: Duration = Duration::from_secs(3);
const VERY_PRINCIPAL: [Contender; 3] = [Contender::TcpEach, Contender::TcpOpen, Contender::Unavez];
const SAID_OF_SLOW: &str = "left out where once takes so long; --filter has it back";

impl Work {
    /// Who is not to do it here, and why.
    pub(super) fn left_out(self, network: Network, contender: Contender) -> Option<&'static str> {
        match self {
            // What is too long for a datagram is so everywhere.
            Work::Rounds(_) if !contender.repairs() => None,
            Work::Rounds(workload) if self.is_slow(network) && workload.suits(contender) => {
                let says_most = match self.once(network) > VERY_SLOW {
                    true => VERY_PRINCIPAL.contains(&contender),
                    false => contender.is_principal(),
                };
                (!says_most).then_some(SAID_OF_SLOW)
            }
            _ => None,
        }
    }

    /// What is too long for a datagram takes no time.
    fn takes_time_of(self, network: Network, contender: Contender) -> bool {
        let fits = contender.repairs() || !self.is_slow(network);
        let suits = match self {
            Work::Rounds(workload) => workload.suits(contender),
            _ => true,
        };
        fits && suits && self.left_out(network, contender).is_none()
    }

    fn is_slow(self, network: Network) -> bool {
        // Where packets get lost, many calls wait for those that do.
        matches!(self, Work::Rounds(Workload::Lossy(_))) || self.once(network) > SLOW
    }

    /// Whether it is done in this pass.
    pub(super) fn is_in(self, network: Network, pass: usize) -> bool {
        match self {
            // It has no intervals.
            Work::Beside(_) => pass == 0,
            Work::Rounds(Workload::Lossy(_)) => true,
            Work::Rounds(_) if !self.is_slow(network) => true,
            Work::Rounds(_) | Work::Share(_) => is_slow_pass(pass),
        }
    }

    /// How long it takes once at least: the bits must leave.
    pub(super) fn once(self, network: Network) -> Duration {
        let bytes = match self {
            Work::Rounds(Workload::Exchange(message) | Workload::Lossy(message)) => 2 * message.len,
            Work::Rounds(Workload::Pipeline(message, open)) => message.len * open as usize,
            Work::Rounds(Workload::Bulk(message)) => message.len,
            Work::Share(len) => 2 * len,
            Work::Beside(len) => len,
        };
        let delay = network.delay.unwrap_or(0.0) * 2.0 / 1e6;
        let bits = network.rate.map_or(0.0, |rate| bytes as f64 * 8.0 / rate as f64);
        Duration::from_secs_f64(delay + bits)
    }

    /// What a pass of so many contenders needs of the time, and how much of the rest is well spent on it.
    fn need(self, network: Network, pass: usize, contenders: u32) -> Need {
        let once = self.once(network);
        let (each, weight) = match self {
            Work::Rounds(Workload::Lossy(_)) => {
                ((once + LOST.mul_f64(network.loss)) * LOSSY_CALLS, 8)
            }
            // Who loses packets sends some of them again, and more slowly.
            Work::Rounds(Workload::Bulk(_)) if network.loss > 0.0 => (once * 2, 2),
            Work::Rounds(Workload::Bulk(_)) => (once, 2),
            Work::Rounds(Workload::Pipeline(..)) => (PIPELINE, 4),
            Work::Rounds(Workload::Exchange(message)) => {
                let counts = is_slow_pass(pass) && message.len == SMALL;
                let counting = if counts { counting(once) } else { NO };
                // It is tried, and before a round are exchanges that do not count.
                let times = if once < LONG { 2 + UNMEASURED } else { 1 };
                (once * times + counting, 4)
            }
            Work::Share(_) => (once + SHARE_TIME[0], 1),
            Work::Beside(_) => (once + BESIDE_TIME_MIN * 2, 1),
        };
        // Few have long transfers: five pairs, and four beside whose transfers small calls are made.
        let (times, more) = match self {
            Work::Rounds(_) => (contenders, TABLE),
            Work::Share(_) => (5, NO),
            Work::Beside(_) => (4, NO),
        };
        Need { least: more + each * times, weight }
    }
}

const NO: Duration = Duration::ZERO;
/// What a pass of a table takes beyond its exchanges.
const TABLE: Duration = Duration::from_millis(150);
/// What many calls at a time take, tried and done once.
const PIPELINE: Duration = Duration::from_millis(120);
/// What a lost packet costs a small call, on the average of all: TCP that opens a connection waits for a
/// second, others for less.
const LOST: Duration = Duration::from_millis(1700);
/// To start all processes, and to check a network.
const STARTING: Duration = Duration::from_millis(40);
const CHECKING: Duration = Duration::from_millis(1200);

/// How long it takes to count packets.
fn counting(once: Duration) -> Duration {
    2 * REST + once * COUNTED_CALLS
}

/// What a part takes.
#[derive(Debug, Clone, Copy)]
struct Need {
    least: Duration,
    weight: u32,
}

/// The time for all of it. Each part gets what it takes at least and its share of the rest; what one
/// leaves, or takes beyond, is the others'.
pub(super) struct Budget {
    ends: Instant,
    /// Of what is still to be done, in its order.
    needs: std::vec::IntoIter<Need>,
}

impl Budget {
    pub(super) fn new(
        time: Duration,
        passes: usize,
        venues: &[Venue],
        contenders: &[Contender],
    ) -> Budget {
        let mut needs = Vec::new();
        for (pass, Venue { network, hops, works, .. }) in
            (0..passes).flat_map(|pass| venues.iter().map(move |venue| (pass, venue)))
        {
            let is_checked = !hops.is_empty() && network.loss == 0.0;
            let check = if is_checked && pass == 0 { CHECKING } else { Duration::ZERO };
            needs.push(Need { least: STARTING + check, weight: 0 });
            needs.extend(works.iter().filter(|it| it.is_in(*network, pass)).map(|work| {
                let there = contenders.iter().filter(|it| work.takes_time_of(*network, **it));
                work.need(*network, pass, there.count() as u32)
            }));
        }
        Budget { ends: Instant::now() + time, needs: needs.into_iter() }
    }

    /// How many parts are still to be done.
    pub(super) fn parts(&self) -> usize {
        self.needs.len()
    }

    /// How long the next part may take.
    pub(super) fn next(&mut self) -> Duration {
        self.next_at(Instant::now())
    }

    fn next_at(&mut self, now: Instant) -> Duration {
        let left = self.needs.as_slice();
        let (least, weight) = left.iter().fold((Duration::ZERO, 0), |(least, weight), need| {
            (least + need.least, weight + need.weight)
        });
        let Some(need) = self.needs.next() else { return Duration::ZERO };
        let spare = self.ends.saturating_duration_since(now).saturating_sub(least);
        need.least + spare * need.weight / weight.max(1)
    }
}

/// All processes on one core and, if there are as many, those of each side on one of its own.
pub(super) fn placements() -> Result<Vec<Placement>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true));
    let first = cpus.next().ok_or("no core is allowed")?;
    let each = cpus.next().map(|second| ("a core each", [first, second]));
    Ok([("one core", [first, first])].into_iter().chain(each).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_exchanges_are_left_to_those_who_say_most() {
        // 3.5 MB there and back takes six seconds at 10 Mb/s, and half a second at 100 Mb/s.
        let longest = Work::Rounds(Workload::Exchange(Kind::there_and_back(LONGEST)));
        let slow = Network::lan(Some(10_000_000));
        assert!(longest.left_out(slow, Contender::UnavezdSysv).is_some());
        assert!(longest.left_out(slow, Contender::UnavezdShm).is_some());
        assert_eq!(longest.left_out(slow, Contender::Unavez), None);
        let shorter = Work::Rounds(Workload::Exchange(Kind::there_and_back(LONGEST / 7)));
        assert_eq!(shorter.left_out(slow, Contender::UnavezdShm), None);
        assert_eq!(longest.left_out(Network::lan(None), Contender::UnavezdSysv), None);
        let small = Work::Rounds(Workload::Exchange(Kind::there_and_back(1)));
        assert_eq!(small.left_out(slow, Contender::UnavezdSysv), None);
    }

    #[test]
    fn time_is_divided_and_what_is_left_is_the_others() {
        // Two parts that weigh alike: half each; the first takes nothing, and the second has all.
        let now = Instant::now();
        let need = Need { least: Duration::from_secs(1), weight: 1 };
        let budget = |seconds| Budget {
            ends: now + Duration::from_secs(seconds),
            needs: vec![need, need].into_iter(),
        };
        let mut enough = budget(10);
        assert_eq!(enough.next_at(now), Duration::from_secs(5));
        assert_eq!(enough.next_at(now), Duration::from_secs(10));
        // Where there is too little, each gets what it needs all the same.
        let mut little = budget(1);
        assert_eq!(little.next_at(now), Duration::from_secs(1));
        assert_eq!(little.next_at(now + Duration::from_secs(9)), Duration::from_secs(1));
    }

    #[test]
    fn all_at_least_takes_less_than_is_given() {
        // The usual run, and the quick one: what must be done leaves some time.
        for (line, time) in
            [("bench", super::super::TIME), ("bench --quick", super::super::QUICK_TIME)]
        {
            let args = super::super::parse(line);
            let venues = args.venues().unwrap();
            let budget = Budget::new(Duration::ZERO, PASSES as usize, &venues, &Contender::ALL);
            let least: Duration = budget.needs.as_slice().iter().map(|need| need.least).sum();
            assert!(least > time / 2 && least < time.mul_f64(0.9), "{line}: {least:?}");
        }
    }
}
