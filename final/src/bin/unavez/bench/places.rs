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
use super::network::Network;
use super::orders::{Kind, Order};
use super::report::{Beside, Rows, Shared, Table};
use super::rounds::{self, Limits, Workload};
use super::scene::{Host, Scene};
use super::space::Space;
use crate::Result;
use crate::net::Stop;

/// How long a small call's message is.
const SMALL: usize = 64;
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
/// Two flows take some time to find their shares.
const SHARE_TIME_MIN: Duration = Duration::from_millis(500);
/// By whom, and for how long, a wire is checked.
const CHECKS: Contender = Contender::TcpOpen;
const CHECK_TIME: Duration = Duration::from_secs(2);
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

    /// Two hosts and a wire.
    pub(super) fn lan(&mut self, rate: Option<u64>, losses: &[f64]) -> Result<()> {
        let lan = Lan::build(rate)?;
        let (placement, cpus) = placements()?.pop().ok_or("no core is allowed")?;
        let host = |side: usize| Host {
            space: Some(&lan.hosts[side]),
            ip: Lan::ip(side),
            cpu: Some(cpus[side]),
        };
        // The wire is checked by one of them.
        let is_there = |it: &Contender| *it == CHECKS || self.plan.contenders.contains(it);
        let all: Vec<Contender> = Contender::ALL.into_iter().filter(is_there).collect();
        let scene = Scene::start([host(0), host(1)], &all, 2, &self.stop)?;
        let mut place = Place { network: Network::lan(rate), placement, scene };
        self.check(&mut place)?;
        self.exchanges(&mut place)?;
        self.rounds(&mut place, Workload::Bulk(Kind::one_way(self.longest())))?;
        self.shares(&mut place)?;
        self.beside(&mut place)?;
        for &loss in losses {
            lan.lose(loss)?;
            place.network = Network::lan(rate).with_loss(loss);
            let small = Workload::Exchange(Kind::there_and_back(SMALL));
            let time = self.plan.limits.time * LOSSY_TIMES;
            let limits = Limits { calls: Some(LOSSY_CALLS), time, ..self.plan.limits };
            self.rounds_within(&mut place, small, limits)?;
            self.rounds(&mut place, Workload::Bulk(Kind::one_way(self.longest())))?;
        }
        Ok(())
    }

    /// A wire that is not what it should be is an error.
    fn check(&mut self, place: &mut Place) -> Result<()> {
        let Some(rate) = place.network.rate else { return Ok(()) };
        // Some dozens of messages in the time there is.
        let len = (rate as usize / 8 / 20).min(LONGEST);
        let order =
            Order::Flood { contender: CHECKS, message: Kind::one_way(len), time: CHECK_TIME };
        let batch = place.scene.order(&order, &self.stop)??;
        let on_link = batch.bytes_out as f64 * 8.0 / (batch.all_ns as f64 / 1e9);
        if CHECK_SHARES.contains(&(on_link / rate as f64)) {
            return Ok(());
        }
        let (had, network) = (on_link / 1e6, place.network);
        Err(format!("the testbed fails its check: a transfer had {had:.1} Mb/s on {network}")
            .into())
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
        let rows = Rows::Share { rows: rows.collect() };
        (self.done)(Table::new(*network, placement, len, rows, absent))
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
