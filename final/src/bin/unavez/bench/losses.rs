//! Where this system takes longer than TCP, and why.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use unavez::protocol::BODY_MAX;

use super::contender::Contender;
use super::network::Network;
use super::report::{Row, Rows, Table};
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
    /// The sizes at which it surely takes longer.
    pub(super) sizes: Vec<usize>,
    /// How many times as long, where that is most.
    pub(super) worst: Median,
    pub(super) worst_at: usize,
    /// As people read it: the network, who beside whom, and the sizes.
    pub(super) words: [String; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cause {
    Daemons,
    LostPackets,
    LongHeader,
    Cutting,
    Process,
}

impl Cause {
    fn of(contender: Contender, network: Network, len: usize) -> Cause {
        let fits = len <= BODY_MAX;
        match (network.loss > 0.0, network.rate.is_some()) {
            _ if contender != Contender::Unavez && (fits || network.rate.is_none()) => {
                Cause::Daemons
            }
            (true, _) => Cause::LostPackets,
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
            Cause::Cutting => {
                "a process cuts and joins what no datagram holds; for TCP the kernel does so, and \
                 with larger pieces"
            }
            Cause::Process => "a process does what for TCP the kernel does",
        }
    }
}

/// All of them, those of one cause together.
pub(super) fn find(tables: &[Table]) -> Vec<Loss> {
    let mut losses: Vec<Loss> = Vec::new();
    for table in tables {
        let (workload, rows) = match &table.rows {
            Rows::Exchange { rows } => ("there and back", rows),
            Rows::Pipeline { rows, .. } => ("many calls open", rows),
            Rows::Bulk { rows } => ("one way", rows),
            Rows::Share { .. } | Rows::Beside { .. } => continue,
        };
        for (row, beside, ratio) in rows.iter().flat_map(lost) {
            let cause = Cause::of(row.contender, table.network, table.len);
            let alike = |it: &&mut Loss| {
                (it.network, &it.placement, &*it.workload)
                    == (table.network, &table.placement, workload)
                    && (it.contender, it.beside, it.cause) == (row.contender, beside, cause)
            };
            match losses.iter_mut().find(alike) {
                Some(loss) => loss.add(table.len, ratio),
                None => losses.push(Loss {
                    network: table.network,
                    placement: table.placement.clone(),
                    workload: workload.into(),
                    contender: row.contender,
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

/// Beside whom it surely takes longer.
fn lost(row: &Row) -> impl Iterator<Item = (&Row, Contender, Median)> {
    let both = [(Contender::TcpEach, row.to_tcp), (Contender::TcpOpen, row.to_kept)];
    let lost = move |(beside, ratio): (Contender, Option<Median>)| {
        let ratio = ratio.filter(|it| it.low > 1.0 && row.contender.is_unavez())?;
        Some((row, beside, ratio))
    };
    both.into_iter().filter_map(lost)
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
        ];
    }
}

/// A line for each, below its cause.
pub(super) fn text(losses: &[Loss]) -> String {
    let mut text = String::from(
        "Where unavez surely takes longer than TCP, how many times at most, and why.\n",
    );
    if losses.is_empty() {
        text += "  nowhere\n";
    }
    let mut cause = None;
    for Loss { words: [place, who, sizes], worst, worst_at, cause: own, .. } in losses {
        if cause != Some(own) {
            let _ = writeln!(text, "{}:", own.why());
            cause = Some(own);
        }
        let (times, at) = (ratio(worst.median), bytes(*worst_at));
        let _ = writeln!(text, "  {place}, {who}, {sizes}: {times} times at {at}");
    }
    text
}
