//! The counters of a running site.

use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use serde_json::{Value, json};
use unavez::Options;
use unavez::protocol::{Counters, Entries, SiteId, SiteReply, SiteRequest};

use crate::args::{SiteUrl, parse_period};
use crate::{Result, net};

/// Prints the counters of a running site, and what they count.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 done, 1 the site does not answer, 2 usage.

Examples:
  unavez stat unavez://127.0.0.1:7373
  unavez stat unavez://127.0.0.1:7373 --watch 500ms
  unavez stat unavez://127.0.0.1:7373 --json | jq .counters.Executed")]
pub(crate) struct Args {
    /// unavez://HOST:PORT
    url: SiteUrl,
    /// Print one JSON object, or with --watch one a line
    #[arg(long)]
    json: bool,
    /// Again and again, with what was added since, until Ctrl-C
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s", value_parser = parse_period)]
    watch: Option<Duration>,
    /// How long to wait for the site
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_period)]
    timeout: Duration,
}

/// What a site says of itself.
struct Said {
    site: SiteId,
    counters: Counters,
    entries: Entries,
}

pub(crate) fn run(args: &Args) -> Result {
    let (to, _) = args.url.look_up()?;
    let stop = args.watch.map(|_| net::on_stop()).transpose()?;
    let site = net::client_site(to, Options::default())?;
    let mut before = None;
    loop {
        let said = match net::ask(&site, to, &SiteRequest::Counters, args.timeout) {
            Ok(SiteReply::Counters { site, counters, entries }) => Said { site, counters, entries },
            Ok(_) => return Err(format!("{to} speaks another version").into()),
            Err(error) => {
                eprintln!("{to}: {error}");
                return Ok(ExitCode::FAILURE);
            }
        };
        let mut out = stdout();
        // A screen is written over, a file is not.
        let over = args.watch.is_some() && !args.json && out.is_terminal();
        let home = if over { "\x1b[H\x1b[2J" } else { "" };
        match args.json {
            true => writeln!(out, "{}", said.json())?,
            false => write!(out, "{home}{}", said.table(before.as_ref()))?,
        }
        let (Some(period), Some(stop)) = (args.watch, &stop) else { return Ok(ExitCode::SUCCESS) };
        if stop.told.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
            return Ok(ExitCode::SUCCESS);
        }
        before = Some(said.counters);
    }
}

impl Said {
    /// One line each: how often, how much more than at the last look, the name, what it counts.
    fn table(&self, before: Option<&Counters>) -> String {
        let counted = self.counters.iter().map(|(note, count)| {
            let more = before.map(|before| count.saturating_sub(before.get(note)));
            let more = more.map_or(String::new(), |more| format!("{:>9}", format!("+{more}")));
            format!("{count:>10}{more}  {:<18}  {}\n", format!("{note:?}"), note.describe())
        });
        let blank = if before.is_some() { " ".repeat(9) } else { String::new() };
        let now = self
            .entries()
            .map(|(name, about, count)| format!("{count:>10}{blank}  {name:<18}  Now: {about}\n"));
        counted.chain(now).collect()
    }

    /// How full its tables are.
    fn entries(&self) -> impl Iterator<Item = (&'static str, &'static str, usize)> + use<> {
        let Entries { calls, client_ports, records, bytes, tombstones, timers, .. } = self.entries;
        [
            ("calls", "calls of its processes that have not ended.", calls),
            ("client_ports", "client ports of its processes.", client_ports),
            ("records", "calls of other sites with a record.", records),
            ("bytes", "bytes of requests and replies in these records.", bytes),
            ("tombstones", "clients remembered whole.", tombstones),
            ("timers", "timers armed.", timers),
        ]
        .into_iter()
    }

    fn json(&self) -> String {
        let entries: Value =
            self.entries().map(|(name, _, count)| (name.to_string(), json!(count))).collect();
        let (site, counters) = (self.site, counters_json(&self.counters));
        format!(r#"{{"site":"{site}","counters":{counters},"entries":{entries}}}"#)
    }
}

/// By name, in the order of [`Note::ALL`]; a name needs no escapes.
pub(crate) fn counters_json(counters: &Counters) -> String {
    let fields: Vec<String> =
        counters.iter().map(|(note, count)| format!(r#""{note:?}":{count}"#)).collect();
    format!("{{{}}}", fields.join(","))
}

#[cfg(test)]
mod tests {
    use unavez::protocol::Note;

    use super::*;

    #[test]
    fn every_counter_has_a_line_in_order() {
        // A site where nothing happened, looked at twice.
        let (counters, entries) = (Counters::default(), Entries::default());
        let said = Said { site: SiteId(1), counters: counters.clone(), entries };
        let table = said.table(Some(&counters));
        for (line, note) in table.lines().zip(Note::ALL) {
            let wanted = ["0".into(), "+0".into(), format!("{note:?}")];
            assert!(line.split_whitespace().take(3).eq(wanted), "{line}");
            assert!(line.ends_with(note.describe()), "{line}");
        }
        assert_eq!(table.lines().count(), Note::ALL.len() + said.entries().count());
    }

    #[test]
    fn json_has_every_counter() {
        // It is written by hand, for the order's sake.
        let (counters, entries) = (Counters::default(), Entries::default());
        let said = Said { site: SiteId(1), counters, entries };
        let read: Value = serde_json::from_str(&said.json()).unwrap();
        assert_eq!(read["counters"].as_object().unwrap().len(), Note::ALL.len());
        assert_eq!(
            (&read["counters"]["Executed"], &read["entries"]["timers"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(read["site"], "0000000000000001");
    }
}
