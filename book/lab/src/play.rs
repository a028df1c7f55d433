//! The command line of the steps' `play` examples: a fault plan on the bench.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::cli;
use crate::diagram::diagram;
use crate::explore::{Faults, explore};
use crate::node::Node;
use crate::plan::Plan;
use crate::world::run;

/// Plays a fault plan on the bench and prints the trace, then the verdict.
///
/// A plan is one line, its parts separated by ";". A is the client, B the server; packets and
/// executions are counted from 1:
///
///   drop reply 1                     duplicate request 1 by 3 s
///   delay packet 2 by 300 ms         reorder request 1
///   2 calls at once                  service takes 500 ms
///   crash B after execution 1 for 50 ms
///   2 clients                        pause A at 7 ms for 40 s
///   storm 7, restart storm 7, slow storm 7: random faults from a seed
///
/// Exit code 1 says that a promise was broken: a call ran twice, had a wrong reply or no end.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
struct Args {
    /// The fault plan
    #[arg(default_value = "no faults")]
    plan: Plan,
    /// Write the space-time diagram into this file, as SVG
    #[arg(long, value_name = "FILE", conflicts_with = "explore")]
    diagram: Option<PathBuf>,
    /// Add every fault of the network at every place, up to so many at once, and find the shortest
    /// plan that breaks a promise
    #[arg(long, value_name = "FAULTS", value_parser = clap::value_parser!(u8).range(1..=4))]
    explore: Option<u8>,
    /// Explore crashes, too
    #[arg(long, requires = "explore")]
    crashes: bool,
}

/// Runs the command line on a core.
pub fn main<N: Node>() -> ExitCode {
    cli::run(|args: Args| match args.explore {
        Some(faults_max) => search::<N>(&args, faults_max.into()),
        None => show::<N>(&args),
    })
}

fn show<N: Node>(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let run = run::<N>(&args.plan);
    write!(stdout(), "{run}")?;
    for fault in &run.unstruck {
        eprintln!("never came about: {fault}");
    }
    if let Some(file) = &args.diagram {
        fs::write(file, diagram(&run.events, &args.plan.to_string()))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(cli::verdict(run.verdict.breach().is_none()))
}

fn search<N: Node>(args: &Args, faults_max: usize) -> Result<ExitCode, Box<dyn Error>> {
    let faults = if args.crashes { Faults::Crashes } else { Faults::Network };
    let found = explore::<N>(&args.plan, faults, faults_max);
    let mut out = stdout();
    writeln!(out, "{} plans", found.plans)?;
    match &found.broken {
        None => writeln!(out, "verdict: no promise broken with up to {faults_max} faults")?,
        Some((plan, verdict)) => {
            writeln!(out, "shortest plan that breaks one: {plan}\nverdict: {verdict}")?;
        }
    }
    Ok(cli::verdict(found.broken.is_none()))
}
