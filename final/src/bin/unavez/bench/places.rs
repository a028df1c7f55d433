//! Each place is built, checked, used and gone.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use indicatif::ProgressBar;

use super::contender::Contender;
use super::floods;
use super::lan::Lan;
use super::network::{Network, NetworkKind};
use super::orders::{Kind, Order};
use super::plan::{Budget, LONGEST, ROUNDS_MIN, SMALL, Venue, Work};
use super::report::{Beside, Rows, Shared, Table};
use super::rounds::{self, Limits, Workload};
use super::route::Route;
use super::scene::{Host, Scene};
use super::space::Space;
use crate::Result;
use crate::net::Stop;

/// Those who measure, and how much.
pub(super) struct Bench<'a> {
    pub(super) contenders: Vec<Contender>,
    /// Those that somebody asked for by name.
    pub(super) named: Vec<Contender>,
    /// Rounds of a table at most.
    pub(super) rounds: usize,
    pub(super) seed: u64,
    pub(super) budget: Budget,
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

/// What a small echo may take beyond the way, and a tenth: its bits, the routers and the hosts.
const CHECK_SLACK_US: f64 = 1000.0;
/// Two flows take some time to find their shares, and then the shares are what they are.
const SHARE_TIME: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(1);
const BESIDE_TIME_MIN: Duration = Duration::from_millis(500);
/// By whom, and for how long, a wire is checked.
const CHECKS: [Contender; 2] = [Contender::Udp, Contender::TcpOpen];
const CHECK_TIME: Duration = Duration::from_secs(1);
/// Something else may have kept the machine busy.
const CHECK_TRIES: usize = 3;
/// What its transfer must have of the link, with headers.
const CHECK_SHARES: RangeInclusive<f64> = 0.85..=1.03;

