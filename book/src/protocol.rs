//! The tables of the chapters *The protocol on one page* and *The daemon*, made from the code itself.

use crate::figure::{escape, figure};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;
use unavez::protocol::{
    Broken, Config, Credit, Epoch, Fate, Grant, Kind, Note, Ran, Reason, Token,
};

/// One of each kind, in the order of `Kind`; a kind that is missing here is a fault of the page.
fn kinds() -> [Kind; 14] {
    let (token, grant, credit) = (Token::NONE, Grant::default(), Credit::default());
    [
        Kind::Request {
            floor: 1,
            predecessor: 0,
            patience: 0,
            rto: 1,
            max_reply: 0,
            hash: 0,
            token,
        },
        Kind::Reply { service_time: 0, grant },
        Kind::Working { service_time: 0, heartbeat: 0, grant },
        Kind::Heartbeat { floor: 1, token },
        Kind::Stale { present: Epoch::default(), fresh: false },
        Kind::NoCall,
        Kind::Busy { after: 0 },
        Kind::Refused { ran: Ran::Maybe, reason: Reason::Forgotten },
        Kind::Challenge { token },
        Kind::Abort { floor: 1, token },
        Kind::Aborted { fate: Fate::Maybe },
        Kind::WrongSite,
        Kind::Credit { credit },
        Kind::Fetch { floor: 1, token, credit },
    ]
}

/// `{{#packets}}`: every kind with its header and what it says about itself in `kind.rs`.
pub(crate) fn packets_table() -> Result<String, String> {
    let source = source("kind.rs")?;
    let described = variants(block(&source, "pub enum Kind {")?);
    let mut rows = String::new();
    for (kind, variant) in kinds().iter().zip(&described) {
        let name = kind.name();
        if variant.name.to_uppercase() != name.replace('_', "") {
            return Err(format!("`{}` of kind.rs is not {name}", variant.name));
        }
        let (way, meaning) = variant.docs.split_once(": ").unwrap_or(("", &variant.docs));
        let stated = way == "Client to server";
        if stated != kind.is_to_server() {
            return Err(format!("kind.rs says \"{way}\" of {name}"));
        }
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\"><code>{name}</code></th><td>{}</td><td class=\"number\">{}</td>\
             <td>{}</td><td>{}</td></tr>",
            way.to_lowercase(),
            kind.header_len(),
            variant.fields.join(", "),
            text(meaning),
        );
    }
    if kinds().len() != described.len() {
        return Err("kind.rs has another number of kinds".into());
    }
    let head = "<th>kind</th><th>way</th><th>bytes of header</th><th>what only it carries</th>\
                <th>meaning</th>";
    Ok(table("The packets, from <code>final/src/protocol/kind.rs</code>.", head, &rows))
}

/// `{{#limits}}`: every field of `Config` with its default, and its reason from `config.rs`.
pub(crate) fn limits_table() -> Result<String, String> {
    let source = source("config.rs")?;
    let values = format!("{:#?}", Config::default());
    let values: Vec<(&str, &str)> = values
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(',').split_once(": "))
        // There only when all of the workspace is built; no limit.
        .filter(|(name, _)| *name != "broken")
        .collect();
    let described = variants(block(&source, "pub struct Config {")?);
    let mut rows = String::new();
    for (name, value) in &values {
        let found = described.iter().find(|it| it.name == *name);
        let docs = &found.ok_or_else(|| format!("config.rs says nothing of `{name}`"))?.docs;
        rows.push_str(&limit(name, &shown(value), docs));
    }
    let head = "<th>limit</th><th>default</th><th>what for</th>";
    Ok(table("All limits, from <code>Config::default()</code>.", head, &rows))
}

/// `{{#daemon-limits}}`: what the daemon sets to its processes, from its options and `limits.rs`.
pub(crate) fn daemon_limits_table() -> Result<String, String> {
    let source = daemon_source("mod.rs")?;
    let described = variants(block(&source, "pub struct Options {")?);
    let options = unavez::daemon::Options::new("");
    let mut rows = String::new();
    for (name, value) in [
        ("processes_max", options.processes_max.to_string()),
        ("process_calls_max", options.process_calls_max.to_string()),
    ] {
        let found = described.iter().find(|it| it.name == name);
        let docs = &found.ok_or_else(|| format!("mod.rs says nothing of `{name}`"))?.docs;
        rows.push_str(&limit(name, &shown(&value), docs));
    }
    let source = daemon_source("limits.rs")?;
    let mut docs = Vec::new();
    for line in source.lines() {
        if let Some(doc) = line.strip_prefix("/// ") {
            docs.push(doc);
        } else if let Some(item) = line.strip_prefix("pub(super) const ") {
            let (name, rest) = item.split_once(": ").ok_or("limits.rs: a constant has a type")?;
            let (_, value) = rest.split_once(" = ").ok_or("limits.rs: a constant has a value")?;
            let value = duration(value.trim_end_matches(';'));
            rows.push_str(&limit(&name.to_lowercase(), &value, &docs.join(" ")));
            docs.clear();
        }
    }
    let head = "<th>limit</th><th>usual</th><th>what for</th>";
    let caption = "The daemon's own limits, from <code>daemon::Options</code> and \
                   <code>final/src/daemon/limits.rs</code>.";
    Ok(table(caption, head, &rows))
}

fn limit(name: &str, value: &str, docs: &str) -> String {
    format!(
        "<tr><th scope=\"row\" class=\"name\"><code>{name}</code></th>\
         <td class=\"number\">{value}</td><td>{}</td></tr>\n",
        text(docs)
    )
}

