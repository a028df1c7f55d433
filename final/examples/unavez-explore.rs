//! Exploration of the real core: `cargo run --release --example unavez-explore -- --faults 3`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use unavez::protocol::Broken;
use unavez_sim::{Case, Exploration, cases, catch, explore, run};

/// So many lines of a trace are read by somebody.
const LINES_MAX: usize = 60;

/// Runs small scenarios with every fault at every place, up to so many at once.
///
/// Exit code 1 says that a promise was broken; then the shortest plan is printed with its trace. With
/// --broken, rules are switched off one by one, and exit code 1 says that one of them was not missed.
#[derive(Debug, Parser)]
struct Args {
    /// How many faults at once; each case's own number if not given
    #[arg(long)]
    faults: Option<usize>,
    /// Only cases whose name has this, or rules whose name has it
    #[arg(default_value = "")]
    only: String,
    /// Break each rule on purpose and print the shortest plan that shows it
    #[arg(long)]
    broken: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.broken { break_all(&args) } else { explore_all(&args) }
}

fn explore_all(args: &Args) -> ExitCode {
    let mut held = true;
    for case in cases().into_iter().filter(|case| case.name.contains(&args.only)) {
        let began = Instant::now();
        let exploration = explore(&case.scenario, &case.faults, args.faults.unwrap_or(case.depth));
        report(&case, &exploration, began);
        held &= exploration.broken.is_none();
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn break_all(args: &Args) -> ExitCode {
    let mut missed = 0;
    let rules = Broken::ALL.iter().filter(|rule| format!("{rule:?}").contains(&args.only));
    for rule in rules {
        println!("\n{} broken: {} ({rule:?})", rule.rule(), rule.describe());
        let began = Instant::now();
        let (case, exploration) = catch(*rule);
        report(&case, &exploration, began);
        missed += u32::from(exploration.broken.is_none());
    }
    println!("\n{missed} rules could be broken unseen");
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(case: &Case, exploration: &Exploration, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    println!("{}: {} plans in {seconds:.1} s", case.name, exploration.plans);
    let Some((scenario, breach)) = &exploration.broken else { return };
    println!("  {breach}, with {} faults:", scenario.faults.len());
    scenario.faults.iter().for_each(|fault| println!("  {fault}"));
    run(scenario, true).lines.iter().take(LINES_MAX).for_each(|line| println!("{line}"));
}
