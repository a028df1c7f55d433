//! Where it is measured, and what there: each place is built, checked, used and gone.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use indicatif::ProgressBar;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use super::contender::Contender;
use super::floods;
use super::lan::Lan;
use super::link::Hop;
use super::network::Network;
use super::orders::{Kind, Order};
use super::report::{Beside, Rows, Shared, Table};
use super::rounds::{self, Limits, Workload};
use super::route::Route;
use super::scene::{Host, Scene};
use super::space::Space;
use crate::Result;
use crate::net::Stop;

/// How long a small call's message is.
pub(super) const SMALL: usize = 64;
/// As long as the paper's longest: 3.5 MB (§5).
pub(super) const LONGEST: usize = 7 << 19;

/// What is to be done.
pub(super) struct Plan {
    pub(super) contenders: Vec<Contender>,
    pub(super) sizes: Vec<usize>,
    pub(super) limits: Limits,
    /// How many small calls are open at a time.
    pub(super) open: u32,
}

/// Those who do it.
pub(super) struct Bench<'a> {
    pub(super) plan: Plan,
    pub(super) stop: Stop,
    pub(super) bar: ProgressBar,
    /// What is done with each table.
    pub(super) done: Box<dyn FnMut(Table) -> Result<()> + 'a>,
}

/// One place, with all that is there.
struct Place {
    network: Network,
    placement: &'static str,
    scene: Scene,
}

/// Where packets get lost a percentile takes more calls and more time.
const LOSSY_CALLS: u32 = 25;
const LOSSY_TIMES: u32 = 6;
/// What a small echo may take beyond the way, and a tenth: its bits, the routers and the hosts.
const CHECK_SLACK_US: f64 = 1000.0;
/// Two flows take some time to find their shares.
const SHARE_TIME_MIN: Duration = Duration::from_millis(500);
/// By whom, and for how long, a wire is checked.
const CHECKS: [Contender; 2] = [Contender::Udp, Contender::TcpOpen];
const CHECK_TIME: Duration = Duration::from_secs(2);
/// Something else may have kept the machine busy.
const CHECK_TRIES: usize = 3;
/// What its transfer must have of the link, with headers.
const CHECK_SHARES: RangeInclusive<f64> = 0.85..=1.03;

