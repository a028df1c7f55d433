//! `unavez` beside TCP, QUIC and bare UDP: the same work, done by all in turns.

mod contender;
mod csv;
mod floods;
mod lan;
mod link;
mod machine;
mod measure;
mod network;
mod orders;
mod peers;
mod places;
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

use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use self::contender::Contender;
use self::link::{Hop, parse_hop};
use self::machine::Machine;
use self::network::{Rate, parse_rate};
use self::places::{Bench, LONGEST, Plan, SMALL};
use self::process::INTERRUPTED;
use self::report::{FORMAT, Report};
use self::rounds::Limits;
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
/// is also measured how much of the wire a long message gets, how two flows share it, how small calls
/// fare beside a long transfer, and what lost packets do.
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
  unavez bench --quick                             loopback, in less than a minute
  unavez bench --json result.json --csv result.csv everything: about half an hour
  unavez bench plot result.json --out figures      and what it looks like
  unavez bench --on lan --rates 10M --losses 1%    the paper's LAN, and one that loses packets
  unavez bench --on man --hops 2M/20ms/1%          one long and bad link
  unavez bench --filter unavezd,tcp-open --sizes 64,1k --on loopback
  unavez bench --sizes 64 --rounds 1000 --on loopback"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Less of everything
    #[arg(long)]
    quick: bool,
    /// Where [default: all, or loopback with --quick]
    #[arg(long, value_name = "PLACES", value_delimiter = ',')]
    on: Vec<Place>,
    /// How many bytes go there and back: 1,64,1k,3.5M [default: 1,16,32,64,256,1k,8k,64k,512k,3.5M]
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = parse_size)]
    sizes: Vec<usize>,
    /// The wires of the LAN, in bits a second each way, or `none` for one that is as fast as the
    /// machine
    #[arg(long, value_name = "RATES", value_delimiter = ',', default_value = "10M,100M,none", value_parser = parse_rate)]
    rates: Vec<Rate>,
    /// The shares of packets that get lost on a LAN with a rate, beside none
    #[arg(long, value_name = "SHARES", value_delimiter = ',', default_value = "1%,5%", value_parser = parse_share)]
    losses: Vec<f64>,
    /// The links of the MAN, from the client to the server: RATE/DELAY or RATE/DELAY/LOSS each
    #[arg(long, value_name = "HOPS", value_delimiter = ',', default_value = HOPS, value_parser = parse_hop)]
    hops: Vec<Hop>,
    /// Which packets get lost: the same seed, the same ones
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How many rounds at most [default: 200, or 30 with --quick]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: Option<u32>,
    /// How long all rounds of one table may take; three are made in any case [default: 5s, or 2s with
    /// --quick]
    #[arg(long, value_name = "TIME", value_parser = parse_period)]
    time: Option<Duration>,
    /// Only contenders with one of these in their names, beside those that all are compared with
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    filter: Vec<String>,
    /// How many small calls are open at a time where many are
    #[arg(long, value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1024))]
    open: u32,
    /// Write all figures, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write all figures, a line for each, for spreadsheets
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Plot(plot::Args),
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
const QUICK_SIZES: [usize; 4] = [1, SMALL, 1 << 10, 64 << 10];
/// As few rounds as there are at least, however long they take.
const ROUNDS_MIN: usize = 3;

