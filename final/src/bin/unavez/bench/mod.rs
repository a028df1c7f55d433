//! `unavez` beside TCP, QUIC and bare UDP: the same work, done by all in turns.

mod claims;
mod compare;
mod contender;
mod csv;
mod files;
mod floods;
mod lan;
mod link;
mod losses;
mod machine;
mod measure;
mod network;
mod orders;
mod peers;
mod places;
mod plan;
mod plot;
mod process;
mod report;
pub(crate) mod role;
mod rounds;
mod route;
mod scene;
mod space;
mod stats;
mod table;
mod tun;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use self::contender::Contender;
use self::files::Files;
use self::link::{Hop, parse_hop};
use self::machine::Machine;
use self::network::{NetworkKind, Rate, parse_rate};
use self::places::Bench;
use self::plan::{Budget, LONGEST, SMALL, Venue, Wanted};
use self::process::INTERRUPTED;
use self::report::{FORMAT, Report};
use self::space::Space;
use crate::args::{parse_period, parse_share};
use crate::{Result, net};

/// Compares unavez with TCP, QUIC and bare UDP.
///
/// A client and a server run as two processes and exchange requests and replies by each contender in
/// turn, a few at a time, so that whatever else the machine does hits all alike. The floor is a plain
/// UDP echo, which nobody can beat and which repairs nothing. The paper's opponent is TCP with a
/// connection for each request; TCP and QUIC that keep a connection are there, too.
///
/// They meet on loopback, with all processes on one core and then with a core for each side; on a LAN,
/// two hosts (network namespaces) and a wire of a given rate; and on a MAN, two LANs with routers between
/// them, whose links have a rate, a delay and a loss each. Rates and delays are checked first. There it
/// is also measured how much of the wire a long message gets and, where it has a rate, how two flows share
/// it, how small calls fare beside a long transfer, and what lost packets do.
///
/// All processes are started several times, and the places are visited in turns, so that each start is far
/// from the next one. The tables stand in the end.
///
/// At the end stands which of the paper's claims hold (§5), and where and why unavez takes longer than
/// TCP.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Contenders: udp (the floor), udp-batch (the floor for many calls at a time, by sendmmsg and recvmmsg),
tcp-each (a connection for each request), tcp-fast-open (RFC 7413), tcp-open (one connection, kept),
quic-each, quic-open, unavez (a site in the process), unavezd-shm, unavezd-sysv (by two daemons, over
shared memory and over System V queues).

Exit codes: 0 done, 1 stopped before the end (what was done is printed), 2 usage, or this machine is
at fault.

Examples:
  unavez bench --out comparison                    everything, with figures, in less than ten minutes
  unavez bench --quick                             less of it, in less than a minute
  unavez bench compare a/result.json b/result.json do two runs say the same?
  unavez bench --on lan --rates 10M --losses 1%    the paper's LAN, and one that loses packets
  unavez bench --on man --hops 2M/20ms/1%          one long and bad link
  unavez bench --filter unavezd,tcp-open --sizes 64,1k --on loopback
  unavez bench --sizes 64 --rounds 1000 --on loopback"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Fewer sizes, one LAN, and exchanges only
    #[arg(long)]
    quick: bool,
    /// Where [default: all]
    #[arg(long, value_name = "PLACES", value_delimiter = ',')]
    on: Vec<Place>,
    /// How many bytes go there and back: 1,64,1k,3.5M [default:
    /// 1,16,32,64,256,1k,8k,64k,512k,3.5M, or 1,64,1k,32k with --quick]
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = parse_size)]
    sizes: Vec<usize>,
    /// The wires of the LAN, in bits a second each way, or `none` for one that is as fast as the
    /// machine [default: 10M,100M,none, or 10M with --quick]
    #[arg(long, value_name = "RATES", value_delimiter = ',', value_parser = parse_rate)]
    rates: Vec<Rate>,
    /// The shares of packets that get lost, beside none, on the fastest LAN with a rate [default:
    /// 1%,5%, or none with --quick]
    #[arg(long, value_name = "SHARES", value_delimiter = ',', value_parser = parse_share)]
    losses: Vec<f64>,
    /// The links of the MAN, from the client to the server: RATE/DELAY or RATE/DELAY/LOSS each
    #[arg(long, value_name = "HOPS", value_delimiter = ',', default_value = HOPS, value_parser = parse_hop)]
    hops: Vec<Hop>,
    /// Which packets get lost: the same seed, the same ones
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How often all processes are started anew
    #[arg(long, value_name = "NUMBER", default_value_t = plan::PASSES, value_parser = clap::value_parser!(u32).range(1..=1000))]
    starts: u32,
    /// How many rounds of a table at most, after each start
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// How long all may take; one round of each table after each start is made in any case [default:
    /// 510s, or 48s with --quick]
    #[arg(long, value_name = "TIME", value_parser = parse_period)]
    time: Option<Duration>,
    /// Only contenders with one of these in their names, beside those that all are compared with
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    filter: Vec<String>,
    /// How many small calls are open at a time where many are
    #[arg(long, value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1024))]
    open: u32,
    /// Write all of it there: result.json, result.csv, and figures as SVG
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Write what was measured, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write it a figure a line, for spreadsheets
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Plot(plot::Args),
    Compare(compare::Args),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Place {
    Loopback,
    Lan,
    Man,
}

