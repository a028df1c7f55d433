//! Rounds: all contenders take turns in small batches, so that whatever else the machine does hits them
//! alike. Passes: all processes are started anew, as some are lucky with their places in memory.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::contender::Contender;
use super::orders::{Answer, Batch, Kind, Order};
use super::plan::{self, SMALL};
use super::scene::Scene;
use super::stats::Median;
use crate::Result;
use crate::net::Stop;

/// What is asked of each contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workload {
    /// One exchange after the other.
    Exchange(Kind),
    /// The same where packets get lost: how long a turn takes is not known beforehand.
    Lossy(Kind),
    /// Many calls, of which so many are open at any time.
    Pipeline(Kind, u32),
    /// A long message one way, and a byte back.
    Bulk(Kind),
}

/// How much is measured in a pass: so many rounds, or as many as there is time for, but one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) rounds: usize,
    pub(super) time: Duration,
}

/// How long a turn is to take, if one call does not take longer.
const TURN: Duration = Duration::from_millis(2);
const PIPELINE_TURN: Duration = Duration::from_millis(15);
/// Calls of a turn.
const CALLS_MAX: u64 = 64;
/// Where packets get lost it is not known beforehand how long any take.
pub(super) const LOSSY_CALLS: u32 = 25;
const PIPELINE_CALLS_MAX: u64 = 16_384;
/// Calls whose packets are counted.
pub(super) const COUNTED_CALLS: u32 = 32;
/// What takes longer counts as this long.
const LONGEST_NS: u64 = 600_000_000_000;
/// Exchanges before each turn that are not measured: after a pause the first ones are slower.
pub(super) const UNMEASURED: u32 = 2;
/// Longer exchanges are measured from the first: their like takes too much time.
pub(super) const LONG: Duration = Duration::from_millis(10);

/// All that was measured of one contender.
pub(super) struct Series {
    pub(super) contender: Contender,
    /// Of single exchanges, in ns.
    pub(super) took: Histogram<u64>,
    /// Of each round of each pass: the median exchange, or for many at a time the time for each, in ns.
    pub(super) passes: Vec<Vec<f64>>,
    pub(super) calls: u64,
    pub(super) all_ns: u64,
    /// How many calls what follows is of.
    pub(super) counted: u64,
    pub(super) cpu_ns: [u64; 2],
    pub(super) packets: u64,
    /// For each call, whenever they were counted by themselves.
    packets_each: Vec<f64>,
    /// Of each pass: the bytes that arrived at the server's host in a second, with all headers.
    pub(super) on_link: Vec<Vec<f64>>,
    calls_a_turn: u32,
    once: Duration,
}

/// Those that could be measured, and why the others could not.
#[derive(Default)]
pub(super) struct Measured {
    /// After which starts.
    pub(super) starts: Vec<usize>,
    pub(super) series: Vec<Series>,
    pub(super) absent: Vec<(Contender, String)>,
}

/// One turn of a contender, of so many calls.
type Turn = (Batch, u32);
/// Why a contender cannot.
type Attempt<T> = Result<std::result::Result<T, String>>;

impl Measured {
    /// A workload after the start of this number.
    pub(super) fn pass(
        &mut self,
        scene: &mut Scene,
        start: usize,
        workload: Workload,
        contenders: &[Contender],
        limits: Limits,
        stop: &Stop,
    ) -> Result<()> {
        let began = Instant::now();
        let is_first = self.series.is_empty();
        let mut trials = Vec::new();
        for &contender in contenders.iter().filter(|it| workload.suits(**it)) {
            if self.absent.iter().any(|(other, _)| *other == contender) {
                continue;
            }
            match try_it(scene, workload, contender, stop)? {
                Ok((trial, once)) => {
                    if is_first {
                        self.series.push(Series::new(workload, contender, once));
                    }
                    trials.push(trial);
                }
                Err(why) => self.leave(contender, why),
            }
        }
        self.starts.push(start);
        for series in &mut self.series {
            series.passes.push(Vec::new());
            series.on_link.push(Vec::new());
        }
        match workload {
            Workload::Exchange(message) if plan::is_slow_pass(start) && message.len == SMALL => {
                self.count_packets(scene, message, stop)?;
            }
            _ => {}
        }
        // Where all take long, they have already had a turn each.
        let is_lossy = matches!(workload, Workload::Lossy(_));
        let tried = is_lossy || self.series.iter().all(|it| it.once >= LONG);
        if tried {
            self.series.iter_mut().zip(&trials).for_each(|(series, trial)| series.add(trial));
        }
        let done = usize::from(tried);
        let round: Duration = self.series.iter().map(|it| it.once * it.calls_a_turn).sum();
        let fit = limits.time.saturating_sub(began.elapsed()).as_nanos() / round.as_nanos().max(1);
        let rounds = limits.rounds.min(fit as usize).max(1 - done);
        for round in 0..rounds {
            // It may take longer than it seemed at first.
            if round + done > 0 && began.elapsed() > limits.time {
                break;
            }
            self.round(scene, workload, round, stop)?;
        }
        Ok(())
    }

