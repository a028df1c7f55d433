//! What was measured, as people read it.

use std::fmt::Write;

use super::contender::Contender;
use super::plan;
use super::report::{Absent, Beside, Percentiles, Row, Rows, Shared, Table};
use super::stats::{self, Median};

/// What all tables say of their columns, once.
pub(super) fn legend(starts: usize) -> String {
    let slow = plan::slow_passes(starts);
    let text = format!(
        "Times in µs. Each round all contenders take turns. All processes are started anew; starts: {starts}, \
         where an exchange takes long: {slow}. p50, p90, p99 and mean are of all exchanges. ×UDP is how often as \
         long as the plain echo a contender takes, the median of the starts, and behind it an interval: the true \
         one is in it in {} of 100 cases, where an exchange takes long in {}. ×TCP is the same beside TCP with a \
         connection for each request. Packets and CPU time (µs, with the kernel's part) are for each call; the \
         daemons count for their sides.",
        percent(starts),
        percent(slow)
    );
    filled(&text)
}

fn percent(starts: usize) -> f64 {
    (stats::coverage(starts) * 100.0).floor()
}

/// In lines of at most a hundred characters.
fn filled(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), 0);
    for word in text.split(' ') {
        let len = word.chars().count();
        let ends = line + 1 + len > 100;
        lines += if line == 0 {
            ""
        } else if ends {
            "\n"
        } else {
            " "
        };
        line = if ends { len } else { line + 1 + len };
        lines += word;
    }
    lines + "\n"
}

/// What the network is like, if that is not as it should be; what the program is like.
pub(super) fn warnings(optimized: bool, shared_because: Option<&str>) -> String {
    let mut text = String::new();
    if !optimized {
        text += "Note: this is a debug build; figures of the release build are others.\n";
    }
    if let Some(why) = shared_because {
        let _ = writeln!(
            text,
            "Note: the network is shared with others, so packets are not exact: {why}."
        );
    }
    text
}