impl Bench<'_> {
    /// Both hosts are this one.
    pub(super) fn loopback(&mut self, space: Option<&Space>) -> Result<()> {
        for (placement, cpus) in placements()? {
            let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let hosts = cpus.map(|cpu| Host { space, ip, cpu: Some(cpu) });
            let scene = Scene::start(hosts, &self.plan.contenders, 1, &self.stop)?;
            let mut place = Place { network: Network::LOOPBACK, placement, scene };
            self.exchanges(&mut place)?;
            let small = Kind::there_and_back(SMALL);
            self.rounds(&mut place, Workload::Pipeline(small, self.plan.open))?;
        }
        Ok(())
    }

    /// Two hosts and a wire, which loses none and then these shares of packets.
    pub(super) fn lan(&mut self, rate: u64, losses: &[f64], seed: u64) -> Result<()> {
        for &loss in [0.0].iter().chain(losses) {
            let hop = Hop { rate, delay: Duration::ZERO, loss };
            self.route(Network::lan(Some(rate)).with_loss(loss), &[hop], seed)?;
        }
        Ok(())
    }

    /// Two hosts and a wire that is as fast as the machine.
    pub(super) fn fast_lan(&mut self) -> Result<()> {
        let lan = Lan::build()?;
        let mut place = self.place(Network::lan(None), lan.hosts())?;
        self.all(&mut place)
    }

    /// Two LANs with routers between them.
    pub(super) fn man(&mut self, hops: &[Hop], seed: u64) -> Result<()> {
        self.route(Network::man(hops), hops, seed)
    }

    fn route(&mut self, network: Network, hops: &[Hop], seed: u64) -> Result<()> {
        let route = Route::build(hops, seed, &self.stop)?;
        let mut place = self.place(network, route.hosts())?;
        if network.loss > 0.0 {
            return self.small_and_long(&mut place);
        }
        self.check_delay(&mut place)?;
        self.check_rate(&mut place)?;
        self.all(&mut place)
    }

    /// All processes on these hosts, with a core for each if there are as many.
    fn place(&mut self, network: Network, hosts: [(&Space, IpAddr); 2]) -> Result<Place> {
        let (placement, cpus) = placements()?.pop().ok_or("no core is allowed")?;
        let host = |side: usize| {
            let (space, ip) = hosts[side];
            Host { space: Some(space), ip, cpu: Some(cpus[side]) }
        };
        // The wire is checked by some of them.
        let is_there = |it: &Contender| CHECKS.contains(it) || self.plan.contenders.contains(it);
        let all: Vec<Contender> = Contender::ALL.into_iter().filter(is_there).collect();
        let scene = Scene::start([host(0), host(1)], &all, 2, &self.stop)?;
        Ok(Place { network, placement, scene })
    }

    /// A wire that is slower or faster than it should be is an error.
    fn check_rate(&mut self, place: &mut Place) -> Result<()> {
        let Some(rate) = place.network.rate else { return Ok(()) };
        // So long that what happens at its ends does not count.
        let message = Kind::one_way((rate as usize / 8 / 2).min(LONGEST));
        let order = Order::Flood { contender: CHECKS[1], message, time: CHECK_TIME };
        let mut had = 0.0;
        for _ in 0..CHECK_TRIES {
            let batch = place.scene.order(&order, &self.stop)??;
            had = batch.bytes_in as f64 * 8.0 / (batch.all_ns as f64 / 1e9);
            if CHECK_SHARES.contains(&(had / rate as f64)) {
                return Ok(());
            }
        }
        let (had, network) = (had / 1e6, place.network);
        Err(format!("the testbed fails its check: a transfer had {had:.1} Mb/s on {network}")
            .into())
    }

    /// So is one that is shorter or longer.
    fn check_delay(&mut self, place: &mut Place) -> Result<()> {
        let Some(delay) = place.network.delay else { return Ok(()) };
        let (contender, message) = (CHECKS[0], Kind::there_and_back(1));
        let order = Order::Exchange { contender, message, calls: 20, unmeasured: 2 };
        let mut took = 0.0;
        for _ in 0..CHECK_TRIES {
            let batch = place.scene.order(&order, &self.stop)??;
            took = batch.took_ns.into_iter().min().unwrap_or(0) as f64 / 1e3;
            if (delay * 2.0..delay * 2.0 * 1.1 + CHECK_SLACK_US).contains(&took) {
                return Ok(());
            }
        }
        let (ms, network) = (took / 1e3, place.network);
        Err(format!("the testbed fails its check: an echo took {ms:.2} ms on {network}").into())
    }

    /// Where no packet gets lost.
    fn all(&mut self, place: &mut Place) -> Result<()> {
        self.exchanges(place)?;
        self.rounds(place, Workload::Bulk(Kind::one_way(self.longest())))?;
        self.shares(place)?;
        self.beside(place)
    }

    /// Where packets get lost.
    fn small_and_long(&mut self, place: &mut Place) -> Result<()> {
        let small = Workload::Exchange(Kind::there_and_back(SMALL));
        let time = self.plan.limits.time * LOSSY_TIMES;
        let limits = Limits { calls: Some(LOSSY_CALLS), time, ..self.plan.limits };
        self.rounds_within(place, small, limits)?;
        self.rounds(place, Workload::Bulk(Kind::one_way(self.longest())))
    }

    fn exchanges(&mut self, place: &mut Place) -> Result<()> {
        for len in self.plan.sizes.clone() {
            self.rounds(place, Workload::Exchange(Kind::there_and_back(len)))?;
        }
        Ok(())
    }

    fn longest(&self) -> usize {
        self.plan.sizes.iter().copied().max().unwrap_or(LONGEST)
    }

    fn rounds(&mut self, place: &mut Place, workload: Workload) -> Result<()> {
        self.rounds_within(place, workload, self.plan.limits)
    }

    fn rounds_within(
        &mut self,
        place: &mut Place,
        workload: Workload,
        limits: Limits,
    ) -> Result<()> {
        let Place { network, placement, scene } = place;
        self.bar.set_message(format!("{network}, {placement}"));
        // Where packets get lost, who does not send them again is not there.
        let able = |it: &Contender| network.loss == 0.0 || it.repairs();
        let contenders: Vec<Contender> =
            self.plan.contenders.iter().copied().filter(able).collect();
        let measured =
            rounds::measure(scene, workload, &contenders, limits, &self.bar, &self.stop)?;
        (self.done)(Table::of_rounds(*network, placement, workload, measured))
    }

    /// Contenders with long transfers: those that keep what is known of the path.
    fn long_lived(&self) -> Vec<Contender> {
        let long_lived = |it: &Contender| {
            !matches!(
                it,
                Contender::Udp
                    | Contender::UdpBatch
                    | Contender::TcpEach
                    | Contender::TcpFastOpen
                    | Contender::QuicEach
            )
        };
        self.plan.contenders.iter().copied().filter(long_lived).collect()
    }

    /// Two flows of each kind, and one of unavez beside one of TCP.
    fn shares(&mut self, place: &mut Place) -> Result<()> {
        let Place { network, placement, scene } = place;
        // A message takes a fifth of a second if the other flow takes half of the link.
        let len = network.rate.map_or(LONGEST, |rate| (rate as usize / 8 / 10).min(LONGEST));
        let message = Kind::one_way(len);
        let alike = self.long_lived().into_iter().map(|it| [it, it]);
        let mut flows: Vec<[Contender; 2]> = alike.collect();
        if self.plan.contenders.contains(&Contender::Unavez) {
            flows.push([Contender::Unavez, Contender::TcpOpen]);
        }
        let count = self.plan.limits.rounds_min;
        let time = (self.plan.limits.time / 5).max(SHARE_TIME_MIN);
        let mut rounds = vec![Vec::new(); flows.len()];
        let mut absent = Vec::new();
        self.bar.inc_length(count as u64);
        for _ in 0..count {
            for (flows, rounds) in flows.iter().zip(&mut rounds) {
                if absent.iter().any(|(contender, _)| flows.contains(contender)) {
                    continue;
                }
                match floods::share(scene, *flows, message, time, &self.stop)? {
                    Ok(goodputs) => rounds.push(goodputs),
                    Err(why) => absent.push((flows[0], why)),
                }
            }
            self.bar.inc(1);
        }
        let rows = flows.iter().zip(&rounds).filter_map(|(flows, it)| Shared::new(*flows, it));
        let rows: Vec<Shared> = rows.collect();
        if rows.is_empty() && absent.is_empty() {
            return Ok(());
        }
        (self.done)(Table::new(*network, placement, len, Rows::Share { rows }, absent))
    }

    /// Small calls while a long transfer runs.
    fn beside(&mut self, place: &mut Place) -> Result<()> {
        let Place { network, placement, scene } = place;
        let transfer = self.longest();
        let kinds = [Kind::there_and_back(SMALL), Kind::one_way(transfer)];
        let (mut rows, mut absent) = (Vec::new(), Vec::new());
        for contender in self.long_lived() {
            let time = self.plan.limits.time / 2;
            match floods::beside(scene, contender, kinds, time, &self.stop)? {
                Ok(calls) => rows.extend(Beside::new(contender, calls)),
                Err(why) => absent.push((contender, why)),
            }
        }
        if rows.is_empty() && absent.is_empty() {
            return Ok(());
        }
        let rows = Rows::Beside { transfer, rows };
        (self.done)(Table::new(*network, placement, SMALL, rows, absent))
    }
}

/// On which cores the two sides run, with a name.
fn placements() -> Result<Vec<(&'static str, [usize; 2])>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true));
    let first = cpus.next().ok_or("no core is allowed")?;
    let each = cpus.next().map(|second| ("a core each", [first, second]));
    Ok([("one core", [first, first])].into_iter().chain(each).collect())
}
