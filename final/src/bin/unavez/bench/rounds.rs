//! Rounds: all contenders take turns in small batches, so that whatever else the machine does hits them
//! alike.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;

use super::contender::Contender;
use super::orders::{Answer, Batch, Kind, Order};
use super::scene::Scene;
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

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Rounds at most, and at least, if the time is over before.
    pub(super) rounds: usize,
    pub(super) rounds_min: usize,
    /// How long all rounds may take.
    pub(super) time: Duration,
}

/// How long a turn is to take, if one call does not take longer.
const TURN: Duration = Duration::from_millis(2);
const PIPELINE_TURN: Duration = Duration::from_millis(15);
/// Calls of a turn.
const CALLS_MAX: u64 = 64;
/// Where packets get lost a percentile takes more of them.
const LOSSY_CALLS: u32 = 25;
const PIPELINE_CALLS_MAX: u64 = 16_384;
/// What takes longer counts as this long.
const LONGEST_NS: u64 = 600_000_000_000;
/// Exchanges before each turn that are not measured: after a pause the first ones are slower.
const UNMEASURED: u32 = 2;
/// Longer exchanges are measured from the first: their like takes too much time.
const LONG: Duration = Duration::from_millis(20);

/// All that was measured of one contender.
pub(super) struct Series {
    pub(super) contender: Contender,
    /// Of single exchanges, in ns.
    pub(super) took: Histogram<u64>,
    /// Of each round: the median exchange, or for many at a time the time for each, in ns.
    pub(super) rounds: Vec<f64>,
    pub(super) calls: u64,
    pub(super) all_ns: u64,
    /// How many calls what follows is of.
    pub(super) counted: u64,
    pub(super) cpu_ns: [u64; 2],
    pub(super) packets: u64,
    /// Of each round: the bytes that arrived at the server's host in a second, with all headers.
    pub(super) on_link: Vec<f64>,
    calls_a_turn: u32,
    once: Duration,
}

/// Those that could be measured, and why the others could not.
pub(super) struct Measured {
    pub(super) series: Vec<Series>,
    pub(super) absent: Vec<(Contender, String)>,
}

/// Measures one workload.
pub(super) fn measure(
    scene: &mut Scene,
    workload: Workload,
    contenders: &[Contender],
    limits: Limits,
    bar: &ProgressBar,
    stop: &Stop,
) -> Result<Measured> {
    let began = Instant::now();
    let mut measured = Measured { series: Vec::new(), absent: Vec::new() };
    let mut trials = Vec::new();
    for &contender in contenders.iter().filter(|it| workload.suits(**it)) {
        match Series::begin(scene, workload, contender, stop)? {
            Ok((series, trial)) => {
                measured.series.push(series);
                trials.push(trial);
            }
            Err(why) => measured.absent.push((contender, why)),
        }
    }
    // Where all take long, they have already had a turn each.
    let tried = measured.series.iter().all(|it| it.once >= LONG && it.calls_a_turn == 1);
    if tried {
        measured.series.iter_mut().zip(&trials).for_each(|(series, trial)| series.add(trial));
    }
    let round: Duration = measured.series.iter().map(|it| it.once * it.calls_a_turn).sum();
    let fit = limits.time.as_nanos() / round.as_nanos().max(1);
    let rounds = limits.rounds.min((fit as usize).max(limits.rounds_min));
    let rounds = rounds - usize::from(tried).min(rounds);
    let warm_up = if tried { 0 } else { (rounds / 10).min(10) };
    bar.inc_length((rounds + warm_up) as u64);
    for round in 0..warm_up + rounds {
        // It may take longer than it seemed at first.
        let measured_rounds = measured.series.first().map_or(0, |it| it.rounds.len());
        if measured_rounds >= limits.rounds_min && began.elapsed() > limits.time {
            bar.inc((warm_up + rounds - round) as u64);
            break;
        }
        let mut failed = Vec::new();
        for turn in 0..measured.series.len() {
            // Each is now before, now after each other.
            let at = (turn + round) % measured.series.len();
            let series = &mut measured.series[at];
            let order = workload.order(series.contender, series.calls_a_turn, series.unmeasured());
            match scene.order(&order, stop)? {
                Ok(batch) if round >= warm_up => series.add(&batch),
                Ok(_) => {}
                Err(why) => failed.push((series.contender, why)),
            }
        }
        measured.series.retain(|it| failed.iter().all(|(contender, _)| *contender != it.contender));
        measured.absent.append(&mut failed);
        bar.inc(1);
    }
    Ok(measured)
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
    /// Tries it, to see how long it takes: once, as the first time may be slower, and again.
    fn begin(
        scene: &mut Scene,
        workload: Workload,
        contender: Contender,
        stop: &Stop,
    ) -> Result<std::result::Result<(Series, Batch), String>> {
        // Where many are open, most of a turn is to be neither its beginning nor its end.
        let (first, least, turn, most) = match workload {
            Workload::Pipeline(_, open) => (open, open * 4, PIPELINE_TURN, PIPELINE_CALLS_MAX),
            Workload::Lossy(_) => (1, LOSSY_CALLS, TURN, LOSSY_CALLS.into()),
            _ => (1, 1, TURN, CALLS_MAX),
        };
        let mut once = Duration::ZERO;
        let mut last = None;
        for calls in [first, first * 3] {
            if once < LONG {
                let answer: Answer = scene.order(&workload.order(contender, calls, 0), stop)?;
                match answer {
                    Ok(batch) => {
                        once = Duration::from_nanos(batch.all_ns) / calls;
                        last = Some(batch);
                    }
                    Err(why) => return Ok(Err(why)),
                }
            }
        }
        let trial = last.expect("it was tried once at least");
        let fit = (turn.as_nanos() / once.as_nanos().max(1)) as u64;
        let calls_a_turn = fit.clamp(least.into(), most.max(least.into())) as u32;
        let series = Series {
            contender,
            took: Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are allowed"),
            rounds: Vec::new(),
            calls: 0,
            all_ns: 0,
            counted: 0,
            cpu_ns: [0; 2],
            packets: 0,
            on_link: Vec::new(),
            calls_a_turn,
            once,
        };
        Ok(Ok((series, trial)))
    }

    fn unmeasured(&self) -> u32 {
        if self.once < LONG { UNMEASURED } else { 0 }
    }

    fn add(&mut self, batch: &Batch) {
        let calls = self.calls_a_turn;
        self.rounds.push(match median(&batch.took_ns) {
            Some(median) => median,
            None => batch.all_ns as f64 / f64::from(calls),
        });
        for took in &batch.took_ns {
            self.took.saturating_record(*took);
        }
        self.calls += u64::from(calls);
        // The calls that were not timed sent as much as the others.
        let timed = batch.bytes_in as f64 * f64::from(calls) / f64::from(batch.counted.max(1));
        self.on_link.push(timed / (batch.all_ns as f64 / 1e9));
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
    fn round_counts_by_its_median() {
        // Odd, even and none.
        assert_eq!(median(&[30, 10, 20]), Some(20.0));
        assert_eq!(median(&[10, 40, 20, 30]), Some(25.0));
        assert_eq!(median(&[]), None);
    }
}
