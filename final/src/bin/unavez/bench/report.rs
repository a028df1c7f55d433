//! What was measured, as files have it.
//!
//! Invariant: all times are in µs, and all that is of calls is per call.

use serde::{Deserialize, Serialize};

use super::claims::Claim;
use super::contender::Contender;
use super::floods::{self, Goodputs};
use super::losses::Loss;
use super::machine::Machine;
use super::network::Network;
use super::rounds::{Measured, Series, Workload};
use super::stats::{self, Median};

/// The form of these files: a reader refuses others.
pub(super) const FORMAT: u32 = 2;

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    /// [`FORMAT`].
    pub(super) unavez_bench: u32,
    pub(super) machine: Machine,
    /// The words of the command.
    pub(super) command: Vec<String>,
    /// The network is the bench's own, so that all packets are those of the contenders.
    pub(super) private_network: bool,
    /// What the paper found, and what holds of it here.
    pub(super) claims: Vec<Claim>,
    /// Where unavez takes longer than TCP.
    pub(super) losses: Vec<Loss>,
    pub(super) tables: Vec<Table>,
}

/// All contenders under the same conditions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) network: Network,
    /// Which processes share a core.
    pub(super) placement: String,
    /// Of the messages, in bytes.
    pub(super) len: usize,
    #[serde(flatten)]
    pub(super) rows: Rows,
    pub(super) absent: Vec<Absent>,
}

/// What was to be done, and how each did it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "workload", rename_all = "kebab-case")]
pub(super) enum Rows {
    /// There and back, one after the other.
    Exchange { rows: Vec<Row> },
    /// There and back, so many at a time.
    Pipeline { open: u32, rows: Vec<Row> },
    /// Long messages one way.
    Bulk { rows: Vec<Row> },
    /// Two flows at once.
    Share { rows: Vec<Shared> },
    /// Small calls alone and beside a long transfer.
    Beside { transfer: usize, rows: Vec<Beside> },
}

/// A contender.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) contender: Contender,
    pub(super) calls: u64,
    pub(super) rounds: usize,
    /// How often all processes were started anew for them.
    pub(super) passes: usize,
    pub(super) mean: f64,
    /// Of single exchanges; there are none when many are open at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exchanges: Option<Percentiles>,
    /// Of the passes: each counts by the median of its rounds, and a round by its median exchange or the
    /// time for each call.
    pub(super) typical: Median,
    /// How often as long as the floor, round by round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to_floor: Option<Median>,
    /// How often as long as TCP with a connection for each request, round by round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to_tcp: Option<Median>,
    /// How much less than that, round by round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) saved: Option<Median>,
    /// How often as long as TCP that keeps its connection, round by round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to_kept: Option<Median>,
    /// Of long messages one way: their bits in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) goodput: Option<Median>,
    /// Bits in a second that arrived at the server's host, with all headers of the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_link: Option<Median>,
    pub(super) packets: f64,
    pub(super) client_cpu: f64,
    pub(super) server_cpu: f64,
    /// By which two runs are compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) starts: Vec<Start>,
}

/// The ratios after one start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Start {
    /// The first one of all is 0.
    pub(super) number: usize,
    pub(super) to_tcp: Option<f64>,
    pub(super) to_kept: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
}

/// Two flows that share the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shared {
    pub(super) flows: [Contender; 2],
    /// What each had of what both had.
    pub(super) shares: [Median; 2],
    /// Jain's index: 1 if both had the same, 0.5 if one had all.
    pub(super) jain: Median,
    /// Bits of messages in a second that both had together.
    pub(super) goodput: Median,
}

/// Small calls of a contender.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Beside {
    pub(super) contender: Contender,
    pub(super) alone: Percentiles,
    /// While a long transfer by the same contender runs.
    pub(super) beside: Percentiles,
}

/// A contender that could not do it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Absent {
    pub(super) contender: Contender,
    pub(super) why: String,
}

impl Table {
    pub(super) fn of_rounds(
        network: Network,
        placement: &str,
        workload: Workload,
        measured: Measured,
    ) -> Table {
        let find = |contender| measured.series.iter().find(|it| it.contender == contender);
        let (message, floor) = match workload {
            Workload::Exchange(message) | Workload::Lossy(message) => {
                (message, Some(Contender::Udp))
            }
            Workload::Pipeline(message, _) => (message, Some(Contender::UdpBatch)),
            Workload::Bulk(message) => (message, None),
        };
        let beside = [floor.and_then(find), find(Contender::TcpEach), find(Contender::TcpOpen)];
        let series = measured.series.iter();
        let bits = matches!(workload, Workload::Bulk(_)).then_some((message.len * 8) as f64);
        let starts = &measured.starts;
        let rows = series.filter_map(|it| Row::new(it, bits, beside, starts)).collect();
        let rows = match workload {
            Workload::Exchange(_) | Workload::Lossy(_) => Rows::Exchange { rows },
            Workload::Pipeline(_, open) => Rows::Pipeline { open, rows },
            Workload::Bulk(_) => Rows::Bulk { rows },
        };
        Table::new(network, placement, message.len, rows, measured.absent)
    }