/// The paper's MAN had 10 Mb/s in the LANs at both ends, and three routers (§5.2).
const HOPS: &str = "10M/100us,34M/1ms,34M/1ms,10M/100us";
const SIZES: [usize; 10] = [1, 16, 32, SMALL, 256, 1 << 10, 8 << 10, 64 << 10, 512 << 10, LONGEST];
const QUICK_SIZES: [usize; 4] = [1, SMALL, 1 << 10, 32 << 10];
const RATES: [Option<u64>; 3] = [Some(10_000_000), Some(100_000_000), None];
const LOSSES: [f64; 2] = [0.01, 0.05];
/// How long all takes.
const TIME: Duration = Duration::from_secs(510);
const QUICK_TIME: Duration = Duration::from_secs(48);

pub(crate) fn run(args: &Args) -> Result {
    match &args.command {
        Some(Command::Plot(args)) => return plot::run(args),
        Some(Command::Compare(args)) => return compare::run(args),
        None => {}
    }
    let (named, contenders) = (Contender::named(&args.filter)?, Contender::chosen(&args.filter)?);
    let mut venues = args.venues()?;
    let files = Files::create(args.out.as_deref(), args.json.as_deref(), args.csv.as_deref())?;
    // Before there are threads.
    let able = space::become_able();
    let stop = net::on_stop()?;
    let machine = Machine::here();
    let mut out = stdout();
    writeln!(out, "{machine}")?;
    write!(out, "{}", table::warnings(machine.optimized, able.as_ref().err().map(String::as_str)))?;
    write!(out, "{}", table::legend(args.starts as usize))?;
    let left_out = leave_out(&mut venues, &able);
    let mut tables = Vec::new();
    let time = args.time.unwrap_or(if args.quick { QUICK_TIME } else { TIME });
    let budget = Budget::new(time, args.starts as usize, &venues, &contenders);
    let bar = bar(budget.parts())?;
    let done = Box::new(|table: report::Table| {
        // The bar stands below what is printed.
        bar.suspend(|| write!(stdout(), "\n{}", table.text()))?;
        tables.push(table);
        Ok(())
    });
    let (passes, rounds, seed) = (args.starts as usize, args.rounds as usize, args.seed);
    let mut bench =
        Bench { contenders, named, passes, rounds, seed, budget, stop, bar: bar.clone(), done };
    let ended = visit(&mut bench, &venues, able.is_ok());
    drop(bench);
    bar.finish_and_clear();
    // What is kept is judged, so that it is judged alike again.
    let tables: Vec<report::Table> = files::rounded(&tables)?;
    let report = Report {
        unavez_bench: FORMAT,
        machine,
        command: std::env::args().skip(1).collect(),
        private_network: able.is_ok(),
        claims: claims::judge(&tables, able.is_ok()),
        losses: losses::find(&tables),
        tables,
    };
    for text in [losses::text(&report.losses), claims::text(&report.claims)] {
        write!(out, "\n{text}")?;
    }
    left_out.iter().try_for_each(|why| writeln!(out, "\n{why}"))?;
    files.write(&report)?;
    match ended {
        Err(error) if error.to_string() == INTERRUPTED => {
            eprintln!("stopped before the end; what was done is above");
            Ok(ExitCode::FAILURE)
        }
        ended => ended.map(|()| ExitCode::SUCCESS),
    }
}

