//! What was measured, as files have it.
//!
//! Invariant: all times are in µs, and all that is of calls is per call.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::contender::Contender;
use super::machine::Machine;
use super::rounds::{Measured, Series, Workload};
use super::stats::Median;

/// The form of these files: a reader refuses others.
pub(super) const FORMAT: u32 = 1;

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
    pub(super) tables: Vec<Table>,
}

/// All contenders under the same conditions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Table {
    /// Loopback, or which network.
    pub(super) network: String,
    /// Which processes share a core.
    pub(super) placement: String,
    pub(super) workload: Named,
    /// Of requests and replies, in bytes.
    pub(super) len: usize,
    /// How many calls are open at a time.
    pub(super) open: u32,
    pub(super) rows: Vec<Row>,
    pub(super) absent: Vec<Absent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Named {
    Exchange,
    Pipeline,
}

/// A contender.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) contender: Contender,
    pub(super) calls: u64,
    pub(super) mean: f64,
    /// Of single exchanges; there are none when many are open at a time.
    pub(super) exchanges: Option<Percentiles>,
    /// Of the rounds: each counts by its median exchange, or by the time for each call.
    pub(super) typical: Median,
    /// How often as long as the floor, round by round.
    pub(super) to_floor: Option<Median>,
    /// How often as long as TCP with a connection for each request, round by round.
    pub(super) to_tcp: Option<Median>,
    pub(super) packets: f64,
    pub(super) client_cpu: f64,
    pub(super) server_cpu: f64,
    /// Of each round, in the order in which they were measured.
    pub(super) rounds: Vec<f64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
}

/// A contender that could not do it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Absent {
    pub(super) contender: Contender,
    pub(super) why: String,
}

impl Table {
    pub(super) fn new(
        network: &str,
        placement: &str,
        workload: Workload,
        measured: Measured,
    ) -> Table {
        let (named, message, open, floor) = match workload {
            Workload::Exchange(message) => (Named::Exchange, message, 1, Contender::Udp),
            Workload::Pipeline(message, open) => {
                (Named::Pipeline, message, open, Contender::UdpBatch)
            }
        };
        let find = |contender| measured.series.iter().find(|it| it.contender == contender);
        let (floor, tcp) = (find(floor), find(Contender::TcpEach));
        let rows = measured.series.iter().filter_map(|it| Row::new(it, floor, tcp)).collect();
        let absent = measured.absent.into_iter();
        Table {
            network: network.into(),
            placement: placement.into(),
            workload: named,
            len: message.len,
            open,
            rows,
            absent: absent.map(|(contender, why)| Absent { contender, why }).collect(),
        }
    }
}

impl Row {
    fn new(series: &Series, floor: Option<&Series>, tcp: Option<&Series>) -> Option<Row> {
        let micros = |ns: f64| ns / 1e3;
        let per_call = |sum: u64| micros(sum as f64 / series.counted.max(1) as f64);
        let at = |quantile| micros(series.took.value_at_quantile(quantile) as f64);
        let to = |other: &Series| {
            Median::of(series.rounds.iter().zip(&other.rounds).map(|(own, its)| own / its))
        };
        let exchanges = (!series.took.is_empty()).then(|| Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
        });
        Some(Row {
            contender: series.contender,
            calls: series.calls,
            mean: micros(series.all_ns as f64 / series.calls.max(1) as f64),
            exchanges,
            typical: Median::of(series.rounds.iter().copied().map(micros))?,
            to_floor: floor.and_then(to),
            to_tcp: tcp.and_then(to),
            packets: series.packets as f64 / series.counted.max(1) as f64,
            client_cpu: per_call(series.cpu_ns[0]),
            server_cpu: per_call(series.cpu_ns[1]),
            rounds: series.rounds.iter().copied().map(micros).collect(),
        })
    }

    /// Calls in a second, if one round is like the other.
    pub(super) fn rate(&self) -> f64 {
        1e6 / self.typical.median
    }
}

impl Report {
    /// All tables as one, with a line that names the columns.
    pub(super) fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "date,version,cpu,cores,kernel,network,placement,workload,bytes,open,contender,calls,\
             typical_us,typical_low_us,typical_high_us,p50_us,p90_us,p99_us,mean_us,to_floor,\
             to_floor_low,to_floor_high,to_tcp_each,to_tcp_each_low,to_tcp_each_high,packets,\
             client_cpu_us,server_cpu_us,absent_because"
        )?;
        let Machine { cpu, cores, kernel, date, version, .. } = &self.machine;
        let machine = format!("{date},{version},{},{cores},{}", quoted(cpu), quoted(kernel));
        for table in &self.tables {
            let Table { network, placement, workload, len, open, rows, absent } = table;
            let workload = match workload {
                Named::Exchange => "exchange",
                Named::Pipeline => "pipeline",
            };
            let table = format!("{machine},{network},{placement},{workload},{len},{open}");
            for row in rows {
                let Row { calls, mean, packets, client_cpu, server_cpu, .. } = row;
                let [typical, to_floor, to_tcp] =
                    [Some(row.typical), row.to_floor, row.to_tcp].map(median_cells);
                let Percentiles { p50, p90, p99 } = row.exchanges.unwrap_or(Percentiles {
                    p50: f64::NAN,
                    p90: f64::NAN,
                    p99: f64::NAN,
                });
                let [p50, p90, p99] = [p50, p90, p99].map(cell);
                writeln!(
                    out,
                    "{table},{},{calls},{typical},{p50},{p90},{p99},{mean:.3},{to_floor},{to_tcp},\
                     {packets:.3},{client_cpu:.3},{server_cpu:.3},",
                    row.contender.slug()
                )?;
            }
            for Absent { contender, why } in absent {
                let empty = ",".repeat(18);
                writeln!(out, "{table},{}{empty}{}", contender.slug(), quoted(why))?;
            }
        }
        Ok(())
    }
}

/// A cell; what is not a number is empty.
fn cell(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { String::new() }
}

fn median_cells(median: Option<Median>) -> String {
    let Some(Median { median, low, high }) = median else { return ",,".into() };
    format!("{median:.3},{low:.3},{high:.3}")
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"").replace('\n', " ")),
        false => text.into(),
    }
}
