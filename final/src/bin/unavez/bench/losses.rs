//! Where this system takes longer than TCP, and why.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use unavez::protocol::BODY_MAX;

use super::contender::Contender;
use super::network::Network;
use super::report::{Beside, Row, Rows, Table};
use super::stats::Median;
use super::table::{bytes, ratio};

/// One shape of it beside one kind of TCP, at some sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Loss {
    pub(super) network: Network,
    pub(super) placement: String,
    pub(super) workload: String,
    pub(super) contender: Contender,
    pub(super) beside: Contender,
    pub(super) cause: Cause,
    /// The sizes at which it takes longer, by all of the interval.
    pub(super) sizes: Vec<usize>,
    /// How many times as long, where that is most.
    pub(super) worst: Median,
    pub(super) worst_at: usize,
    /// As people read it: the network, who beside whom, the sizes, and why.
    pub(super) words: [String; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cause {
    Daemons,
    LostPackets,
    LongHeader,
    SlowStart,
    Cutting,
    Queue,
    Process,
}

/// What a message may have that is sent before anything is known of the path, in bytes (RFC 6928).
const FIRST_WINDOW: usize = 10 * 1460;
/// How many times as long a message may take for its headers.
const HEADERS_MAX: f64 = 1.03;

impl Cause {
    fn of(contender: Contender, network: Network, len: usize, times: f64) -> Cause {
        let fits = len <= BODY_MAX;
        // Headers are not that long.
        let searches = len > FIRST_WINDOW && times > HEADERS_MAX;
        match (network.loss > 0.0, network.rate.is_some()) {
            _ if contender != Contender::Unavez && (fits || network.rate.is_none()) => {
                Cause::Daemons
            }
            (true, _) => Cause::LostPackets,
            (_, true) if searches => Cause::SlowStart,
            (_, true) => Cause::LongHeader,
            (_, false) if !fits => Cause::Cutting,
            (_, false) => Cause::Process,
        }
    }

    pub(super) fn why(self) -> &'static str {
        match self {
            Cause::Daemons => {
                "each message passes a daemon on either host, from process to process and back"
            }
            Cause::LostPackets => {
                "it learns of a lost packet later, or slows down more because of it"
            }
            Cause::LongHeader => {
                "its packets have longer headers than those of an open connection, and need their \
                 time on a slow link"
            }
            Cause::SlowStart => {
                "it finds the rate of a path by slow start (RFC 9002, RFC 9406), which may end a little \
                 too early or too late; for TCP the kernel measures the rate where it uses BBR"
            }
            Cause::Cutting => {
                "a process cuts and joins what no datagram holds; for TCP the kernel does so, and \
                 with larger pieces"
            }
            Cause::Queue => {
                "its long transfer fills the queue of the link, in which its small calls then wait; how \
                 long TCP's queue gets depends on how the kernel finds TCP's rate"
            }
            Cause::Process => "a process does what for TCP the kernel does",
        }
    }
}

/// All of them, those of one cause together.
pub(super) fn find(tables: &[Table]) -> Vec<Loss> {
    let mut losses: Vec<Loss> = Vec::new();
    for table in tables {
        let (workload, lost): (_, Vec<Lost>) = match &table.rows {
            Rows::Exchange { rows } => ("there and back", rows.iter().flat_map(lost).collect()),
            Rows::Pipeline { rows, .. } => {
                ("many calls open", rows.iter().flat_map(lost).collect())
            }
            Rows::Bulk { rows } => ("one way", rows.iter().flat_map(lost).collect()),
            Rows::Beside { rows, .. } => ("beside a long transfer", lost_beside(rows)),
            Rows::Share { .. } => continue,
        };
        for (contender, beside, ratio) in lost {
            let cause = match &table.rows {
                Rows::Beside { .. } => Cause::Queue,
                _ => Cause::of(contender, table.network, table.len, ratio.median),
            };
            let alike = |it: &&mut Loss| {
                (it.network, &it.placement, &*it.workload)
                    == (table.network, &table.placement, workload)
                    && (it.contender, it.beside, it.cause) == (contender, beside, cause)
            };
            match losses.iter_mut().find(alike) {
                Some(loss) => loss.add(table.len, ratio),
                None => losses.push(Loss {
                    network: table.network,
                    placement: table.placement.clone(),
                    workload: workload.into(),
                    contender,
                    beside,
                    cause,
                    sizes: vec![table.len],
                    worst: ratio,
                    worst_at: table.len,
                    words: Default::default(),
                }),
            }
        }
    }
    losses.iter_mut().for_each(Loss::say);
    losses.sort_by_key(|it| it.cause);
    losses
}

