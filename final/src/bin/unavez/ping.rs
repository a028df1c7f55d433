//! Round trips to a site, with statistics as people know them from ping(8).

use std::collections::HashMap;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use serde_json::json;
use unavez::protocol::{IpcPort, Note, SiteReply, SiteRequest};
use unavez::{IpcClient, MsgId, Options};

use crate::args::{FaultArgs, SiteUrl, parse_period};
use crate::{Result, net};

/// How many bytes go there and back: as many as ping(8) sends.
const BODY_LEN: usize = 56;
/// So many are on the way at a time: a site has room for as many of a stranger.
const AT_ONCE: usize = 64;

/// Measures round trips to a site, and its loss.
///
/// The site answers by itself; no service runs. If the URL names a service, ping says first whether
/// it is there. A ping that got lost is sent again, and takes longer; lost is what was never answered.
/// The next ping does not wait for the one before it, unless 64 are on the way.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 there were replies, 1 there were none, or no such service, 2 usage.

Examples:
  unavez ping unavez://127.0.0.1:7373
  unavez ping unavez://127.0.0.1:7373/bank -c 100 -i 10ms --json")]
pub(crate) struct Args {
    /// unavez://HOST:PORT, or unavez://HOST:PORT/NAME
    url: SiteUrl,
    /// Stop after so many [default: at Ctrl-C]
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// How long from one to the next
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = parse_period)]
    interval: Duration,
    /// After how long a ping is lost
    #[arg(short = 'W', long, value_name = "TIME", default_value = "2s", value_parser = parse_period)]
    timeout: Duration,
    /// Print one JSON object in the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    faults: FaultArgs,
}

/// How a ping ended, and when.
struct Pong {
    id: MsgId,
    at: Instant,
    /// Why there is no answer.
    end: std::result::Result<(), String>,
}

pub(crate) fn run(args: Args) -> Result {
    let stop = net::on_stop()?;
    let (to, name) = args.url.look_up()?;
    let site = net::client_site(to, Options { link: args.faults.link(), ..Options::default() })?;
    if let Some(name) = name {
        match net::ask(&site, to, &SiteRequest::Resolve(name.clone()), args.timeout) {
            Ok(SiteReply::Resolved(Some(_))) => {}
            Ok(_) => return net::fail(format!("no service of the name {name:?} at {to}")),
            Err(error) => return net::fail(format!("{to}: {error}")),
        }
    }
    if !args.json {
        writeln!(stdout(), "PING {} ({to}) {BODY_LEN} bytes of data", args.url)?;
    }

    let began = Instant::now();
    let mut trips = Trips::default();
    let client = Arc::new(IpcClient::new(&site, IpcPort::site_at(to)));
    let pongs = hear(client.clone());
    let left = |trips: &Trips| args.count.is_none_or(|count| trips.sent < count);
    let mut next = crossbeam_channel::after(Duration::ZERO);
    while left(&trips) || !trips.open.is_empty() {
        crossbeam_channel::select! {
            recv(stop.told) -> _ => break,
            recv(pongs) -> pong => trips.count(&pong?, to, args.json)?,
            recv(next) -> _ => {
                if trips.sent == 0 {
                    next = crossbeam_channel::tick(args.interval);
                }
                // What waited here would not be the network's time.
                if trips.open.len() < AT_ONCE {
                    trips.send(&client, args.timeout)?;
                }
                if !left(&trips) {
                    next = crossbeam_channel::never();
                }
            }
        }
    }
    let again = site.counters()?.get(Note::Retransmitted);
    trips.print(&args, began.elapsed(), again)?;
    Ok(ExitCode::from(u8::from(trips.rtts.is_empty())))
}

/// Hears by a thread of its own, so that neither the next ping nor Ctrl-C need wait for an answer.
fn hear(client: Arc<IpcClient>) -> Receiver<Pong> {
    let (pong, pongs) = crossbeam_channel::unbounded();
    thread::spawn(move || {
        while let Ok((id, end)) = client.receive_reply() {
            let (at, end) = (Instant::now(), end.map(drop).map_err(|error| net::why(&error)));
            if pong.send(Pong { id, at, end }).is_err() {
                return;
            }
        }
    });
    pongs
}