fn visit(bench: &mut Bench, venues: &[Venue], able: bool) -> Result<()> {
    let space = able.then(Space::new).transpose()?;
    bench.visit(venues, space.as_ref())
}

/// Only places that this machine allows stay; returns why the others do not.
fn leave_out(venues: &mut Vec<Venue>, able: &std::result::Result<(), String>) -> Vec<String> {
    let mut left_out = Vec::new();
    let mut only = |why: String, may: &dyn Fn(&Venue) -> bool| {
        let before = venues.len();
        venues.retain(may);
        if venues.len() < before {
            left_out.push(why);
        }
    };
    if let Err(why) = able {
        let why = format!("LAN and MAN are left out: they need namespaces, and {why}.");
        only(why, &|venue| venue.network.kind == NetworkKind::Loopback);
    } else if let Err(why) = tun::can_open() {
        let why = format!("Links with a rate are left out: {why}.");
        only(why, &|venue| venue.hops.is_empty());
    }
    left_out
}

impl Args {
    fn venues(&self) -> Result<Vec<Venue>> {
        if self.hops.len() > route::HOPS_MAX {
            return Err(format!("--hops: a MAN has {} hops at most", route::HOPS_MAX).into());
        }
        let usual = if self.quick { &QUICK_SIZES[..] } else { &SIZES };
        let wanted = Wanted {
            sizes: if self.sizes.is_empty() { usual.into() } else { self.sizes.clone() },
            open: self.open,
            quick: self.quick,
            placements: plan::placements()?,
        };
        let rates: Vec<Option<u64>> = match (&self.rates[..], self.quick) {
            ([], true) => RATES[..1].into(),
            ([], false) => RATES.into(),
            (rates, _) => rates.iter().map(|rate| rate.0).collect(),
        };
        let losses = match (&self.losses[..], self.quick) {
            ([], true) => &[],
            ([], false) => &LOSSES[..],
            (losses, _) => losses,
        };
        let mut venues = Vec::new();
        if self.visits(Place::Loopback) {
            venues.extend(wanted.loopback());
        }
        if self.visits(Place::Lan) {
            venues.extend(rates.iter().map(|rate| wanted.lan(*rate)));
            let fastest = rates.iter().flatten().max();
            let lossy =
                |rate: &u64| losses.iter().map(|loss| wanted.lossy_lan(*rate, *loss)).collect();
            venues.extend::<Vec<Venue>>(fastest.map(lossy).unwrap_or_default());
        }
        if self.visits(Place::Man) {
            venues.push(wanted.man(&self.hops));
        }
        Ok(venues)
    }

    fn visits(&self, place: Place) -> bool {
        self.on.is_empty() || self.on.contains(&place)
    }
}

/// It shows itself on a terminal only.
fn bar(parts: usize) -> Result<ProgressBar> {
    let bar = ProgressBar::new(parts as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len}  {elapsed}  {msg}")?);
    Ok(bar)
}

/// A length: bytes, or KiB and MiB as `k` and `M`.
fn parse_size(text: &str) -> std::result::Result<usize, &'static str> {
    const ALLOWED: &str = "a size is from 1 to 16M: 64, 1k (1,024 bytes) or 3.5M";
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1024.0),
        None => match text.strip_suffix('M') {
            Some(number) => (number, 1_048_576.0),
            None => (text, 1.0),
        },
    };
    let size = number.parse().map(|number: f64| number * unit).map_err(|_| ALLOWED)?;
    let whole = size.fract() == 0.0 && (1.0..=16_777_216.0).contains(&size);
    if whole { Ok(size as usize) } else { Err(ALLOWED) }
}

#[cfg(test)]
fn parse(line: &str) -> Args {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    <Line as clap::Parser>::parse_from(line.split(' ')).args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_or_none() {
        // What people write, and what they mistype.
        let sizes = ["1", "64", "1k", "1.5k", "3.5M", "16M"].map(|text| parse_size(text).unwrap());
        assert_eq!(sizes, [1, 64, 1024, 1536, LONGEST, 16 << 20]);
        for text in ["0", "-1", "1.5", "17M", "k", "", "1G", "NaN", "1e3k,"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
