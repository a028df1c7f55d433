//! The calls of the daemon of this host, as they go by.

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::args::parse_period;
use crate::{Result, net};

/// Prints what the daemon of this host sends and gets, and how its processes' calls end.
///
/// One line each: `->` a packet leaves, `<-` one comes; a port is asked, a call ends, and what no packet
/// shows. The daemon waits for nobody: whoever reads too slowly loses lines, and gets one that says how
/// many. Only root and the daemon's own user may see what others say.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 done, 1 there is no daemon, it has ended or it refuses, 2 usage.

Examples:
  unavez trace
  unavez trace --for 10s > calls.txt
  unavez trace | grep --line-buffered 'call ends: unknown'")]
pub(crate) struct Args {
    #[command(flatten)]
    daemon: net::DaemonArgs,
    /// Stop after so long [default: at Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_period)]
    so_long: Option<Duration>,
}

pub(crate) fn run(args: &Args) -> Result {
    let stop = net::on_stop()?;
    let observer = match args.daemon.observe() {
        Ok(observer) => observer,
        Err(error) => return net::fail(error),
    };
    let trace = match observer.trace(args.so_long.map(|so_long| Instant::now() + so_long)) {
        Ok(trace) => trace,
        Err(error) => return net::fail(error),
    };
    let stopper = trace.stopper();
    thread::spawn(move || {
        if stop.told.recv().is_ok() {
            stopper.stop();
        }
    });
    for line in trace {
        match line {
            // The standard output ends each line by writing it.
            Ok(line) => writeln!(stdout(), "{line}")?,
            Err(error) => return net::fail(error),
        }
    }
    Ok(ExitCode::SUCCESS)
}
