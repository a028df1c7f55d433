//! `unavez` beside TCP, QUIC and bare UDP: the same work, done by all in turns.

mod contender;
mod machine;
mod measure;
mod orders;
mod peers;
mod process;
mod report;
pub(crate) mod role;
mod rounds;
mod scene;
mod space;
mod stats;
mod table;

use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use nix::sched::sched_getaffinity;
use nix::unistd::Pid;

use self::contender::Contender;
use self::machine::Machine;
use self::orders::Kind;
use self::process::INTERRUPTED;
use self::report::{FORMAT, Report, Table};
use self::rounds::{Limits, Workload};
use self::scene::{Host, Scene};
use self::space::Space;
use crate::net::Stop;
use crate::{Result, net};

/// Compares unavez with TCP, QUIC and bare UDP.
///
/// A client and a server run as two processes and exchange requests and replies by each contender in
/// turn, a few at a time, so that whatever else the machine does hits all alike: first with all
/// processes on one core, then with a core for each side. The floor is a plain UDP echo, which nobody
/// can beat and which repairs nothing. The paper's opponent is TCP with a connection for each request;
/// TCP and QUIC that keep a connection are there, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Contenders: udp (the floor), udp-batch (the floor for many calls at a time, by sendmmsg and recvmmsg),
tcp-each (a connection for each request), tcp-fast-open (RFC 7413), tcp-open (one connection, kept),
quic-each, quic-open, unavez (a site in the process), unavezd-shm, unavezd-sysv (by two daemons, over
shared memory and over System V queues).

Exit codes: 0 done, 1 stopped before the end (what was done is printed), 2 usage, or this machine is
at fault.

Examples:
  unavez bench --quick                             in less than a minute
  unavez bench --json result.json --csv result.csv
  unavez bench --filter unavezd,tcp-open --sizes 64,1k
  unavez bench --sizes 64 --rounds 1000            narrower intervals")]
pub(crate) struct Args {
    /// Less of everything: less than a minute
    #[arg(long)]
    quick: bool,
    /// How many bytes go there and back: 1,64,1k,3.5M [default: 1,64,1k,16k,256k,3.5M]
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = parse_size)]
    sizes: Vec<usize>,
    /// How many rounds at most [default: 200, or 30 with --quick]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: Option<u32>,
    /// How long all rounds of one table may take [default: 10s, or 2s with --quick]
    #[arg(long, value_name = "TIME", value_parser = crate::args::parse_period)]
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
    /// Write a line for each contender and table, for spreadsheets
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

const SIZES: [usize; 6] = [1, 64, 1 << 10, 16 << 10, 256 << 10, LONGEST];
const QUICK_SIZES: [usize; 4] = [1, 64, 1 << 10, 64 << 10];
/// As long as the paper's longest: 3.5 MB (§5).
const LONGEST: usize = 7 << 19;
/// How long a small call's message is, where many are open at a time.
const SMALL: usize = 64;

pub(crate) fn run(args: &Args) -> Result {
    let contenders = table::with_references(Contender::chosen(&args.filter)?);
    let files = Files::create(args)?;
    // Before there are threads.
    let able = space::become_able();
    let space = able.is_ok().then(Space::new).transpose()?;
    let stop = net::on_stop()?;
    let machine = Machine::here();
    let mut out = stdout();
    let Machine { cpu, cores, kernel, date, version, .. } = &machine;
    writeln!(out, "unavez {version}, {cpu}, {cores} cores, Linux {kernel}, {date}")?;
    write!(out, "{}", table::warnings(machine.optimized, able.err().as_deref()))?;
    write!(out, "{}", table::LEGEND)?;

    let mut report = Report {
        unavez_bench: FORMAT,
        machine,
        command: std::env::args().skip(1).collect(),
        private_network: space.is_some(),
        tables: Vec::new(),
    };
    let bench = Bench { args, contenders, space, stop, bar: bar()? };
    let done = bench.loopback(|table| {
        // The bar stands below what is printed.
        bench.bar.suspend(|| write!(stdout(), "\n{}", table.text()))?;
        report.tables.push(table);
        Ok(())
    });
    bench.bar.finish_and_clear();
    files.write(&report)?;
    match done {
        Err(error) if error.to_string() == INTERRUPTED => {
            eprintln!("stopped before the end; what was done is above");
            Ok(ExitCode::FAILURE)
        }
        done => done.map(|()| ExitCode::SUCCESS),
    }
}

struct Bench<'a> {
    args: &'a Args,
    contenders: Vec<Contender>,
    space: Option<Space>,
    stop: Stop,
    bar: ProgressBar,
}

impl Bench<'_> {
    fn loopback(&self, mut done: impl FnMut(Table) -> Result<()>) -> Result<()> {
        for (placement, cpus) in placements()? {
            let host = |cpu| Host {
                space: self.space.as_ref(),
                ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                cpu: Some(cpu),
            };
            let mut scene = Scene::start(cpus.map(host), &self.contenders, &self.stop)?;
            for workload in self.workloads() {
                self.bar.set_message(format!("loopback, {placement}"));
                let (all, limits) = (&self.contenders, self.limits());
                let measured =
                    rounds::measure(&mut scene, workload, all, limits, &self.bar, &self.stop)?;
                done(Table::new("loopback", placement, workload, measured))?;
            }
        }
        Ok(())
    }

    fn workloads(&self) -> Vec<Workload> {
        let sizes = match (&self.args.sizes[..], self.args.quick) {
            ([], true) => &QUICK_SIZES[..],
            ([], false) => &SIZES[..],
            (sizes, _) => sizes,
        };
        let exchanges = sizes.iter().map(|&len| Workload::Exchange(Kind { len }));
        exchanges.chain([Workload::Pipeline(Kind { len: SMALL }, self.args.open)]).collect()
    }

    fn limits(&self) -> Limits {
        let (rounds, time) = if self.args.quick { (30, 2) } else { (200, 10) };
        Limits {
            rounds: self.args.rounds.unwrap_or(rounds) as usize,
            rounds_min: 3,
            time: self.args.time.unwrap_or(Duration::from_secs(time)),
        }
    }
}

/// On which cores the two sides run, with a name.
fn placements() -> Result<Vec<(&'static str, [usize; 2])>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut cpus = (0..nix::sched::CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true));
    let first = cpus.next().ok_or("no core is allowed")?;
    let each = cpus.next().map(|second| ("a core each", [first, second]));
    Ok([("one core", [first, first])].into_iter().chain(each).collect())
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
            report.write_csv(&mut out)?;
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
