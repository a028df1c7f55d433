//! What the chapter shows of the kept file.
//!
//! Invariant: no figure on the page and no order between two of them is written by hand.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::cores::CORES;
use super::text::{Cost, Median, Price, UNFIT};
use super::ways::WAYS;
use super::{PLACEMENTS, Way};
use crate::figure::{escape, figure};

type Markdown = Result<String, String>;

/// The kept file. To measure it anew: `cargo run --release -p book -- price > the file`.
pub fn price_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("chapters/tables/price.txt")
}

fn kept() -> Result<Price, String> {
    let text = fs::read_to_string(price_file()).map_err(|error| error.to_string())?;
    let price: Price = text.parse()?;
    match UNFIT.iter().find(|unfit| price.machine.contains(*unfit)) {
        Some(unfit) => Err(format!("tables/price.txt is of a run that was {unfit}")),
        None => Ok(price),
    }
}

impl Price {
    fn cost(&self, placement: &str, way: &str) -> Result<&Cost, String> {
        let mut costs = self.costs.iter();
        let found = costs.find(|cost| cost.placement == placement && cost.way == way);
        found.ok_or(format!("nothing is kept of `{placement}:{way}`"))
    }

    /// `one-core:udp` is what it takes, `one-core:+step1` what it adds.
    fn term(&self, term: &str) -> Result<Median, String> {
        let (placement, way) = term.split_once(':').unwrap_or_default();
        match way.strip_prefix('+') {
            None => Ok(self.cost(placement, way)?.took),
            Some(way) => self.cost(placement, way)?.adds.ok_or(format!("`{way}` adds to nothing")),
        }
    }
}

/// `{{#price one-core:udp}}`: what it takes; `{{#price one-core:+step2}}`: what it adds.
pub(crate) fn micros(words: &[&str]) -> Markdown {
    let [term] = words else { return Err("one price is wanted".into()) };
    let micros = kept()?.term(term)?.median;
    Ok(if micros < 1.0 { format!("{:.0} ns", micros * 1000.0) } else { format!("{micros:.1} µs") })
}

/// `{{#price-times one-core:step6 one-core:udp}}`: how many times as much the first takes.
pub(crate) fn times(words: &[&str]) -> Markdown {
    let [much, little] = words else { return Err("two prices are wanted".into()) };
    let price = kept()?;
    Ok(format!("{:.1}", price.term(much)?.median / price.term(little)?.median))
}

/// `{{#price-claim one-core:+threads > 4 alone:step5}}` stands before a sentence that says so, shows
/// nothing, and is a fault if it does not hold. Either side may be a multiple.
pub(crate) fn claim(words: &[&str]) -> Markdown {
    check_claim(&kept()?, words).map(|()| String::new())
}

/// It holds if the intervals lie apart.
fn check_claim(price: &Price, words: &[&str]) -> Result<(), String> {
    let wrong = "a price, `>` and a price are wanted";
    let middle = words.iter().position(|word| *word == ">").ok_or(wrong)?;
    let side = |words: &[&str]| {
        let (factor, term) = match words {
            [term] => (1.0, term),
            [factor, term] => (factor.parse::<f64>().map_err(|_| wrong)?, term),
            _ => return Err(wrong.to_owned()),
        };
        let Median { low, high, .. } = price.term(term)?;
        Ok((low * factor, high * factor))
    };
    let ((low, _), (_, high)) = (side(&words[..middle])?, side(&words[middle + 1..])?);
    if low > high {
        return Ok(());
    }
    Err(format!("it does not hold: at least {low:.3} µs is not above at most {high:.3} µs"))
}

