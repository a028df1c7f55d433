//! Places are built, and visited in turns: each start of a place is far from the next one, so that what the
//! machine does in some minute hits few of them.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use indicatif::ProgressBar;

use super::contender::Contender;
use super::floods::{self, BESIDE_TIME_MIN, Calls, Goodputs, HEAD_START, SHARE_TIME};
use super::lan::Lan;
use super::network::{Network, NetworkKind};
use super::orders::{Kind, Order};
use super::plan::{Budget, LONGEST, SMALL, Venue, Work};
use super::report::{Beside, Rows, Shared, Table};
use super::rounds::{Limits, Measured, Workload};
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
    /// How often all processes are started anew.
    pub(super) passes: usize,
    /// Rounds of a table in a pass, at most.
    pub(super) rounds: usize,
    pub(super) seed: u64,
    pub(super) budget: Budget,
    pub(super) stop: Stop,
    pub(super) bar: ProgressBar,
    /// What is done with each table.
    pub(super) done: Box<dyn FnMut(Table) -> Result<()> + 'a>,
}

/// A network whose hosts can be used.
struct Place<'a> {
    venue: &'a Venue,
    ground: Ground<'a>,
}

enum Ground<'a> {
    Loopback(Option<&'a Space>),
    Lan(Lan),
    Route(Route),
}

/// What was measured so far for a table.
enum Found {
    Rounds(Workload, Measured),
    Share {
        len: usize,
        flows: Vec<[Contender; 2]>,
        rounds: Vec<Vec<Goodputs>>,
        absent: Vec<(Contender, String)>,
    },
    Beside {
        transfer: usize,
        calls: Vec<(Contender, Calls)>,
        absent: Vec<(Contender, String)>,
    },
}

/// What a small echo may take beyond the way, and a tenth: its bits, the routers and the hosts.
const CHECK_SLACK_US: f64 = 1000.0;
/// By whom, and for how long, a wire is checked.
const CHECKS: [Contender; 2] = [Contender::Udp, Contender::TcpOpen];
const CHECK_TIME: Duration = Duration::from_secs(1);
/// Something else may have kept the machine busy.
const CHECK_TRIES: usize = 3;
/// What its transfer must have of the link, with headers.
const CHECK_SHARES: RangeInclusive<f64> = 0.85..=1.03;

impl<'a> Place<'a> {
    fn build(
        venue: &'a Venue,
        space: Option<&'a Space>,
        seed: u64,
        stop: &Stop,
    ) -> Result<Place<'a>> {
        let Venue { network, hops, .. } = venue;
        let ground = match (network.kind, network.rate) {
            (NetworkKind::Loopback, _) => Ground::Loopback(space),
            (_, None) => Ground::Lan(Lan::build()?),
            (_, Some(_)) => Ground::Route(Route::build(hops, seed, stop)?),
        };
        Ok(Place { venue, ground })
    }

    /// The client's and the server's.
    fn hosts(&self) -> [Host<'_>; 2] {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let hosts = match &self.ground {
            Ground::Loopback(space) => [(*space, here), (*space, here)],
            Ground::Lan(lan) => lan.hosts().map(|(space, ip)| (Some(space), ip)),
            Ground::Route(route) => route.hosts().map(|(space, ip)| (Some(space), ip)),
        };
        [0, 1].map(|side| {
            let (space, ip) = hosts[side];
            Host { space, ip, cpu: Some(self.venue.placement.1[side]) }
        })
    }
}

