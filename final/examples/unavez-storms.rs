//! Storms on the real core: `cargo run --release --example unavez-storms -- --storms 1000000`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use unavez::protocol::Note;
use unavez_sim::{Score, kind, run, shrink, storm, storms};

/// So many storms of a kind are made small.
const SHRUNK_MAX: usize = 8;
/// So many lines of a trace are read by somebody.
const LINES_MAX: usize = 120;

/// Runs seeded storms on the protocol's core and watches the promise at every event.
///
/// Exit code 1 says that a promise was broken; then the shortest trace that shows it is printed.
#[derive(Debug, Parser)]
struct Args {
    /// How many
    #[arg(long, default_value_t = 100_000)]
    storms: u64,
    /// The first one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the trace of this one, and no more
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.replay {
        Some(seed) => replay(seed),
        None => weather(&args),
    }
}

fn replay(seed: u64) -> ExitCode {
    let run = run(&storm(seed), true);
    run.lines.iter().for_each(|line| println!("{line}"));
    match run.breach {
        None => println!("storm {seed}: the promise holds"),
        Some(breach) => {
            println!("storm {seed}: {breach}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn weather(args: &Args) -> ExitCode {
    let style = "{wide_bar} {pos}/{len} storms, {per_sec}, {eta} left, {msg} broken";
    let style = ProgressStyle::with_template(style).expect("a template that indicatif reads");
    let bar = ProgressBar::new(args.storms).with_style(style).with_message("0");
    let broken = AtomicU64::new(0);
    let began = Instant::now();
    let score = storms(args.seed..args.seed + args.storms, None, |score| {
        bar.inc(1);
        if !score.broken.is_empty() {
            let broken = broken.fetch_add(1, Ordering::Relaxed) + 1;
            bar.set_message(broken.to_string());
        }
    });
    bar.finish_and_clear();
    report(&score, began.elapsed().as_secs_f64());
    let broken = broken.into_inner();
    if broken == 0 {
        println!("the promise holds in {} storms", args.storms);
        return ExitCode::SUCCESS;
    }
    println!("the promise is broken in {broken} storms:");
    score.broken.iter().for_each(|(seed, breach)| println!("  storm {seed}: {breach}"));
    let mut kinds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (seed, breach) in &score.broken {
        kinds.entry(kind(breach)).or_default().push(*seed);
    }
    for seeds in kinds.values() {
        let shrunk =
            seeds.iter().take(SHRUNK_MAX).map(|seed| (run(&shrink(&storm(*seed)), true), seed));
        let Some((run, seed)) = shrunk.min_by_key(|(run, _)| run.lines.len()) else { continue };
        println!("\nthe shortest trace, from storm {seed}:");
        let (lines, skipped) = (&run.lines, run.lines.len().saturating_sub(LINES_MAX));
        if skipped > 0 {
            println!("({skipped} lines before)");
        }
        lines[skipped..].iter().for_each(|line| println!("{line}"));
        println!("{}", run.breach.unwrap_or_default());
    }
    ExitCode::FAILURE
}

fn report(score: &Score, seconds: f64) {
    let storms: u64 = score.storms.values().sum();
    println!("{storms} storms in {seconds:.1} s: {:.0} a second", storms as f64 / seconds);
    score.storms.iter().for_each(|(season, count)| println!("{count:>12} {season:?}"));
    for (count, what) in
        [(score.calls, "calls"), (score.datagrams, "datagrams"), (score.events, "events")]
    {
        println!("{count:>12} {what}");
    }
    score.seen.outcomes.iter().for_each(|(outcome, count)| println!("{count:>12} {outcome}"));
    for note in Note::ALL {
        println!("{:>12} {note}", score.seen.notes.get(note).copied().unwrap_or(0));
    }
}