/// What came of the pings so far.
#[derive(Debug, Default)]
struct Trips {
    sent: u64,
    /// Which of them each open one is, and when it was sent.
    open: HashMap<MsgId, (u64, Instant)>,
    /// In milliseconds.
    rtts: Vec<f64>,
}

/// What people know from ping(8), in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Summary {
    min: f64,
    avg: f64,
    max: f64,
    mdev: f64,
}

impl Trips {
    fn send(&mut self, client: &IpcClient, patience: Duration) -> Result<()> {
        let body = (0..BODY_LEN as u8).collect();
        let at = Instant::now();
        let id = client.send_request(net::question(&SiteRequest::Ping(body), patience))?;
        self.sent += 1;
        self.open.insert(id, (self.sent, at));
        Ok(())
    }

    fn count(&mut self, pong: &Pong, to: SocketAddr, quiet: bool) -> Result<()> {
        let Some((seq, sent_at)) = self.open.remove(&pong.id) else { return Ok(()) };
        let line = match &pong.end {
            Ok(()) => {
                let ms = (pong.at - sent_at).as_secs_f64() * 1e3;
                self.rtts.push(ms);
                format!("{BODY_LEN} bytes from {to}: seq={seq} time={ms:.3} ms")
            }
            Err(why) => format!("no answer from {to}: seq={seq} ({why})"),
        };
        if !quiet {
            writeln!(stdout(), "{line}")?;
        }
        Ok(())
    }

    /// In percent of those that have ended.
    fn lost(&self) -> f64 {
        let ended = self.sent - self.open.len() as u64;
        100.0 * (ended - self.rtts.len() as u64) as f64 / ended.max(1) as f64
    }

    fn summary(&self) -> Option<Summary> {
        let count = self.rtts.len() as f64;
        let avg = self.rtts.iter().sum::<f64>() / count;
        // As the square root of the mean of squared distances, which is never that of a negative.
        let mdev = (self.rtts.iter().map(|rtt| (rtt - avg).powi(2)).sum::<f64>() / count).sqrt();
        let min = self.rtts.iter().copied().reduce(f64::min)?;
        let max = self.rtts.iter().copied().reduce(f64::max)?;
        Some(Summary { min, avg, max, mdev })
    }

    fn print(&self, args: &Args, took: Duration, again: u64) -> Result<()> {
        let (sent, replies, lost, ms) = (self.sent, self.rtts.len(), self.lost(), took.as_millis());
        let open = self.open.len();
        let mut out = stdout();
        if args.json {
            let rtt = self.summary().map(
                |s| json!({ "min_ms": s.min, "avg_ms": s.avg, "max_ms": s.max, "mdev_ms": s.mdev }),
            );
            let report = json!({
                "url": args.url.to_string(), "sent": sent, "replies": replies, "open": open,
                "loss_percent": lost,
                "sent_again": again, "time_ms": ms as u64, "rtt": rtt, "rtts_ms": self.rtts,
            });
            return Ok(writeln!(out, "{report}")?);
        }
        writeln!(out, "\n--- {} ping statistics ---", args.url)?;
        let awaited = if open > 0 { format!(", {open} still awaited") } else { String::new() };
        writeln!(
            out,
            "{sent} pings sent, {replies} answered, {lost:.0}% lost{awaited}, {again} sent again, time {ms} ms"
        )?;
        if let Some(Summary { min, avg, max, mdev }) = self.summary() {
            writeln!(out, "rtt min/avg/max/mdev = {min:.3}/{avg:.3}/{max:.3}/{mdev:.3} ms")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_ping() {
        // Four pings, one of them lost; the deviation is that of the whole, not of a sample.
        let trips = Trips { sent: 4, rtts: vec![1.0, 2.0, 3.0], ..Trips::default() };
        let Summary { min, avg, max, mdev } = trips.summary().unwrap();
        assert_eq!((min, avg, max), (1.0, 2.0, 3.0));
        assert!((mdev - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(trips.lost(), 25.0);
    }

    #[test]
    fn no_reply_has_no_statistics() {
        // All lost, and none sent.
        assert_eq!(Trips { sent: 2, ..Trips::default() }.summary(), None);
        assert_eq!(Trips { sent: 2, ..Trips::default() }.lost(), 100.0);
        assert_eq!(Trips::default().lost(), 0.0);
    }
}
