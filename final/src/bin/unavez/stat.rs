//! The counters of a running site, far away or the daemon of this host.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use serde_json::{Value, json};
use unavez::observe::{ObserveError, Observer};
use unavez::protocol::{Counters, Entries, Epoch, SiteId, SiteReply, SiteRequest};
use unavez::{Options, Site};

use crate::args::{SiteUrl, parse_period, parse_watch};
use crate::ps::{Attached, show_names};
use crate::{Result, net, prometheus};

/// Prints the counters of a running site, and what they count.
///
/// Without a URL it is the daemon of this host, and what only this host sees is there, too: the round
/// trips to its peers, and its processes and ports, for root and the daemon's own user.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 done, 1 the site does not answer or there is no daemon, 2 usage.

Examples:
  unavez stat
  unavez stat --watch
  unavez stat --prometheus > unavez.prom
  unavez stat unavez://127.0.0.1:7373
  unavez stat unavez://127.0.0.1:7373 --watch 500ms
  unavez stat unavez://127.0.0.1:7373 --json | jq .counters.Executed")]
pub(crate) struct Args {
    /// unavez://HOST:PORT [default: the daemon of this host]
    #[arg(conflicts_with = "socket")]
    url: Option<SiteUrl>,
    #[command(flatten)]
    daemon: net::DaemonArgs,
    /// Print one JSON object, or with --watch one a line
    #[arg(long)]
    json: bool,
    /// Print it once as Prometheus scrapes it
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    prometheus: bool,
    /// Again and again, with what was added since, until Ctrl-C
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s", value_parser = parse_watch)]
    watch: Option<Duration>,
    /// How long to wait for a site far away
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_period)]
    timeout: Duration,
}

/// Whom to ask.
enum Source {
    Daemon(Observer),
    Far { by: Site, at: SocketAddr, patience: Duration },
}

/// What a site says of itself.
pub(crate) struct Said {
    pub(crate) site: SiteId,
    pub(crate) counters: Counters,
    pub(crate) entries: Entries,
    /// What only this host sees.
    pub(crate) host: Option<Host>,
}

/// What the daemon of this host says.
pub(crate) struct Host {
    pub(crate) epoch: Epoch,
    pub(crate) address: SocketAddr,
    pub(crate) peers: Vec<Peer>,
    /// Its processes, if they may be seen.
    pub(crate) attached: std::result::Result<Attached, ObserveError>,
}

/// A site, the round trip to it, and how much that varies.
pub(crate) type Peer = (SiteId, Duration, Duration);

pub(crate) fn run(args: Args) -> Result {
    let stop = args.watch.map(|_| net::on_stop()).transpose()?;
    let mut source = match &args.url {
        Some(url) => {
            let (at, _) = url.look_up()?;
            let by = net::client_site(at, Options::default())?;
            Source::Far { by, at, patience: args.timeout }
        }
        None => match args.daemon.observe() {
            Ok(observer) => Source::Daemon(observer),
            Err(error) => return net::fail(error),
        },
    };
    let mut before = None;
    loop {
        let said = match source.look() {
            Ok(said) => said,
            Err(error) => return net::fail(error),
        };
        let mut out = stdout();
        // A screen is written over, a file is not.
        let over = args.watch.is_some() && !args.json && out.is_terminal();
        let home = if over { "\x1b[H\x1b[2J" } else { "" };
        if args.prometheus {
            write!(out, "{}", prometheus::text(&said))?;
        } else if args.json {
            writeln!(out, "{}", said.json())?;
        } else {
            write!(out, "{home}{}", said.table(before.as_ref()))?;
        }
        let (Some(period), Some(stop)) = (args.watch, &stop) else { return Ok(ExitCode::SUCCESS) };
        if stop.told.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
            return Ok(ExitCode::SUCCESS);
        }
        before = Some(said.counters);
    }
}

impl Source {
    fn look(&mut self) -> std::result::Result<Said, String> {
        match self {
            Source::Far { by, at, patience } => {
                match net::ask(by, *at, &SiteRequest::Counters, *patience) {
                    Ok(SiteReply::Counters { site, counters, entries }) => {
                        Ok(Said { site, counters, entries, host: None })
                    }
                    Ok(_) => Err(format!("{at} speaks another version")),
                    Err(error) => Err(format!("{at}: {error}")),
                }
            }
            Source::Daemon(observer) => look_here(observer).map_err(|error| error.to_string()),
        }
    }
}

