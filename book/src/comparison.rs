//! The comparison with TCP: what `unavez bench` has measured, as the chapter shows it.
//!
//! Invariant: no number stands in the chapter itself. A sentence that says more than a number has a
//! `{{#holds}}` beside it, and a book in which one does not hold is not built.

use crate::figure::{escape, figure};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the result of a run is kept, with its figures.
pub fn comparison_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("chapters/comparison")
}

fn kept() -> Result<Value, String> {
    let file = comparison_folder().join("result.json");
    let text = fs::read_to_string(&file).map_err(|e| format!("`{}`: {e}", file.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("`{}`: {e}", file.display()))
}

/// `{{#chart figure6 Request and reply on the LAN.}}`: a figure that the bench drew, with a caption.
pub(crate) fn chart(words: &[&str]) -> Result<String, String> {
    let [name, caption @ ..] = words else {
        return Err("a figure and a caption are wanted".into());
    };
    let file = comparison_folder().join(format!("{name}.svg"));
    let svg = fs::read_to_string(file).map_err(|e| format!("figure `{name}`: {e}"))?;
    let caption = escape(&caption.join(" "));
    let head = format!("<svg role=\"img\" aria-label=\"{caption}\" ");
    // Text and axes take the colour of the page.
    let svg = svg.replacen("<svg ", &head, 1).replace("#808080", "currentColor");
    Ok(figure("chart", &caption, &svg))
}

/// `{{#comparison-run}}`: on what, and when, it was measured.
pub(crate) fn run(words: &[&str]) -> Result<String, String> {
    let [] = words else { return Err("no words are wanted".into()) };
    let kept = kept()?;
    let of = |name: &str| escape(kept["machine"][name].as_str().unwrap_or_default());
    let day = of("date");
    let day = day.split('T').next().unwrap_or_default();
    let note = match kept["machine"]["optimized"].as_bool() {
        Some(true) => "",
        _ => " (a debug build)",
    };
    Ok(format!(
        "unavez {}{note} on Linux {}, {} cores of {}, on {day}",
        of("version"),
        of("kernel"),
        kept["machine"]["cores"],
        of("cpu")
    ))
}

/// `{{#claims lan-10M}}`: the paper's claims on a network, and what became of them.
pub(crate) fn claims(words: &[&str]) -> Result<String, String> {
    let [place] = words else { return Err("a place is wanted".into()) };
    let kept = kept()?;
    let mut table =
        "<table>\n<thead><tr><th>claim</th><th>verdict</th><th>at</th></tr></thead>\n<tbody>\n"
            .to_owned();
    let mut caption = None;
    for claim in all(&kept["claims"]).filter(|it| is_at(it, place)) {
        let [network, words, detail] = [0, 1, 2].map(|at| escape(text(&claim["words"][at])));
        let verdict = text(&claim["verdict"]);
        let class = match verdict {
            "holds" => "good",
            "open" => "fair",
            _ => "bad",
        };
        let _ = writeln!(
            table,
            "<tr><th scope=\"row\">{words}</th><td class=\"{class}\">{verdict}</td><td>{detail}</td></tr>"
        );
        caption = Some(network);
    }
    table.push_str("</tbody>\n</table>");
    let caption = caption.ok_or_else(|| format!("nothing is claimed of `{place}`"))?;
    Ok(figure("verdicts", &caption, &table))
}

/// `{{#verdict lan-10M unavez faster}}`: what became of a claim, in words.
pub(crate) fn verdict(words: &[&str]) -> Result<String, String> {
    let [place, contender, claim] = words else {
        return Err("a place, a contender and a claim are wanted".into());
    };
    let kept = kept()?;
    let found = all(&kept["claims"])
        .filter(|it| is_at(it, place))
        .find(|it| it["contender"] == *contender && it["claim"] == *claim)
        .ok_or("nothing of the kind is claimed")?;
    let detail = text(&found["words"][2]);
    Ok(match text(&found["verdict"]) {
        "holds" => format!("**holds** ({detail})"),
        "fails" => format!("**fails** ({detail})"),
        _ => format!("stays **open** ({detail})"),
    })
}

/// `{{#losses}}`: where this system takes longer than TCP, below the reason.
pub(crate) fn losses(words: &[&str]) -> Result<String, String> {
    let [] = words else { return Err("no words are wanted".into()) };
    let kept = kept()?;
    let mut table = "<table>\n<thead><tr><th>where</th><th>who</th><th>at which sizes</th>\
                     <th>times as long, at most</th></tr></thead>\n"
        .to_owned();
    let (mut cause, mut rows) = ("", 0);
    for loss in all(&kept["losses"]) {
        let [place, who, sizes, why] = [0, 1, 2, 3].map(|at| escape(text(&loss["words"][at])));
        if text(&loss["cause"]) != cause {
            cause = text(&loss["cause"]);
            let _ = writeln!(
                table,
                "<tbody><tr><th colspan=\"4\" scope=\"rowgroup\" id=\"cause-{cause}\">Why: {why}</th></tr></tbody>"
            );
        }
        let (worst, at) = (ratio(number(&loss["worst"]["median"])?), bytes(&loss["worst_at"])?);
        let _ = writeln!(
            table,
            "<tr><td>{place}</td><td>{who}</td><td>{sizes}</td><td class=\"number\">{worst} at {at}</td></tr>"
        );
        rows += 1;
    }
    table.push_str("</table>");
    let caption = format!("{rows} losses: intervals that lie above 1 as a whole.");
    Ok(if rows == 0 { "Nowhere.".into() } else { figure("verdicts", &caption, &table) })
}

/// `{{#measured lan-10M unavez 64 p50}}`: one value.
pub(crate) fn measured(words: &[&str]) -> Result<String, String> {
    let [place, contender, len, what] = words else {
        return Err("a place, a contender, a size and a figure are wanted".into());
    };
    let kept = kept()?;
    let value = value(&kept, place, contender, length(len)?, what)?;
    Ok(shown(value, what))
}

/// `{{#holds lan-10M unavez 64 to-tcp below 0.5}}`: nothing, but a fault if it is not so.
pub(crate) fn holds(words: &[&str]) -> Result<String, String> {
    let [place, contender, len, what, how, limit] = words else {
        return Err(
            "a place, a contender, a size, a figure, `below` or `above`, and a number".into()
        );
    };
    let kept = kept()?;
    let value = value(&kept, place, contender, length(len)?, what)?;
    let limit: f64 = limit.parse().map_err(|_| format!("`{limit}` is no number"))?;
    let holds = match *how {
        "below" => value < limit,
        "above" => value > limit,
        _ => return Err("`below` or `above` is wanted".into()),
    };
    if holds { Ok(String::new()) } else { Err(format!("it is {value}, not {how} {limit}")) }
}

/// `{{#sizes lan-10M p50 tcp-each unavez}}`: a figure of some contenders at all sizes.
pub(crate) fn sizes(words: &[&str]) -> Result<String, String> {
    let [place, what, contenders @ ..] = words else {
        return Err("a place, a figure and contenders are wanted".into());
    };
    let kept = kept()?;
    let mut table = "<table>\n<thead><tr><th>there and back</th>".to_owned();
    contenders.iter().for_each(|it| table.push_str(&format!("<th>{}</th>", name(it))));
    table.push_str("</tr></thead>\n<tbody>\n");
    let mut lens: Vec<u64> = exchanges(&kept, place).filter_map(|it| it["len"].as_u64()).collect();
    lens.sort_unstable();
    for len in &lens {
        let _ =
            write!(table, "<tr><th scope=\"row\" class=\"name\">{}</th>", bytes(&(*len).into())?);
        for contender in contenders {
            // A contender that could not do it has no row.
            let cell = value(&kept, place, contender, *len, what).map(|it| shown(it, what));
            let _ = write!(table, "<td class=\"number\">{}</td>", cell.unwrap_or("—".into()));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>");
    if lens.is_empty() {
        return Err(format!("nothing was measured at `{place}`"));
    }
    Ok(figure("verdicts", caption(what), &table))
}

fn caption(what: &str) -> &str {
    match what {
        "p50" => "The median of all exchanges.",
        "p99" => "What 99 of 100 exchanges do not exceed.",
        "to-tcp" => "How many times as long as TCP with a connection for each request.",
        "to-kept" => "How many times as long as TCP that keeps its connection.",
        "saved" => "How much less than TCP with a connection for each request.",
        "packets" => "Packets for an exchange.",
        _ => what,
    }
}

fn all(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| "the kept result lacks it".to_owned())
}

/// Whether it is of this place: `loopback`, `lan-10M`, `lan-none`, `man`.
fn is_at(it: &Value, place: &str) -> bool {
    let network = &it["network"];
    let rate = match network["rate"].as_u64() {
        Some(rate) => format!("{}M", rate / 1_000_000),
        None => "none".to_owned(),
    };
    // On loopback with a core each, as elsewhere.
    let is_there = match text(&network["kind"]) {
        "lan" => place == format!("lan-{rate}"),
        kind => place == kind,
    };
    is_there && it["placement"] != "one core" && network["loss"] == 0.0
}

fn exchanges<'a>(kept: &'a Value, place: &str) -> impl Iterator<Item = &'a Value> {
    all(&kept["tables"]).filter(move |it| it["workload"] == "exchange" && is_at(it, place))
}

