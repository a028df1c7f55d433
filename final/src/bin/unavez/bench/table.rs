//! What was measured, as people read it.

use std::fmt::Write;

use super::contender::Contender;
use super::report::{Absent, Named, Row, Table};
use super::stats::Median;

/// What all tables say of their columns, once.
pub(super) const LEGEND: &str = "\
Times in µs. Each round all contenders take turns. p50, p90, p99 and mean are of all exchanges; ×UDP
is how often as long as the plain echo a contender takes, the median of all rounds, and behind it
where the true one is in 95 of 100 cases; ×TCP the same beside TCP with a connection for each
request. Packets and CPU time (µs, with the kernel's part) are for each call; the daemons count for
their sides.
";

impl Table {
    /// A heading, a line for each contender, and one for each that could not.
    pub(super) fn text(&self) -> String {
        let Table { network, placement, .. } = self;
        let len = bytes(self.len);
        let mut text = match self.workload {
            Named::Exchange => {
                let head = format!("{network}, {placement}: {len} there and back\n");
                let columns = format!(
                    "  {:<18} {:>9} {:>9} {:>9} {:>9}  {:<17} {:<17}",
                    "", "p50", "p90", "p99", "mean", "×UDP", "×TCP"
                );
                head + &columns
            }
            Named::Pipeline => {
                let head = format!("{network}, {placement}: {len}, {} calls open\n", self.open);
                let columns = format!(
                    "  {:<18} {:>9} {:>9}  {:<17} {:<17}",
                    "", "calls/s", "µs each", "×UDP", "×TCP"
                );
                head + &columns
            }
        };
        let _ = writeln!(text, " {:>7} {:>8} {:>8}", "packets", "client", "server");
        for row in &self.rows {
            let _ = writeln!(text, "{}", self.line(row).trim_end());
        }
        for Absent { contender, why } in &self.absent {
            let _ = writeln!(text, "  {:<18} — {why}", contender.name());
        }
        text
    }

    fn line(&self, row: &Row) -> String {
        let name = row.contender.name();
        let mut line = format!("  {name:<18}");
        match row.exchanges {
            Some(it) => {
                for value in [it.p50, it.p90, it.p99, row.mean] {
                    let _ = write!(line, " {:>9}", digits(value));
                }
            }
            None => {
                let (rate, each) = (row.rate().round(), digits(row.typical.median));
                let _ = write!(line, " {rate:>9} {each:>9}");
            }
        }
        let (floor, tcp) = (ratio(row.to_floor), ratio(row.to_tcp));
        let (packets, client) = (row.packets, digits(row.client_cpu));
        let server = digits(row.server_cpu);
        let _ = write!(line, "  {floor:<17} {tcp:<17} {packets:>7.2} {client:>8} {server:>8}");
        line
    }
}

/// A ratio and its interval.
fn ratio(median: Option<Median>) -> String {
    let Some(Median { median, low, high }) = median else { return "—".into() };
    format!("{} ({}–{})", digits(median), digits(low), digits(high))
}

/// Three digits that count, or all before the point.
fn digits(value: f64) -> String {
    let places = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.places$}")
}

/// A number of bytes as `--sizes` takes it.
pub(super) fn bytes(len: usize) -> String {
    match len {
        1 => "1 byte".into(),
        _ if len >= 1 << 20 && len.is_multiple_of(1 << 19) => {
            format!("{} MiB", len as f64 / 1_048_576.0)
        }
        _ if len >= 1 << 10 && len.is_multiple_of(1 << 10) => format!("{} KiB", len >> 10),
        _ => format!("{len} bytes"),
    }
}

/// Why a reader should not trust the figures.
pub(super) fn warnings(optimized: bool, private: Option<&str>) -> String {
    let mut text = String::new();
    if !optimized {
        text += "Note: this is a debug build; figures of the release build are others.\n";
    }
    if let Some(why) = private {
        let _ = writeln!(
            text,
            "Note: the network is shared with others, so packets are not exact: {why}."
        );
    }
    text
}

/// What is wrong with the choice of contenders: one that all are compared with is always there.
pub(super) fn with_references(mut chosen: Vec<Contender>) -> Vec<Contender> {
    chosen.extend([Contender::Udp, Contender::UdpBatch, Contender::TcpEach]);
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count() {
        // Around each border.
        let shown = [0.5, 9.994, 9.996, 99.94, 99.96, 12_345.6].map(digits);
        assert_eq!(shown, ["0.50", "9.99", "10.0", "99.9", "100", "12346"]);
    }

    #[test]
    fn lengths_are_said_as_they_are_asked_for() {
        // Odd ones in bytes, even ones in larger units.
        let shown = [1, 64, 1024, 65_537, 1 << 20, 3_670_016].map(bytes);
        assert_eq!(shown, ["1 byte", "64 bytes", "1 KiB", "65537 bytes", "1 MiB", "3.5 MiB"]);
    }
}