/// A value as the code has it, easier to read.
fn duration(value: &str) -> String {
    let number = |head: &str| value.strip_prefix(head).map(|rest| rest.trim_end_matches(')'));
    match (number("Duration::from_secs("), number("Duration::from_millis(")) {
        (Some(seconds), _) => format!("{seconds} s"),
        (_, Some(millis)) => format!("{millis} ms"),
        _ => escape(&shown(value)),
    }
}

/// `{{#counters}}`: what a site counts.
pub(crate) fn counters_table() -> String {
    let mut rows = String::new();
    for note in Note::ALL {
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\" class=\"name\"><code>{note}</code></th><td>{}</td></tr>",
            text(note.describe())
        );
    }
    table(
        "What a site counts, from <code>Note::ALL</code>.",
        "<th>counter</th><th>what</th>",
        &rows,
    )
}

/// `{{#broken}}`: the rules that are broken on purpose, and how.
pub(crate) fn broken_table() -> String {
    let mut rows = String::new();
    for broken in Broken::ALL {
        let rule = broken.rule();
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\"><a href=\"protocol.html#{}\">{rule}</a></th><td>{}</td></tr>",
            rule.to_lowercase(),
            text(broken.describe())
        );
    }
    let caption = format!("{} ways to break a rule, each of which is caught.", Broken::ALL.len());
    table(&caption, "<th>rule</th><th>broken like this</th>", &rows)
}

/// `{{#schedules}}`: when copies leave, by how long the first is waited for.
pub(crate) fn schedules_table() -> String {
    let config = Config::default();
    // RFC 6298: the first sample, and four times its half.
    let after =
        |sample: u64| (Duration::from_millis(sample) * 3).clamp(config.rto_min, config.rto_max);
    let waits = [
        ("a site never heard of", config.rto_initial),
        ("a site that answered once, in 1 ms", after(1)),
        ("a site that answered once, in 100 ms", after(100)),
        ("a site that answered once, in 2 s", after(2000)),
    ];
    let mut rows = String::new();
    for (whom, first) in waits {
        let wait = |attempt: u32| (first * (1 << attempt)).min(config.backoff_max);
        let mut at = Duration::ZERO;
        let copies = (0..config.retransmits_max).map(|attempt| {
            at += wait(attempt);
            show(at)
        });
        let copies: Vec<String> = copies.collect();
        let ends = at + wait(config.retransmits_max);
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{whom}</th><td class=\"number\">{}</td><td>{}</td>\
             <td class=\"number\">{}</td></tr>",
            show(first),
            copies.join(", "),
            show(ends)
        );
    }
    let head =
        "<th>towards</th><th>first wait</th><th>copies leave after</th><th>given up after</th>";
    table("Without jitter, which makes each wait up to half as long again.", head, &rows)
}

fn table(caption: &str, head: &str, rows: &str) -> String {
    let table =
        format!("<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>");
    figure("verdicts", caption, &table)
}

fn source(file: &str) -> Result<String, String> {
    read("protocol", file)
}

fn daemon_source(file: &str) -> Result<String, String> {
    read("daemon", file)
}

fn read(folder: &str, file: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../final/src").join(folder).join(file);
    fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))
}

/// What stands between the line that opens an item and the one that closes it.
fn block<'a>(source: &'a str, head: &str) -> Result<&'a str, String> {
    let inside = source.split_once(head).map(|(_, after)| after);
    let inside = inside.and_then(|after| after.split_once("\n}\n")).map(|(inside, _)| inside);
    inside.ok_or_else(|| format!("no `{head}`"))
}

/// A field of a struct or a variant of an enum, with its docs and the names of its own fields.
struct Described {
    name: String,
    docs: String,
    fields: Vec<String>,
}

/// rustfmt indents what is described by four blanks, and its fields by eight.
fn variants(block: &str) -> Vec<Described> {
    let mut all: Vec<Described> = Vec::new();
    let mut docs = Vec::new();
    for line in block.lines() {
        let inner = line.starts_with("        ");
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("/// ") {
            if !inner {
                docs.push(doc);
            }
        } else if let Some(name) = line.split([':', ',', ' ']).next().filter(|name| is_name(name)) {
            match all.last_mut() {
                Some(last) if inner => last.fields.push(format!("<code>{name}</code>")),
                _ => {
                    let name = if name == "pub" { line[4..].split(':').next() } else { Some(name) };
                    let name = name.unwrap_or_default().to_owned();
                    let docs = std::mem::take(&mut docs).join(" ");
                    all.push(Described { name, docs, fields: Vec::new() });
                }
            }
        }
    }
    all
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Docs as HTML: code between backticks, links to items as code.
fn text(docs: &str) -> String {
    let mut html = String::new();
    for (index, part) in escape(docs).replace("[`", "`").replace("`]", "`").split('`').enumerate() {
        let part = if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() };
        html.push_str(&part);
    }
    html
}

/// A value as `Debug` gives it, easier to read.
fn shown(value: &str) -> String {
    let digits = value.chars().all(|c| c.is_ascii_digit());
    if digits { crate::scoreboard::grouped(value) } else { value.to_owned() }
}

fn show(time: Duration) -> String {
    match time.as_millis() {
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms if ms > 1000 => format!("{:.2} s", ms as f64 / 1000.0),
        ms => format!("{ms} ms"),
    }
}