fn value(kept: &Value, place: &str, contender: &str, len: u64, what: &str) -> Result<f64, String> {
    let row = exchanges(kept, place)
        .filter(|it| it["len"] == len)
        .flat_map(|it| all(&it["rows"]))
        .find(|row| row["contender"] == contender)
        .ok_or("it was not measured")?;
    number(match what {
        "p50" | "p99" => &row["exchanges"][what],
        "to-tcp" => &row["to_tcp"]["median"],
        "to-kept" => &row["to_kept"]["median"],
        "saved" => &row["saved"]["median"],
        "packets" => &row["packets"],
        _ => return Err(format!("`{what}` is no figure")),
    })
}

fn shown(value: f64, what: &str) -> String {
    match what {
        "p50" | "p99" | "saved" => time(value),
        "packets" => format!("{value:.2}"),
        _ => ratio(value),
    }
}

/// A time in µs.
fn time(us: f64) -> String {
    let (value, unit) = match us.abs() {
        size if size >= 1e6 => (us / 1e6, "s"),
        size if size >= 1e3 => (us / 1e3, "ms"),
        _ => (us, "µs"),
    };
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{} {unit}", digits(value.abs()))
}

/// Near to one a digit more tells which is longer.
fn ratio(value: f64) -> String {
    if (0.9..1.1).contains(&value) { format!("{value:.3}") } else { digits(value) }
}