    pub(super) fn new(
        network: Network,
        placement: &str,
        len: usize,
        rows: Rows,
        absent: Vec<(Contender, String)>,
    ) -> Table {
        let absent = absent.into_iter().map(|(contender, why)| Absent { contender, why }).collect();
        Table { network, placement: placement.into(), len, rows, absent }
    }
}

fn micros(ns: f64) -> f64 {
    ns / 1e3
}

/// Both took their turns in the same rounds: these are compared, round by round. The median of each start.
fn pairs(own: &Series, other: &Series, by: fn(f64, f64) -> f64) -> Vec<Option<f64>> {
    let passes = own.passes.iter().zip(&other.passes).map(|(own, its)| {
        let all = own.iter().zip(its).map(|(own, its)| by(*own, *its));
        Median::of(all).map(|it| it.median)
    });
    passes.collect()
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        let rows = match &self.rows {
            Rows::Exchange { rows } | Rows::Pipeline { rows, .. } | Rows::Bulk { rows } => {
                rows.len()
            }
            Rows::Share { rows } => rows.len(),
            Rows::Beside { rows, .. } => rows.len(),
        };
        rows + self.absent.len() == 0
    }
}

impl Row {
    /// Beside the floor, TCP with a connection for each request and TCP that keeps it.
    fn new(
        series: &Series,
        bits: Option<f64>,
        beside: [Option<&Series>; 3],
        numbers: &[usize],
    ) -> Option<Row> {
        let per_call = |sum: u64| micros(sum as f64 / series.counted.max(1) as f64);
        let at = |quantile| micros(series.took.value_at_quantile(quantile) as f64);
        let [to_floor, to_tcp, to_kept] = beside
            .map(|other| other.map_or(Vec::new(), |it| pairs(series, it, |own, its| own / its)));
        let saved = beside[1].map(|tcp| pairs(series, tcp, |own, its| micros(its - own)));
        let of_all = |starts: &[Option<f64>]| Median::of(starts.iter().copied().flatten());
        let start = |(at, number): (usize, &usize)| {
            let [to_tcp, to_kept] = [&to_tcp, &to_kept].map(|it| it.get(at).copied().flatten());
            Start { number: *number, to_tcp, to_kept }
        };
        let exchanges = (!series.took.is_empty()).then(|| Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
        });
        Some(Row {
            contender: series.contender,
            calls: series.calls,
            rounds: series.passes.iter().map(Vec::len).sum(),
            passes: series.passes.len(),
            mean: micros(series.all_ns as f64 / series.calls.max(1) as f64),
            exchanges,
            typical: Median::of_medians(&series.passes, micros)?,
            to_floor: of_all(&to_floor),
            to_tcp: of_all(&to_tcp),
            saved: saved.and_then(|it| of_all(&it)),
            to_kept: of_all(&to_kept),
            goodput: bits
                .and_then(|bits| Median::of_medians(&series.passes, |ns| bits / (ns / 1e9))),
            on_link: bits.and_then(|_| Median::of_medians(&series.on_link, |bytes| bytes * 8.0)),
            packets: series.packets_each(),
            client_cpu: per_call(series.cpu_ns[0]),
            server_cpu: per_call(series.cpu_ns[1]),
            starts: numbers.iter().enumerate().map(start).collect(),
        })
    }

    /// Calls in a second, if one round is like the other.
    pub(super) fn rate(&self) -> f64 {
        1e6 / self.typical.median
    }
}

impl Shared {
    /// `None` of no rounds.
    pub(super) fn of(flows: [Contender; 2], rounds: &[Goodputs]) -> Option<Shared> {
        let of = |figure: fn(&Goodputs) -> f64| Median::of(rounds.iter().map(figure));
        Some(Shared {
            flows,
            shares: [of(|it| it[0] / (it[0] + it[1]))?, of(|it| it[1] / (it[0] + it[1]))?],
            jain: of(|it| floods::jain(it))?,
            goodput: of(|it| it[0] + it[1])?,
        })
    }
}

impl Beside {
    pub(super) fn of(contender: Contender, calls: floods::Calls) -> Option<Beside> {
        let floods::Calls { alone, beside } = calls;
        let percentiles = |mut took_ns: Vec<u64>| -> Option<Percentiles> {
            let mut at = |quantile| Some(stats::quantile(&mut took_ns, quantile)? as f64 / 1e3);
            Some(Percentiles { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)? })
        };
        Some(Beside { contender, alone: percentiles(alone)?, beside: percentiles(beside)? })
    }
}