impl Bench<'_> {
    /// Builds it and does all that is to be done there.
    pub(super) fn visit(&mut self, venue: &Venue, space: Option<&Space>) -> Result<()> {
        // To build it takes its time, too.
        self.budget.next();
        let Venue { network, hops, .. } = venue;
        match (network.kind, network.rate) {
            (NetworkKind::Loopback, _) => {
                let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
                let host = |cpu| Host { space, ip, cpu: Some(cpu) };
                let hosts = venue.placement.1.map(host);
                let scene = Scene::start(hosts, &self.contenders, 1, &self.stop)?;
                self.work(venue, scene)
            }
            (_, None) => {
                let lan = Lan::build()?;
                let scene = self.scene(venue, lan.hosts())?;
                self.work(venue, scene)
            }
            (_, Some(_)) => {
                let route = Route::build(hops, self.seed, &self.stop)?;
                let mut scene = self.scene(venue, route.hosts())?;
                if network.loss == 0.0 {
                    self.check_delay(*network, &mut scene)?;
                    self.check_rate(*network, &mut scene)?;
                }
                self.work(venue, scene)
            }
        }
    }

    /// All processes on these hosts.
    fn scene(&self, venue: &Venue, hosts: [(&Space, IpAddr); 2]) -> Result<Scene> {
        let host = |side: usize| {
            let (space, ip) = hosts[side];
            Host { space: Some(space), ip, cpu: Some(venue.placement.1[side]) }
        };
        // The wire is checked by some of them.
        let is_there = |it: &Contender| CHECKS.contains(it) || self.contenders.contains(it);
        let all: Vec<Contender> = Contender::ALL.into_iter().filter(is_there).collect();
        Scene::start([host(0), host(1)], &all, 2, &self.stop)
    }

    /// A wire that is slower or faster than it should be is an error.
    fn check_rate(&mut self, network: Network, scene: &mut Scene) -> Result<()> {
        let Some(rate) = network.rate else { return Ok(()) };
        // So long that what happens at its ends does not count.
        let message = Kind::one_way((rate as usize / 8 / 2).min(LONGEST));
        let order = Order::Flood { contender: CHECKS[1], message, time: CHECK_TIME };
        let mut had = 0.0;
        for _ in 0..CHECK_TRIES {
            let batch = scene.order(&order, &self.stop)??;
            had = batch.bytes_in as f64 * 8.0 / (batch.all_ns as f64 / 1e9);
            if CHECK_SHARES.contains(&(had / rate as f64)) {
                return Ok(());
            }
        }
        let had = had / 1e6;
        Err(format!("the testbed fails its check: a transfer had {had:.1} Mb/s on {network}")
            .into())
    }

    /// So is one that is shorter or longer.
    fn check_delay(&mut self, network: Network, scene: &mut Scene) -> Result<()> {
        let Some(delay) = network.delay else { return Ok(()) };
        let (contender, message) = (CHECKS[0], Kind::there_and_back(1));
        let order = Order::Exchange { contender, message, calls: 20, unmeasured: 2 };
        let mut took = 0.0;
        for _ in 0..CHECK_TRIES {
            let batch = scene.order(&order, &self.stop)??;
            took = batch.took_ns.into_iter().min().unwrap_or(0) as f64 / 1e3;
            if (delay * 2.0..delay * 2.0 * 1.1 + CHECK_SLACK_US).contains(&took) {
                return Ok(());
            }
        }
        let ms = took / 1e3;
        Err(format!("the testbed fails its check: an echo took {ms:.2} ms on {network}").into())
    }

    fn work(&mut self, venue: &Venue, scene: Scene) -> Result<()> {
        let (network, placement) = (venue.network, venue.placement.0);
        self.bar.set_message(format!("{network}, {placement}"));
        let mut place = Place { network, placement, scene };
        for work in &venue.works {
            let time = self.budget.next();
            match *work {
                Work::Rounds(workload) => self.rounds(&mut place, workload, time)?,
                Work::Share(len) => self.shares(&mut place, len, time)?,
                Work::Beside(len) => self.beside(&mut place, len, time)?,
            }
        }
        Ok(())
    }

    fn rounds(&mut self, place: &mut Place, workload: Workload, time: Duration) -> Result<()> {
        let Place { network, placement, scene } = place;
        let work = Work::Rounds(workload);
        let (mut contenders, mut left_out) = (Vec::new(), Vec::new());
        // Where packets get lost, who does not send them again is not there.
        for &it in self.contenders.iter().filter(|it| network.loss == 0.0 || it.repairs()) {
            match work.left_out(*network, it).filter(|_| !self.named.contains(&it)) {
                None => contenders.push(it),
                Some(why) => left_out.push((it, why.into())),
            }
        }
        let limits = Limits { rounds: self.rounds, rounds_min: ROUNDS_MIN, time };
        let mut measured =
            rounds::measure(scene, workload, &contenders, limits, &self.bar, &self.stop)?;
        measured.absent.append(&mut left_out);
        (self.done)(Table::of_rounds(*network, placement, workload, measured))
    }

    /// Contenders with long transfers: those that keep what is known of the path.
    fn long_lived(&self, place: &Place) -> Vec<Contender> {
        let keeps = |it: &&Contender| {
            !matches!(
                it,
                Contender::Udp
                    | Contender::UdpBatch
                    | Contender::TcpEach
                    | Contender::TcpFastOpen
                    | Contender::QuicEach
            )
        };
        let is_there = |it: &&Contender| {
            place.network.rate.is_none() || it.is_principal() || self.named.contains(it)
        };
        self.contenders.iter().filter(keeps).filter(is_there).copied().collect()
    }

    /// Two flows of each kind, and one of unavez beside one of TCP.
    fn shares(&mut self, place: &mut Place, len: usize, time: Duration) -> Result<()> {
        let alike = self.long_lived(place).into_iter().map(|it| [it, it]);
        let mut flows: Vec<[Contender; 2]> = alike.collect();
        if self.contenders.contains(&Contender::Unavez) {
            flows.push([Contender::Unavez, Contender::TcpOpen]);
        }
        let Place { network, placement, scene } = place;
        let turns = (flows.len() * ROUNDS_MIN).max(1) as u32;
        let time = (time / turns).clamp(*SHARE_TIME.start(), *SHARE_TIME.end());
        let mut rounds = vec![Vec::new(); flows.len()];
        let mut absent = Vec::new();
        self.bar.inc_length(ROUNDS_MIN as u64);
        for _ in 0..ROUNDS_MIN {
            for (flows, rounds) in flows.iter().zip(&mut rounds) {
                if absent.iter().any(|(contender, _)| flows.contains(contender)) {
                    continue;
                }
                match floods::share(scene, *flows, Kind::one_way(len), time, &self.stop)? {
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
    fn beside(&mut self, place: &mut Place, transfer: usize, time: Duration) -> Result<()> {
        let contenders = self.long_lived(place);
        let Place { network, placement, scene } = place;
        let kinds = [Kind::there_and_back(SMALL), Kind::one_way(transfer)];
        let turns = 2 * contenders.len().max(1) as u32;
        let time = (time / turns).max(BESIDE_TIME_MIN);
        let (mut rows, mut absent) = (Vec::new(), Vec::new());
        for contender in contenders {
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