/// Three digits that count, or all before the point.
fn digits(value: f64) -> String {
    let places = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.places$}")
}

fn length(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix('k') {
        Some(number) => (number, 1024.0),
        None => (
            text.strip_suffix('M').unwrap_or(text),
            if text.ends_with('M') { 1_048_576.0 } else { 1.0 },
        ),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is no size"))?;
    Ok((number * unit) as u64)
}

fn bytes(len: &Value) -> Result<String, String> {
    let len = number(len)?;
    let is_whole = |unit: f64, part: f64| len >= unit && (len / unit / part).fract() == 0.0;
    Ok(match len {
        len if is_whole(1_048_576.0, 0.5) => format!("{} MiB", len / 1_048_576.0),
        len if is_whole(1024.0, 1.0) => format!("{} KiB", len / 1024.0),
        1.0 => "1 byte".to_owned(),
        len => format!("{len} bytes"),
    })
}

fn name(contender: &str) -> &str {
    match contender {
        "udp" => "UDP echo",
        "tcp-each" => "TCP, one each",
        "tcp-fast-open" => "TCP Fast Open",
        "tcp-open" => "TCP, kept open",
        "quic-each" => "QUIC, one each",
        "quic-open" => "QUIC, kept open",
        "unavezd-shm" => "unavezd, shm",
        "unavezd-sysv" => "unavezd, sysv",
        _ => contender,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_refused() {
        // TCP beside itself is exactly as long.
        let words = |how| ["lan-10M", "tcp-each", "64", "to-tcp", how, "1"];
        assert!(holds(&words("below")).unwrap_err().contains("it is 1, not below 1"));
        let just = ["lan-10M", "tcp-each", "64", "to-tcp", "below", "1.01"];
        assert_eq!(holds(&just), Ok(String::new()));
        assert!(holds(&["lan-10M", "sctp", "64", "to-tcp", "below", "1"]).is_err());
        assert!(holds(&["wan", "unavez", "64", "to-tcp", "below", "1"]).is_err());
    }

    #[test]
    fn figures_take_the_colour_of_the_page() {
        // Theirs is a grey that is read on any ground.
        let figure = chart(&["figure6", "A", "<caption>"]).unwrap();
        assert!(figure.contains("currentColor") && !figure.contains("#808080"));
        assert!(figure.contains("<figcaption>A &lt;caption&gt;</figcaption>"));
        assert!(chart(&["figure5", "none"]).is_err());
    }

    #[test]
    fn values_have_their_units() {
        // Around each border, and below nothing.
        let times = [0.5, 999.0, 1000.0, -2_500_000.0].map(time);
        assert_eq!(times, ["0.50 µs", "999 µs", "1.00 ms", "−2.50 s"]);
        assert_eq!([0.5, 1.0042, 2.5].map(ratio), ["0.50", "1.004", "2.50"]);
        assert_eq!(["1", "8k", "3.5M"].map(|it| length(it).unwrap()), [1, 8192, 3_670_016]);
        assert!(length("much").is_err());
    }
}