fn look_here(observer: &mut Observer) -> std::result::Result<Said, ObserveError> {
    let attached = match Attached::see(observer) {
        Err(error) if !matches!(error, ObserveError::NotAllowed { .. }) => return Err(error),
        attached => attached,
    };
    let (epoch, address) = (observer.epoch(), observer.address());
    let host = Host { epoch, address, peers: observer.round_trips()?, attached };
    Ok(Said {
        site: observer.site(),
        counters: observer.counters()?,
        entries: observer.entries()?,
        host: Some(host),
    })
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
        let host = self.host.as_ref().map(Host::tables);
        counted.chain(now).chain(host).collect()
    }

    /// How full its tables are.
    pub(crate) fn entries(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, usize)> + use<> {
        let Entries { calls, client_ports, records, bytes, tombstones, timers, sending, building } =
            self.entries;
        [
            ("calls", "calls of its processes that have not ended.", calls),
            ("client_ports", "client ports of its processes.", client_ports),
            ("records", "calls of other sites with a record.", records),
            ("bytes", "bytes of requests and replies in these records.", bytes),
            ("tombstones", "clients remembered whole.", tombstones),
            ("timers", "timers armed.", timers),
            ("sending", "large messages on their way out.", sending),
            ("building", "large messages of which not all has come.", building),
        ]
        .into_iter()
    }

    fn json(&self) -> String {
        let entries: Value =
            self.entries().map(|(name, _, count)| (name.to_string(), json!(count))).collect();
        let (site, counters) = (self.site, counters_json(&self.counters));
        let host = self.host.as_ref().map_or(String::new(), Host::json);
        format!(r#"{{"site":"{site}","counters":{counters},"entries":{entries}{host}}}"#)
    }
}

impl Host {
    /// The processes, the ports and the peers, each with a line that names the columns.
    fn tables(&self) -> String {
        let mut tables = String::new();
        match &self.attached {
            Ok(attached) => {
                let _ = write!(tables, "\n{}\n", attached.table());
                let _ = writeln!(tables, "   PORT  PROCESS  IN HAND     FREE  NAMES");
                for port in &attached.ports {
                    let (number, names) = (port.port.0, show_names(port));
                    let (process, in_hand, free) = (port.process, port.in_hand, port.free);
                    let line =
                        format!("{number:>7}  {process:>7}  {in_hand:>7}  {free:>7}  {names}");
                    let _ = writeln!(tables, "{}", line.trim_end());
                }
            }
            Err(error) => {
                let _ = writeln!(tables, "\nprocesses and ports: {error}");
            }
        }
        let _ = writeln!(tables, "\nPEER              ROUND TRIP     VARIATION");
        for (site, trip, variation) in &self.peers {
            let (trip, variation) = (trip.as_secs_f64() * 1e3, variation.as_secs_f64() * 1e3);
            let _ = writeln!(tables, "{site}  {trip:>7.3} ms    {variation:>7.3} ms");
        }
        tables
    }

    /// More fields of the object; `null` is what may not be seen.
    fn json(&self) -> String {
        let peer = |(site, trip, variation): &Peer| {
            let (trip, variation) = (trip.as_secs_f64() * 1e3, variation.as_secs_f64() * 1e3);
            json!({ "site": site.to_string(), "rtt_ms": trip, "variation_ms": variation })
        };
        let peers: Value = self.peers.iter().map(peer).collect();
        let processes = self.attached.as_ref().map_or(Value::Null, Attached::json);
        let (epoch, address) = (self.epoch, self.address);
        format!(
            r#","epoch":"{epoch}","address":"{address}","processes":{processes},"peers":{peers}"#
        )
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
        let said = Said { site: SiteId(1), counters: counters.clone(), entries, host: None };
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
        let said = Said { site: SiteId(1), counters, entries, host: None };
        let read: Value = serde_json::from_str(&said.json()).unwrap();
        assert_eq!(read["counters"].as_object().unwrap().len(), Note::ALL.len());
        assert_eq!(
            (&read["counters"]["Executed"], &read["entries"]["timers"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(read["site"], "0000000000000001");
    }
}