    /// Each has its turn.
    fn round(
        &mut self,
        scene: &mut Scene,
        workload: Workload,
        number: usize,
        stop: &Stop,
    ) -> Result<()> {
        let mut failed = Vec::new();
        for turn in 0..self.series.len() {
            // Each is now before, now after each other.
            let at = (turn + number) % self.series.len();
            let series = &mut self.series[at];
            let calls = series.calls_a_turn;
            let order = workload.order(series.contender, calls, series.unmeasured());
            match scene.order(&order, stop)? {
                Ok(batch) => series.add(&(batch, calls)),
                Err(why) => failed.push((series.contender, why)),
            }
        }
        failed.into_iter().for_each(|(contender, why)| self.leave(contender, why));
        Ok(())
    }

    /// Packets of small calls are counted when all others have come to rest.
    fn count_packets(&mut self, scene: &mut Scene, message: Kind, stop: &Stop) -> Result<()> {
        for series in &mut self.series {
            let contender = series.contender;
            let order = Order::Count { contender, message, calls: COUNTED_CALLS };
            if let Ok(batch) = scene.order(&order, stop)? {
                series.packets_each.push(batch.packets as f64 / f64::from(batch.counted));
            }
        }
        Ok(())
    }

    fn leave(&mut self, contender: Contender, why: String) {
        self.series.retain(|it| it.contender != contender);
        self.absent.push((contender, why));
    }
}

/// Tries it, to see how long it takes: once, as the first time may be slower, a few times, and as often
/// as a turn has time for.
fn try_it(
    scene: &mut Scene,
    workload: Workload,
    contender: Contender,
    stop: &Stop,
) -> Attempt<(Turn, Duration)> {
    let mut calls = workload.calls_at_first();
    loop {
        let answer: Answer = scene.order(&workload.order(contender, calls, 0), stop)?;
        let batch = match answer {
            Ok(batch) => batch,
            Err(why) => return Ok(Err(why)),
        };
        let mean = Duration::from_nanos(batch.all_ns) / calls;
        let once = match (workload, median(&batch.took_ns)) {
            // A few take most of the time.
            (Workload::Lossy(_), _) | (_, None) => mean,
            (_, Some(ns)) => Duration::from_nanos(ns as u64),
        };
        let next = workload.calls_a_turn(once).min(calls * 4);
        if once >= LONG || next <= calls {
            return Ok(Ok(((batch, calls), once)));
        }
        calls = next;
    }
}

impl Workload {
    /// Whether the contender is meant for it.
    pub(super) fn suits(self, contender: Contender) -> bool {
        match self {
            Workload::Exchange(_) | Workload::Lossy(_) => contender != Contender::UdpBatch,
            // A datagram is not long, and Fast Open saves nothing that counts.
            Workload::Bulk(_) => {
                !matches!(contender, Contender::Udp | Contender::UdpBatch | Contender::TcpFastOpen)
            }
            // Of what makes a connection for each request one is enough there.
            Workload::Pipeline(..) => {
                !matches!(contender, Contender::Udp | Contender::TcpFastOpen | Contender::QuicEach)
            }
        }
    }

    /// Where many are open, most of a turn is to be neither its beginning nor its end; where packets get
    /// lost, the first turn counts.
    fn calls_at_first(self) -> u32 {
        match self {
            Workload::Pipeline(_, open) => open,
            Workload::Lossy(_) => LOSSY_CALLS,
            _ => 1,
        }
    }

