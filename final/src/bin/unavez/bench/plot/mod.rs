//! Figures of a result: the paper's 6 and 7 (§5) redrawn, and what an exchange costs in packets.

mod bars;
mod ink;
mod lines;

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::bars::Bars;
use self::lines::{Figure, Line};
use super::contender::Contender;
use super::network::{Network, NetworkKind};
use super::report::{FORMAT, Report, Row, Rows, Table};
use crate::Result;

/// Draws the figures of a result.
///
/// For each network: how long a request and its reply take against how long they are, to 64 bytes and
/// from there on, the median with a band up to the 99th of a hundred. The LAN of 10 Mb/s is the paper's
/// figure 6, the MAN its figure 7. And how many packets an exchange takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 done, 2 usage, or the result is none.

Examples:
  unavez bench plot result.json
  unavez bench plot result.json --out figures --filter udp,tcp,unavez")]
pub(super) struct Args {
    /// What `unavez bench --out` or `--json` has written
    result: PathBuf,
    /// Where the figures go, as SVG
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    out: PathBuf,
    /// Only contenders with one of these in their names
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = USUAL
    )]
    filter: Vec<String>,
}

/// The longest message of the first panel, and the shortest of the second.
const SMALL: usize = 64;
/// The LAN of the paper.
const PAPERS_RATE: u64 = 10_000_000;

pub(super) fn run(args: &Args) -> Result {
    let report = read(&args.result)?;
    let chosen = Contender::named(&args.filter)?;
    fs::create_dir_all(&args.out).map_err(|error| format!("{}: {error}", args.out.display()))?;
    let paths = draw(&report, &chosen, &args.out)?;
    if paths.is_empty() {
        return Err(format!("{}: there is nothing to draw", args.result.display()).into());
    }
    for path in paths {
        writeln!(stdout(), "{}", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The contenders that are drawn unless others are wanted.
pub(super) const USUAL: &str = "udp,tcp-each,tcp-open,quic-open,unavez,unavezd-shm";

/// Draws all there is into a directory; returns the files.
pub(super) fn draw(report: &Report, chosen: &[Contender], out: &Path) -> Result<Vec<PathBuf>> {
    let mut figures = exchanges(&report.tables, chosen);
    figures.extend(packets(&report.tables));
    let origin = report.machine.to_string();
    let mut paths = Vec::new();
    for (name, draw) in figures {
        let path = out.join(format!("{name}.svg"));
        fs::write(&path, draw.svg(&origin)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        paths.push(path);
    }
    Ok(paths)
}

pub(super) fn read(path: &Path) -> Result<Report> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|_| wrong(&"not a result of `unavez bench`"))?;
    match value["unavez_bench"].as_u64() {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            let why = format!("a result of format {format}; this version reads {FORMAT}");
            return Err(wrong(&why).into());
        }
        None => return Err(wrong(&"not a result of `unavez bench`").into()),
    }
    Ok(serde_json::from_value(value).map_err(|error| wrong(&error))?)
}

/// What is drawn.
enum Drawing {
    Lines(Figure),
    Bars(Bars),
}

impl Drawing {
    fn svg(&self, origin: &str) -> Result<String> {
        match self {
            Drawing::Lines(figure) => figure.svg(origin),
            Drawing::Bars(bars) => bars.svg(origin),
        }
    }
}

/// A figure for each network without loss, with the name of its file.
fn exchanges(tables: &[Table], chosen: &[Contender]) -> Vec<(String, Drawing)> {
    let mut figures: Vec<(String, Drawing)> = Vec::new();
    for table in tables.iter().filter(|it| it.network.loss == 0.0) {
        let name = file_name(table.network, &table.placement);
        if figures.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let alike = |it: &&Table| it.network == table.network && it.placement == table.placement;
        let lines = lines(&tables.iter().filter(alike).collect::<Vec<_>>(), chosen);
        if !lines.is_empty() {
            let title = title(table.network, &table.placement);
            figures.push((name, Drawing::Lines(Figure { title, lines, border: SMALL as f64 })));
        }
    }
    figures
}

/// A line for each contender that could do at least two sizes.
fn lines(tables: &[&Table], chosen: &[Contender]) -> Vec<Line> {
    let line = |contender: &Contender| {
        let mut points: Vec<_> = tables
            .iter()
            .filter_map(|table| {
                let row = exchange_rows(table).iter().find(|row| row.contender == *contender)?;
                let took = row.exchanges?;
                Some((table.len as f64, took.p50, took.p99))
            })
            .collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        (points.len() > 1).then_some(Line { contender: *contender, points })
    };
    chosen.iter().filter_map(line).collect()
}

fn exchange_rows(table: &Table) -> &[Row] {
    match &table.rows {
        Rows::Exchange { rows } => rows,
        _ => &[],
    }
}

/// Packets of a small exchange, where a wire counts them; else on loopback.
fn packets(tables: &[Table]) -> Option<(String, Drawing)> {
    let lossless = || tables.iter().filter(|it| it.network.loss == 0.0 && it.len <= SMALL);
    // The first of the longest: the paper's LAN, if it is there.
    let small = || lossless().filter(|it| !exchange_rows(it).is_empty()).rev();
    let table = small()
        .filter(|it| it.network.kind != NetworkKind::Loopback)
        .max_by_key(|it| it.len)
        .or_else(|| small().max_by_key(|it| it.len))?;
    let bars = exchange_rows(table).iter().map(|row| (row.contender, row.packets)).collect();
    let len = super::table::bytes(table.len);
    let title = format!("Packets for a request and its reply of {len}: {}", table.network);
    Some(("packets".into(), Drawing::Bars(Bars { title, bars })))
}

fn title(network: Network, placement: &str) -> String {
    match network {
        Network { kind: NetworkKind::Lan, rate: Some(PAPERS_RATE), .. } => {
            format!("The paper's figure 6, redrawn: {network}")
        }
        Network { kind: NetworkKind::Man, .. } => {
            format!("The paper's figure 7, redrawn: {network}")
        }
        _ => format!("Request and reply: {network}, {placement}"),
    }
}

fn file_name(network: Network, placement: &str) -> String {
    match network {
        Network { kind: NetworkKind::Lan, rate: Some(PAPERS_RATE), .. } => "figure6".into(),
        Network { kind: NetworkKind::Man, .. } => "figure7".into(),
        network => format!("{network} {placement}").to_lowercase().replace([' ', '/'], "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_what_they_show() {
        // The paper's two, and another.
        let name = |network| file_name(network, "a core each");
        assert_eq!(name(Network::lan(Some(PAPERS_RATE))), "figure6");
        assert_eq!(name(Network::man(&[])), "figure7");
        assert_eq!(name(Network::lan(Some(100_000_000))), "lan-of-100-mb-s-a-core-each");
    }
}
