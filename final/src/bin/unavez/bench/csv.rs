//! The figures of a report as one table: a line for each, so that new ones add no columns.

use std::io::{self, Write};

use super::contender::Contender;
use super::machine::Machine;
use super::network::NetworkKind;
use super::report::{Absent, Beside, Report, Row, Rows, Shared, Table};
use super::stats::Median;

/// What is in a line, in this order.
const COLUMNS: &str = "date,version,cpu,cores,kernel,network,rate,delay_us,loss,placement,workload,bytes,\
                       contender,with,figure,value,low,high,absent_because";

/// The contender, with which other one, and a figure of it.
type Line = (Contender, Option<Contender>, &'static str, Median);

pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{COLUMNS}")?;
    let Machine { cpu, cores, kernel, date, version, .. } = &report.machine;
    let machine = format!("{date},{version},{},{cores},{}", quoted(cpu), quoted(kernel));
    for table in &report.tables {
        let before = format!("{machine},{}", table.cells());
        for (contender, with, figure, Median { median, low, high }) in table.lines() {
            let (contender, with) = (contender.slug(), with.map_or("", Contender::slug));
            let values = [median, low, high].map(cell).join(",");
            writeln!(out, "{before},{contender},{with},{figure},{values},")?;
        }
        for Absent { contender, why } in &table.absent {
            writeln!(out, "{before},{},,,,,,{}", contender.slug(), quoted(why))?;
        }
    }
    Ok(())
}

impl Table {
    fn cells(&self) -> String {
        let network = match self.network.kind {
            NetworkKind::Loopback => "loopback",
            NetworkKind::Lan => "lan",
            NetworkKind::Man => "man",
        };
        let rate = self.network.rate.map_or(String::new(), |rate| rate.to_string());
        let delay = self.network.delay.map_or(String::new(), cell);
        let workload = match &self.rows {
            Rows::Exchange { .. } => "exchange".into(),
            Rows::Pipeline { open, .. } => format!("pipeline of {open}"),
            Rows::Bulk { .. } => "bulk".into(),
            Rows::Share { .. } => "share".into(),
            Rows::Beside { .. } => "beside".into(),
        };
        let (loss, placement, len) = (self.network.loss, &self.placement, self.len);
        format!("{network},{rate},{delay},{loss},{placement},{workload},{len}")
    }

    fn lines(&self) -> Vec<Line> {
        match &self.rows {
            Rows::Exchange { rows } | Rows::Pipeline { rows, .. } | Rows::Bulk { rows } => {
                rows.iter().flat_map(Row::lines).collect()
            }
            Rows::Share { rows } => rows.iter().flat_map(Shared::lines).collect(),
            Rows::Beside { rows, .. } => rows.iter().flat_map(Beside::lines).collect(),
        }
    }
}

/// A figure without an interval.
fn just(value: f64) -> Median {
    Median { median: value, low: f64::NAN, high: f64::NAN }
}

impl Row {
    fn lines(&self) -> Vec<Line> {
        let one = |figure, value| (self.contender, None, figure, value);
        let mut lines = vec![
            one("calls", just(self.calls as f64)),
            one("rounds", just(self.rounds as f64)),
            one("passes", just(self.passes as f64)),
            one("typical_us", self.typical),
            one("mean_us", just(self.mean)),
            one("packets", just(self.packets)),
            one("client_cpu_us", just(self.client_cpu)),
            one("server_cpu_us", just(self.server_cpu)),
        ];
        if let Some(it) = self.exchanges {
            let named = [("p50_us", it.p50), ("p90_us", it.p90), ("p99_us", it.p99)];
            lines.extend(named.map(|(figure, value)| one(figure, just(value))));
        }
        lines.extend(self.goodput.map(|rate| one("goodput_bits_per_s", rate)));
        lines.extend(self.on_link.map(|rate| one("on_link_bits_per_s", rate)));
        lines.extend(self.to_floor.map(|ratio| one("to_floor", ratio)));
        lines.extend(self.to_tcp.map(|ratio| one("to_tcp_each", ratio)));
        lines.extend(self.saved.map(|saved| one("saved_beside_tcp_each_us", saved)));
        lines.extend(self.to_kept.map(|ratio| one("to_tcp_open", ratio)));
        lines
    }
}

impl Shared {
    fn lines(&self) -> [Line; 4] {
        let [first, second] = self.flows;
        [
            (first, Some(second), "share", self.shares[0]),
            (first, Some(second), "share_of_other", self.shares[1]),
            (first, Some(second), "jain", self.jain),
            (first, Some(second), "goodput_bits_per_s", self.goodput),
        ]
    }
}

impl Beside {
    fn lines(&self) -> [Line; 4] {
        let Beside { contender, alone, beside } = *self;
        [
            ("alone_p50_us", alone.p50),
            ("alone_p99_us", alone.p99),
            ("beside_p50_us", beside.p50),
            ("beside_p99_us", beside.p99),
        ]
        .map(|(figure, value)| (contender, None, figure, just(value)))
    }
}

/// A cell; what is not a number is empty.
fn cell(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { String::new() }
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"").replace('\n', " ")),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_what_would_end_them() {
        // A comma, a quotation mark, a new line, and what is no number.
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"so\"\nnow"), "\"say \"\"so\"\" now\"");
        assert_eq!(
            (quoted("plain"), cell(1.5), cell(f64::NAN)),
            ("plain".into(), "1.500".into(), String::new())
        );
    }
}