/// `{{#price-table udp step1}}`: these ways, at both placements.
pub(crate) fn ways_table(words: &[&str]) -> Markdown {
    let (price, ways) = (kept()?, named(&WAYS, words)?);
    let adds = ways.iter().any(|way| way.over.is_some());
    let (mut head, mut second) = ("<tr><th rowspan=\"2\"></th>".to_owned(), "<tr>".to_owned());
    for (placement, _) in PLACEMENTS {
        let columns = if adds { 3 } else { 2 };
        let _ = write!(head, "<th colspan=\"{columns}\">{}, µs</th>", spaced(placement));
        second.push_str("<th>median</th><th>95 %</th>");
        second.push_str(if adds { "<th>adds</th>" } else { "" });
    }
    head.push_str(if adds { "<th rowspan=\"2\">to</th>" } else { "" });
    let mut rows = String::new();
    for way in ways {
        let _ = write!(rows, "<tr><th scope=\"row\" class=\"name\">{}</th>", label(way));
        for (placement, _) in PLACEMENTS {
            let cost = price.cost(placement, way.name)?;
            numbers(&mut rows, cost.took, 1.0);
            if adds {
                let added = cost.adds.map_or(String::new(), |adds| format!("{:+.1}", adds.median));
                let _ = write!(rows, "<td class=\"name number\">{added}</td>");
            }
        }
        if adds {
            let over = WAYS.iter().find(|it| Some(it.name) == way.over);
            let _ = write!(rows, "<td class=\"name\">{}</td>", over.map_or(String::new(), label));
        }
        rows.push_str("</tr>\n");
    }
    Ok(table(&price, &format!("{head}</tr>\n{second}</tr>"), &rows))
}

/// `{{#price-cores}}`: a call through each core, in ns.
pub(crate) fn cores_table() -> Markdown {
    let price = kept()?;
    let head =
        "<tr><th></th><th>a call, ns</th><th>95 %</th><th>adds</th><th>of it the wire</th></tr>";
    let mut rows = String::new();
    for way in CORES.iter().filter(|way| !way.label.is_empty()) {
        let cost = price.cost("alone", way.name)?;
        let wire = price.cost("alone", &format!("{}-wire", way.name))?.took.median * 1000.0;
        let adds = cost.adds.map_or(String::new(), |adds| format!("{:+.0}", adds.median * 1000.0));
        let _ = write!(rows, "<tr><th scope=\"row\" class=\"name\">{}</th>", label(way));
        numbers(&mut rows, cost.took, 1000.0);
        let _ = writeln!(
            rows,
            "<td class=\"number\">{adds}</td><td class=\"number\">{wire:.0}</td></tr>"
        );
    }
    Ok(table(&price, head, &rows))
}

/// A median and its interval, in this fraction of a microsecond.
fn numbers(row: &mut String, took: Median, fraction: f64) {
    let [median, low, high] = [took.median, took.low, took.high].map(|it| it * fraction);
    // As many digits as say something.
    let digits = match median {
        ..0.1 => 3,
        ..10.0 => 2,
        ..1000.0 => 1,
        _ => 0,
    };
    let _ = write!(
        row,
        "<td class=\"name number\">{median:.digits$}</td>\
         <td class=\"name number\">{low:.digits$}–{high:.digits$}</td>"
    );
}

fn table(price: &Price, head: &str, rows: &str) -> String {
    let html = format!("<table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>");
    let caption = format!("Medians of interleaved rounds; {}.", escape(&price.machine));
    figure("verdicts", &caption, &html)
}

const ROW: f64 = 40.0;
const BAR: f64 = 13.0;
const LEFT: f64 = 200.0;
const WIDTH: f64 = 440.0;
const RIGHT: f64 = 70.0;
/// How dark the bars of each placement are.
const INK: [f64; 2] = [0.85, 0.4];