pub(crate) fn run(args: &Args) -> Result {
    if let Some(Command::Plot(args)) = &args.command {
        return plot::run(args);
    }
    let plan = args.plan()?;
    let files = Files::create(args)?;
    // Before there are threads.
    let able = space::become_able();
    let stop = net::on_stop()?;
    let machine = Machine::here();
    let mut out = stdout();
    writeln!(out, "{machine}")?;
    write!(out, "{}", table::warnings(machine.optimized, able.as_ref().err().map(String::as_str)))?;
    write!(out, "{}", table::LEGEND)?;
    let mut report = Report {
        unavez_bench: FORMAT,
        machine,
        command: std::env::args().skip(1).collect(),
        private_network: able.is_ok(),
        tables: Vec::new(),
    };
    let bar = bar()?;
    let done = Box::new(|table: report::Table| {
        // The bar stands below what is printed.
        bar.suspend(|| write!(stdout(), "\n{}", table.text()))?;
        report.tables.push(table);
        Ok(())
    });
    let mut bench = Bench { plan, stop, bar: bar.clone(), done };
    let ended = args.measure(&mut bench, able);
    drop(bench);
    bar.finish_and_clear();
    files.write(&report)?;
    match ended {
        Err(error) if error.to_string() == INTERRUPTED => {
            eprintln!("stopped before the end; what was done is above");
            Ok(ExitCode::FAILURE)
        }
        ended => ended.map(|()| ExitCode::SUCCESS),
    }
}

impl Args {
    fn plan(&self) -> Result<Plan> {
        if self.hops.len() > route::HOPS_MAX {
            return Err(format!("--hops: a MAN has {} hops at most", route::HOPS_MAX).into());
        }
        let (sizes, rounds, seconds) =
            if self.quick { (&QUICK_SIZES[..], 30, 2) } else { (&SIZES[..], 200, 5) };
        Ok(Plan {
            contenders: Contender::chosen(&self.filter)?,
            sizes: if self.sizes.is_empty() { sizes.into() } else { self.sizes.clone() },
            limits: Limits {
                rounds: self.rounds.unwrap_or(rounds) as usize,
                rounds_min: ROUNDS_MIN,
                time: self.time.unwrap_or(Duration::from_secs(seconds)),
                calls: None,
            },
            open: self.open,
        })
    }

    fn measure(&self, bench: &mut Bench, able: std::result::Result<(), String>) -> Result<()> {
        let places = match (&self.on[..], self.quick) {
            ([], true) => &[Place::Loopback][..],
            ([], false) => &[Place::Loopback, Place::Lan, Place::Man],
            (places, _) => places,
        };
        if places.contains(&Place::Loopback) {
            let space = able.is_ok().then(Space::new).transpose()?;
            bench.loopback(space.as_ref())?;
        }
        if let Err(why) = able {
            if places.iter().any(|place| *place != Place::Loopback) {
                writeln!(stdout(), "\nLAN and MAN are left out: they need namespaces, and {why}.")?;
            }
            return Ok(());
        }
        let links = tun::can_open();
        if places.contains(&Place::Lan) {
            for rate in &self.rates {
                match (rate.0, &links) {
                    (None, _) => bench.fast_lan()?,
                    (Some(rate), Ok(())) => bench.lan(rate, &self.losses, self.seed)?,
                    (Some(_), Err(_)) => {}
                }
            }
        }
        if places.contains(&Place::Man) && links.is_ok() {
            bench.man(&self.hops, self.seed)?;
        }
        if let Err(why) = links {
            writeln!(stdout(), "\nLinks with a rate are left out: {why}.")?;
        }
        Ok(())
    }
}

/// It shows itself on a terminal only.
fn bar() -> Result<ProgressBar> {
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} rounds  {elapsed}  {msg}")?);
    Ok(bar)
}

/// Where the figures go, opened before the work is done.
struct Files {
    json: Option<File>,
    csv: Option<File>,
}

impl Files {
    fn create(args: &Args) -> Result<Files> {
        let create = |path: &Path| {
            File::create(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        Ok(Files {
            json: args.json.as_deref().map(create).transpose()?,
            csv: args.csv.as_deref().map(create).transpose()?,
        })
    }

    fn write(self, report: &Report) -> Result<()> {
        if let Some(json) = self.json {
            let mut out = BufWriter::new(json);
            serde_json::to_writer_pretty(&mut out, report)?;
            writeln!(out)?;
            out.flush()?;
        }
        if let Some(csv) = self.csv {
            let mut out = BufWriter::new(csv);
            csv::write(report, &mut out)?;
            out.flush()?;
        }
        Ok(())
    }
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