impl Bench<'_> {
    /// Builds all places and does all that is to be done there.
    pub(super) fn visit(&mut self, venues: &[Venue], space: Option<&Space>) -> Result<()> {
        let build = |venue| Place::build(venue, space, self.seed, &self.stop);
        let places = venues.iter().map(build).collect::<Result<Vec<Place>>>()?;
        let nothing =
            |Venue { works, .. }: &Venue| works.iter().map(|work| self.nothing(*work)).collect();
        let mut found: Vec<Vec<Found>> = venues.iter().map(nothing).collect();
        let ended = (0..self.passes).try_for_each(|pass| {
            let mut all = places.iter().zip(&mut found);
            all.try_for_each(|(place, found)| self.pass(place, pass, found))
        });
        // Also what was found until somebody stopped it.
        for (venue, found) in venues.iter().zip(found) {
            for (work, found) in venue.works.iter().zip(found) {
                self.tell(venue, *work, found)?;
            }
        }
        ended
    }

    fn pass(&mut self, place: &Place, pass: usize, found: &mut [Found]) -> Result<()> {
        let Venue { network, hops, works, placement } = place.venue;
        self.bar.set_message(format!("{network}, {}", placement.0));
        // To start them takes its time, too.
        self.next();
        let mut scene = self.scene(place)?;
        if pass == 0 && !hops.is_empty() && network.loss == 0.0 {
            self.check_delay(*network, &mut scene)?;
            self.check_rate(*network, &mut scene)?;
        }
        for (work, found) in works.iter().zip(found) {
            if work.is_in(*network, pass) {
                let time = self.next();
                self.measure(*network, (&mut scene, pass), *work, time, found)?;
            }
        }
        Ok(())
    }

    /// How long the next part may take.
    fn next(&mut self) -> Duration {
        self.bar.inc(1);
        self.budget.next()
    }

    /// All processes on these hosts.
    fn scene(&self, place: &Place) -> Result<Scene> {
        let (checked, clients) = match place.venue.network.kind {
            NetworkKind::Loopback => (&[][..], 1),
            // The wire is checked by some of them.
            _ => (&CHECKS[..], 2),
        };
        let is_there = |it: &Contender| checked.contains(it) || self.contenders.contains(it);
        let all: Vec<Contender> = Contender::ALL.into_iter().filter(is_there).collect();
        Scene::start(place.hosts(), &all, clients, &self.stop)
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

    fn nothing(&self, work: Work) -> Found {
        match work {
            Work::Rounds(workload) => Found::Rounds(workload, Measured::default()),
            Work::Share(len) => {
                let mut flows: Vec<[Contender; 2]> =
                    self.long_lived().into_iter().map(|it| [it, it]).collect();
                // And one of unavez beside one of TCP.
                if self.contenders.contains(&Contender::Unavez) {
                    flows.push([Contender::Unavez, Contender::TcpOpen]);
                }
                Found::Share {
                    len,
                    rounds: vec![Vec::new(); flows.len()],
                    flows,
                    absent: Vec::new(),
                }
            }
            Work::Beside(transfer) => {
                let calls = self.long_lived().into_iter().map(|it| (it, Calls::default()));
                Found::Beside { transfer, calls: calls.collect(), absent: Vec::new() }
            }
        }
    }

    /// Contenders with long transfers: those that keep what is known of the path.
    fn long_lived(&self) -> Vec<Contender> {
        let keeps = |it: &&Contender| it.keeps_its_path();
        let is_there = |it: &&Contender| it.is_principal() || self.named.contains(it);
        self.contenders.iter().filter(keeps).filter(is_there).copied().collect()
    }

    fn measure(
        &mut self,
        network: Network,
        (scene, start): (&mut Scene, usize),
        work: Work,
        time: Duration,
        found: &mut Found,
    ) -> Result<()> {
        match found {
            Found::Rounds(workload, measured) => {
                let contenders: Vec<Contender> = self
                    .contenders
                    .iter()
                    .copied()
                    .filter(|it| self.does(network, work, *it))
                    .collect();
                let limits = Limits { rounds: self.rounds, time };
                measured.pass(scene, start, *workload, &contenders, limits, &self.stop)
            }
            Found::Share { len, flows, rounds, absent } => {
                // What is under way when it ends is finished.
                let ends = work.once(network) * flows.len() as u32;
                let time = time.saturating_sub(ends) / flows.len().max(1) as u32;
                let time = time.clamp(SHARE_TIME[0], SHARE_TIME[1]);
                for (flows, rounds) in flows.iter().zip(rounds) {
                    if absent.iter().any(|(contender, _)| flows.contains(contender)) {
                        continue;
                    }
                    match floods::share(scene, *flows, Kind::one_way(*len), time, &self.stop)? {
                        Ok(goodputs) => rounds.push(goodputs),
                        Err(why) => absent.push((flows[0], why)),
                    }
                }
                Ok(())
            }
            Found::Beside { transfer, calls, absent } => {
                let kinds = [Kind::there_and_back(SMALL), Kind::one_way(*transfer)];
                let ends = (work.once(network) + HEAD_START) * calls.len() as u32;
                let time = time.saturating_sub(ends) / (2 * calls.len().max(1) as u32);
                let time = time.max(BESIDE_TIME_MIN);
                for (contender, calls) in calls {
                    match floods::beside(scene, *contender, kinds, time, &self.stop)? {
                        Ok(more) => calls.add(more),
                        Err(why) => absent.push((*contender, why)),
                    }
                }
                Ok(())
            }
        }
    }

    fn does(&self, network: Network, work: Work, contender: Contender) -> bool {
        // Where packets get lost, who does not send them again is not there.
        (network.loss == 0.0 || contender.repairs())
            && (self.named.contains(&contender) || work.left_out(network, contender).is_none())
    }

    fn tell(&mut self, venue: &Venue, work: Work, found: Found) -> Result<()> {
        let (network, placement) = (venue.network, venue.placement.0);
        let table = match found {
            Found::Rounds(workload, mut measured) => {
                let left_out = self.contenders.iter().filter_map(|it| {
                    let why =
                        work.left_out(network, *it).filter(|_| !self.does(network, work, *it))?;
                    Some((*it, why.into()))
                });
                measured.absent.extend(left_out);
                Table::of_rounds(network, placement, workload, measured)
            }
            Found::Share { len, flows, rounds, absent } => {
                let rows =
                    flows.iter().zip(&rounds).filter_map(|(it, rounds)| Shared::of(*it, rounds));
                Table::new(network, placement, len, Rows::Share { rows: rows.collect() }, absent)
            }
            Found::Beside { transfer, calls, absent } => {
                let rows =
                    calls.into_iter().filter_map(|(it, calls)| Beside::of(it, calls)).collect();
                Table::new(network, placement, SMALL, Rows::Beside { transfer, rows }, absent)
            }
        };
        if table.is_empty() { Ok(()) } else { (self.done)(table) }
    }
}