/// `{{#price-bars udp step1}}`: a bar for each of these ways at each placement.
pub(crate) fn bars_figure(words: &[&str]) -> Markdown {
    let (price, ways) = (kept()?, named(&WAYS, words)?);
    let mut bars = Vec::new();
    for (row, way) in ways.iter().enumerate() {
        for (at, (placement, _)) in PLACEMENTS.into_iter().enumerate() {
            bars.push((row, at, price.cost(placement, way.name)?.took.median));
        }
    }
    let most = bars.iter().fold(0.0_f64, |most, bar| most.max(bar.2));
    let (width, height) = (LEFT + WIDTH + RIGHT, ROW * (ways.len() + 1) as f64);
    let mut svg = format!(
        "<svg role=\"img\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\" \
         fill=\"currentColor\">\n<title>What an exchange takes</title>\n"
    );
    for (row, way) in ways.iter().enumerate() {
        let y = ROW * row as f64 + BAR + 5.0;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            escape(&way.label.replace(['*', '`'], ""))
        );
    }
    for (row, at, micros) in bars {
        let y = ROW * row as f64 + BAR * at as f64 + 1.0;
        bar(&mut svg, y, at, WIDTH * micros / most, &format!("{micros:.1} µs"));
    }
    for (at, (placement, _)) in PLACEMENTS.into_iter().enumerate() {
        let y = ROW * ways.len() as f64 + BAR * at as f64 + 1.0;
        bar(&mut svg, y, at, BAR * 2.0, spaced(placement));
    }
    svg.push_str("</svg>\n");
    let caption = format!("64 bytes there and back; {}.", escape(&price.machine));
    Ok(figure("diagram", &caption, &svg))
}

fn bar(svg: &mut String, y: f64, at: usize, width: f64, says: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{}\" fill-opacity=\"{}\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\">{says}</text>",
        BAR - 1.0,
        INK[at],
        LEFT + width + 5.0,
        y + BAR - 3.0
    );
}

fn named<'a>(ways: &'a [Way], names: &[&str]) -> Result<Vec<&'a Way>, String> {
    let find = |name: &&str| {
        let found = ways.iter().find(|way| way.name == *name);
        found.ok_or(format!("`{name}` is no way"))
    };
    names.iter().map(find).collect()
}

fn spaced(placement: &str) -> &'static str {
    if placement == "one-core" { "one core" } else { "a core each" }
}

/// The little Markdown of a label as HTML.
fn label(way: &Way) -> String {
    let emphasized = way.label.replacen('*', "<em>", 1).replacen('*', "</em>", 1);
    emphasized.replacen('`', "<code>", 1).replacen('`', "</code>", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> Price {
        let cost = |way: &str, low, high, adds| Cost {
            placement: "one-core".into(),
            way: way.into(),
            took: Median { median: (low + high) / 2.0, low, high },
            adds,
        };
        let adds = Some(Median { median: 1.0, low: 0.5, high: 1.5 });
        let costs = vec![
            cost("udp", 6.0, 7.0, None),
            cost("step1", 6.9, 8.0, adds),
            cost("tcp", 14.1, 15.0, None),
        ];
        Price { machine: "a machine".into(), costs }
    }

    fn check(claim: &str) -> Result<(), String> {
        check_claim(&price(), &claim.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn claims_hold_only_where_intervals_lie_apart() {
        // Apart, overlapping, the wrong way round, a multiple of either side, what is added.
        for (claim, holds) in [
            ("one-core:tcp > one-core:udp", true),
            ("one-core:step1 > one-core:udp", false),
            ("one-core:udp > one-core:tcp", false),
            ("one-core:tcp > 2 one-core:udp", true),
            ("one-core:tcp > 2.1 one-core:udp", false),
            ("2 one-core:step1 > one-core:udp", true),
            ("one-core:udp > one-core:+step1", true),
            ("one-core:+step1 > one-core:udp", false),
        ] {
            assert_eq!(check(claim).is_ok(), holds, "{claim}");
        }
    }

    #[test]
    fn claims_about_nothing_are_refused() {
        // A way, a placement, an addition and a grammar that do not exist.
        for (claim, refusal) in [
            ("one-core:tcp > one-core:quic", "nothing is kept of `one-core:quic`"),
            ("the-moon:tcp > one-core:udp", "nothing is kept of `the-moon:tcp`"),
            ("tcp > one-core:udp", "nothing is kept of `:`"),
            ("one-core:tcp > one-core:+udp", "`udp` adds to nothing"),
            ("one-core:tcp < one-core:udp", "a price, `>` and a price are wanted"),
            ("one-core:tcp > many one-core:udp", "a price, `>` and a price are wanted"),
        ] {
            assert_eq!(check(claim), Err(refusal.into()), "{claim}");
        }
    }
}