impl Table {
    /// A heading, a line for each contender, and one for each that could not.
    pub(super) fn text(&self) -> String {
        let columns = match &self.rows {
            Rows::Exchange { .. } => EXCHANGE,
            Rows::Pipeline { .. } => PIPELINE,
            Rows::Bulk { .. } => BULK,
            Rows::Share { .. } => SHARE,
            Rows::Beside { .. } => BESIDE,
        };
        let mut text = format!("{}\n{:<20}{columns}\n", self.heading(), "");
        for line in self.text_lines() {
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for Absent { contender, why } in &self.absent {
            let _ = writeln!(text, "  {:<18} — {why}", contender.name());
        }
        text
    }

    /// Where it was, and what was done.
    pub(super) fn heading(&self) -> String {
        let len = bytes(self.len);
        let what = match &self.rows {
            Rows::Exchange { .. } => format!("{len} there and back"),
            Rows::Pipeline { open, .. } => format!("{len}, {open} calls open"),
            Rows::Bulk { .. } => format!("{len} one way"),
            Rows::Share { .. } => format!("two flows at once, {len} one way"),
            Rows::Beside { transfer, .. } => {
                format!("{len} there and back, alone and beside {} one way", bytes(*transfer))
            }
        };
        format!("{}, {}: {what}", self.network, self.placement)
    }

    fn text_lines(&self) -> Vec<String> {
        let link = self.network.rate;
        match &self.rows {
            Rows::Exchange { rows } => rows.iter().map(exchange_line).collect(),
            Rows::Pipeline { rows, .. } => rows.iter().map(pipeline_line).collect(),
            Rows::Bulk { rows } => rows.iter().map(|row| bulk_line(row, link)).collect(),
            Rows::Share { rows } => rows.iter().map(|row| share_line(row, link)).collect(),
            Rows::Beside { rows, .. } => rows.iter().map(beside_line).collect(),
        }
    }
}

const EXCHANGE: &str = "      p50       p90       p99      mean  ×UDP              ×TCP              \
                        packets   client   server";
const PIPELINE: &str =
    "  calls/s   µs each  ×UDP              ×TCP              packets   client   server";
const BULK: &str =
    " p50 in ms     Mb/s  of the link         with headers  packets   client   server";
const SHARE: &str = "                     first             second             Jain's index       \
                     Mb/s  of the link";
const BESIDE: &str = "         alone p50       p99  beside p50       p99";

fn exchange_line(row: &Row) -> String {
    let mut line = name(row.contender);
    if let Some(Percentiles { p50, p90, p99 }) = row.exchanges {
        for value in [p50, p90, p99, row.mean] {
            let _ = write!(line, " {:>9}", digits(value));
        }
    }
    line + &ratios(row) + &costs(row)
}

fn pipeline_line(row: &Row) -> String {
    let (rate, each) = (row.rate().round(), digits(row.typical.median));
    format!("{} {rate:>9} {each:>9}{}{}", name(row.contender), ratios(row), costs(row))
}

fn bulk_line(row: &Row, link: Option<u64>) -> String {
    let ms = digits(row.exchanges.map_or(row.mean, |it| it.p50) / 1e3);
    let goodput = row.goodput.map_or("—".into(), |it| digits(it.median / 1e6));
    let [of_link, on_link] = [row.goodput, row.on_link]
        .map(|rate| rate.map_or("—".into(), |rate| of_link(rate, link)));
    let costs = costs(row);
    format!("{} {ms:>9} {goodput:>9}  {of_link:<18}  {on_link:<12}{costs}", name(row.contender))
}

fn share_line(row: &Shared, link: Option<u64>) -> String {
    let [first, second] = row.flows.map(Contender::name);
    let [one, other] = row.shares.map(|share| interval(scale(share, 100.0), " %"));
    let (jain, goodput) = (interval(row.jain, ""), digits(row.goodput.median / 1e6));
    let of_link = of_link(row.goodput, link);
    let flows = format!("{first} + {second}");
    format!("  {flows:<37} {one:<17} {other:<17}  {jain:<16} {goodput:>6}  {of_link}")
}

fn beside_line(row: &Beside) -> String {
    let [p50, p99, beside_p50, beside_p99] =
        [row.alone.p50, row.alone.p99, row.beside.p50, row.beside.p99].map(digits);
    format!("{} {p50:>17} {p99:>9} {beside_p50:>11} {beside_p99:>9}", name(row.contender))
}

fn name(contender: Contender) -> String {
    format!("  {:<18}", contender.name())
}

fn ratios(row: &Row) -> String {
    let [floor, tcp] =
        [row.to_floor, row.to_tcp].map(|ratio| ratio.map_or("—".into(), |it| interval(it, "")));
    format!("  {floor:<17} {tcp:<17}")
}

fn costs(row: &Row) -> String {
    let (client, server) = (digits(row.client_cpu), digits(row.server_cpu));
    format!(" {:>7} {client:>8} {server:>8}", digits(row.packets))
}

/// A median and its interval.
fn interval(Median { median, low, high }: Median, unit: &str) -> String {
    format!("{}{unit} ({}–{})", digits(median), digits(low), digits(high))
}

/// A rate as a share of the link's, if that has one.
fn of_link(rate: Median, link: Option<u64>) -> String {
    link.map_or("—".into(), |link| interval(scale(rate, 100.0 / link as f64), " %"))
}

fn scale(Median { median, low, high }: Median, by: f64) -> Median {
    Median { median: median * by, low: low * by, high: high * by }
}

/// Three digits that count, or all before the point.
pub(super) fn digits(value: f64) -> String {
    let places = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.places$}")
}

/// How many times as long: near to one a digit more tells which is longer.
pub(super) fn ratio(value: f64) -> String {
    if (0.9..1.1).contains(&value) { format!("{value:.3}") } else { digits(value) }
}

/// A time of so many µs.
pub(super) fn time(us: f64) -> String {
    match us.abs() {
        size if size >= 1e6 => format!("{} s", signed(us / 1e6)),
        size if size >= 1e3 => format!("{} ms", signed(us / 1e3)),
        _ => format!("{} µs", signed(us)),
    }
}

fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{}", digits(value.abs()))
}

/// A number of bytes.
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
    fn lengths_are_said_in_the_largest_unit_that_is_exact() {
        // Odd ones in bytes, even ones in larger units.
        let shown = [1, 64, 1024, 65_537, 1 << 20, 3_670_016].map(bytes);
        assert_eq!(shown, ["1 byte", "64 bytes", "1 KiB", "65537 bytes", "1 MiB", "3.5 MiB"]);
    }

    #[test]
    fn legend_says_what_was_done() {
        // As often as all is started, its interval is worth; a median of one has none.
        let six = legend(6).replace('\n', " ");
        assert!(six.contains("starts: 6, where an exchange takes long: 3."), "{six}");
        assert!(six.contains("in 96 of 100 cases, where an exchange takes long in 75."), "{six}");
        assert!(legend(1).replace('\n', " ").contains("in 0 of 100 cases"));
        assert!(legend(1).lines().all(|line| line.chars().count() <= 100), "{}", legend(1));
    }

    #[test]
    fn rates_are_shares_of_the_link() {
        // Nine and a half of ten megabits, and where there is no limit.
        let rate = Median { median: 9.5e6, low: 9e6, high: 1e7 };
        assert_eq!(of_link(rate, Some(10_000_000)), "95.0 % (90.0–100)");
        assert_eq!(of_link(rate, None), "—");
    }
}