    /// As many as a turn has time for: a power of two, so that it is mostly the same in another run.
    fn calls_a_turn(self, once: Duration) -> u32 {
        let (least, turn, most) = match self {
            Workload::Pipeline(_, open) => (open * 4, PIPELINE_TURN, PIPELINE_CALLS_MAX),
            Workload::Lossy(_) => return LOSSY_CALLS,
            _ => (1, TURN, CALLS_MAX),
        };
        let fit = (turn.as_nanos() / once.as_nanos().max(1)).max(1) as u64;
        (1 << fit.min(most).ilog2()).max(least)
    }

    fn order(self, contender: Contender, calls: u32, unmeasured: u32) -> Order {
        match self {
            Workload::Exchange(message) | Workload::Lossy(message) | Workload::Bulk(message) => {
                Order::Exchange { contender, message, calls, unmeasured }
            }
            Workload::Pipeline(message, open) => {
                Order::Pipeline { contender, message, calls, open }
            }
        }
    }
}

impl Series {
    fn new(workload: Workload, contender: Contender, once: Duration) -> Series {
        Series {
            contender,
            took: Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are allowed"),
            passes: Vec::new(),
            calls: 0,
            all_ns: 0,
            counted: 0,
            cpu_ns: [0; 2],
            packets: 0,
            packets_each: Vec::new(),
            on_link: Vec::new(),
            calls_a_turn: workload.calls_a_turn(once),
            once,
        }
    }

    /// For each call: a packet more where the machine was kept busy counts for little.
    pub(super) fn packets_each(&self) -> f64 {
        let all = self.packets as f64 / self.counted.max(1) as f64;
        Median::of(self.packets_each.iter().copied()).map_or(all, |it| it.median)
    }

    fn unmeasured(&self) -> u32 {
        if self.once < LONG { UNMEASURED } else { 0 }
    }

    fn add(&mut self, (batch, calls): &Turn) {
        let (calls, pass) = (*calls, self.passes.len() - 1);
        self.passes[pass].push(match median(&batch.took_ns) {
            Some(median) => median,
            None => batch.all_ns as f64 / f64::from(calls),
        });
        for took in &batch.took_ns {
            self.took.saturating_record(*took);
        }
        self.calls += u64::from(calls);
        // The calls that were not timed sent as much as the others.
        let timed = batch.bytes_in as f64 * f64::from(calls) / f64::from(batch.counted.max(1));
        self.on_link[pass].push(timed / (batch.all_ns as f64 / 1e9));
        self.all_ns += batch.all_ns;
        self.counted += u64::from(batch.counted);
        self.packets += batch.packets;
        for (sum, ran) in self.cpu_ns.iter_mut().zip(batch.cpu_ns) {
            *sum += ran;
        }
    }
}

fn median(took_ns: &[u64]) -> Option<f64> {
    let mut sorted = took_ns.to_vec();
    sorted.sort_unstable();
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted[sorted.len() / 2]);
    Some((*low as f64 + high as f64) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_alike_in_all_runs() {
        // A power of two of small exchanges, one of long ones, and some times as many as are open.
        let exchange = Workload::Exchange(Kind::there_and_back(1));
        let calls =
            [10, 15, 500, 50_000].map(|us| exchange.calls_a_turn(Duration::from_micros(us)));
        assert_eq!(calls, [64, 64, 4, 1]);
        let pipeline = Workload::Pipeline(Kind::there_and_back(1), 10);
        let calls = [0, 1, 1000].map(|us| pipeline.calls_a_turn(Duration::from_micros(us)));
        assert_eq!(calls, [16_384, 8192, 40]);
    }

    #[test]
    fn packet_too_many_counts_for_little() {
        // Counted three times, of which once something was sent again; and not counted by itself.
        let exchange = Workload::Exchange(Kind::there_and_back(1));
        let mut series = Series::new(exchange, Contender::Unavez, TURN);
        (series.packets, series.counted) = (5, 2);
        assert_eq!(series.packets_each(), 2.5);
        series.packets_each = vec![2.0, 2.12, 2.0];
        assert_eq!(series.packets_each(), 2.0);
    }

    #[test]
    fn round_counts_by_its_median() {
        // Odd, even and none.
        assert_eq!(median(&[30, 10, 20]), Some(20.0));
        assert_eq!(median(&[10, 40, 20, 30]), Some(25.0));
        assert_eq!(median(&[]), None);
    }
}