/// Who, beside whom, and how many times as long.
type Lost = (Contender, Contender, Median);

/// Beside whom it takes longer, by all of the interval.
fn lost(row: &Row) -> impl Iterator<Item = Lost> {
    let both = [(Contender::TcpEach, row.to_tcp), (Contender::TcpOpen, row.to_kept)];
    let lost = move |(beside, ratio): (Contender, Option<Median>)| {
        let ratio = ratio.filter(|it| it.low > 1.0 && row.contender.is_unavez())?;
        Some((row.contender, beside, ratio))
    };
    both.into_iter().filter_map(lost)
}

/// Small calls have no starts there, and so no interval: what is less than twice as long does not count.
fn lost_beside(rows: &[Beside]) -> Vec<Lost> {
    let Some(tcp) = rows.iter().find(|it| it.contender == Contender::TcpOpen) else {
        return Vec::new();
    };
    let own = rows.iter().filter(|it| it.contender.is_unavez());
    let ratios = own.map(|it| (it.contender, it.beside.p50 / tcp.beside.p50));
    ratios
        .filter(|(_, ratio)| *ratio > 2.0)
        .map(|(it, ratio)| (it, tcp.contender, Median { median: ratio, low: ratio, high: ratio }))
        .collect()
}

impl Loss {
    fn add(&mut self, len: usize, ratio: Median) {
        self.sizes.push(len);
        if ratio.median > self.worst.median {
            (self.worst, self.worst_at) = (ratio, len);
        }
    }

    fn say(&mut self) {
        self.sizes.sort_unstable();
        let sizes: Vec<String> = self.sizes.iter().map(|len| bytes(*len)).collect();
        self.words = [
            format!("{}, {}", self.network, self.placement),
            format!("{} beside {}", self.contender.name(), self.beside.name()),
            format!("{}: {}", self.workload, sizes.join(", ")),
            self.cause.why().into(),
        ];
    }
}

/// A line for each, below its cause.
pub(super) fn text(losses: &[Loss]) -> String {
    let mut text = String::from(
        "Where unavez takes longer than TCP by all of the interval, how many times at most, and why.\n",
    );
    if losses.is_empty() {
        text += "  nowhere\n";
    }
    let mut cause = None;
    for Loss { words: [place, who, sizes, why], worst, worst_at, cause: own, .. } in losses {
        if cause != Some(own) {
            let _ = writeln!(text, "{why}:");
            cause = Some(own);
        }
        let (times, at) = (ratio(worst.median), bytes(*worst_at));
        let _ = writeln!(text, "  {place}, {who}, {sizes}: {times} times at {at}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Percentiles;

    #[test]
    fn losses_have_a_cause() {
        // Small and long, on a wire and on none, with and without a daemon, and where packets get lost.
        let (lan, fast) = (Network::lan(Some(10_000_000)), Network::lan(None));
        let of = |contender, network, len| Cause::of(contender, network, len, 1.01);
        assert_eq!(of(Contender::UnavezdShm, lan, 64), Cause::Daemons);
        assert_eq!(of(Contender::UnavezdShm, lan, 1 << 20), Cause::LongHeader);
        assert_eq!(of(Contender::Unavez, lan, 64), Cause::LongHeader);
        assert_eq!(Cause::of(Contender::Unavez, lan, 1 << 19, 1.1), Cause::SlowStart);
        assert_eq!(Cause::of(Contender::Unavez, lan, 1 << 10, 1.1), Cause::LongHeader);
        assert_eq!(of(Contender::Unavez, lan.with_loss(0.01), 64), Cause::LostPackets);
        assert_eq!(of(Contender::Unavez, fast, 1 << 20), Cause::Cutting);
        assert_eq!(of(Contender::Unavez, fast, 64), Cause::Process);
    }

    #[test]
    fn small_calls_may_wait_for_long_ones() {
        // TCP's wait 10 ms, and those of unavez 44.
        let row = |contender, p50| {
            let took = Percentiles { p50, p90: p50, p99: p50 };
            Beside { contender, alone: took, beside: took }
        };
        let rows = vec![row(Contender::TcpOpen, 10e3), row(Contender::Unavez, 44e3)];
        let rows = Rows::Beside { transfer: 1 << 20, rows };
        let table = Table::new(Network::lan(Some(10_000_000)), "", 64, rows, Vec::new());
        let losses = find(&[table]);
        assert_eq!((losses.len(), losses[0].cause, losses[0].worst.median), (1, Cause::Queue, 4.4));
        assert!(text(&losses).contains(
            "unavez beside TCP, kept open, beside a long transfer: 64 bytes: 4.40 times"
        ));
        assert!(text(&[]).contains("nowhere"));
    }
}
