//! Kills at random moments, round after round: `cargo run -p unavez --example unavez-rounds -- --help`.

mod audit;
mod bank;
mod client;
#[allow(dead_code)] // Each of these programs needs a part of it.
#[path = "../proofs/mod.rs"]
mod proofs;
mod scene;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use unavez::attached::Kind;

use proofs::{Result, host};
use scene::Scene;

/// A bank at the daemon of one host, two clients with many calls in flight at that of another. In each
/// round some of the five processes are killed (kill -9, or, daemons only, SIGTERM) and started again,
/// and sometimes one is stopped for a while, under the others, which attach again by themselves; then
/// all must work again. What each caller was told of each call is held against the bank's journal.
///
/// Exit code 1 says that a promise was broken; then the round and what was done in it is printed.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// How many rounds
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// The same seed, the same kills and losses
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How messages travel between processes and daemons; both: drawn for each process
    #[arg(long, value_enum, default_value_t = Channel::Both)]
    channel: Channel,
    /// Which share of the datagrams is lost, and which is doubled
    #[arg(long, default_value_t = 0.01)]
    loss: f64,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Channel {
    Shm,
    Sysv,
    Both,
}

/// What the processes do that this program starts.
#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    Daemon(host::DaemonArgs),
    #[command(hide = true)]
    Bank(bank::Args),
    #[command(hide = true)]
    Client(client::Args),
}

fn main() -> ExitCode {
    lab::cli::run(|args: Args| match args.role {
        None => judge(&args),
        Some(Role::Daemon(args)) => host::run(args),
        Some(Role::Bank(args)) => bank::run(args),
        Some(Role::Client(args)) => client::run(args),
    })
}

fn judge(args: &Args) -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let channels: &[Kind] = match args.channel {
        Channel::Shm => &[Kind::Shm],
        Channel::Sysv => &[Kind::Sysv],
        Channel::Both => &[Kind::Shm, Kind::Sysv],
    };
    let style = "{wide_bar} {pos}/{len} rounds, {elapsed}, {eta} left, {msg}";
    let bar = ProgressBar::new(args.rounds.into()).with_style(ProgressStyle::with_template(style)?);
    let began = Instant::now();
    let random = Pcg64Mcg::seed_from_u64(args.seed);
    let mut scene = Scene::new(folder.path(), channels, args.loss, random)?;
    let (mut round, mut longest) = (0, Duration::ZERO);
    while round < args.rounds && scene.audit.broken.is_empty() {
        round += 1;
        let start = Instant::now();
        if let Err(error) = scene.round() {
            scene.audit.broken.push(error.to_string());
        }
        longest = longest.max(start.elapsed());
        bar.inc(1);
        bar.set_message(format!("{} calls, {} ran", scene.audit.ended, scene.audit.ran()));
    }
    let in_round = !scene.audit.broken.is_empty();
    if let Err(error) = scene.end() {
        scene.audit.broken.push(error.to_string());
    }
    bar.finish_and_clear();
    report(&scene, round, began.elapsed(), longest);
    let broken = &scene.audit.broken;
    if broken.is_empty() {
        println!("verdict: held: nothing ran twice, all was as it was told, and nothing is left");
        return Ok(lab::cli::verdict(true));
    }
    let when = if in_round {
        format!("in round {round} ({})", scene.done.join("; "))
    } else {
        "in the end".into()
    };
    println!("verdict: broken {when}; seed {}:", args.seed);
    broken.iter().take(20).for_each(|what| println!("  {what}"));
    if broken.len() > 20 {
        println!("  and {} more", broken.len() - 20);
    }
    Ok(lab::cli::verdict(false))
}

fn report(scene: &Scene, rounds: u32, took: Duration, longest: Duration) {
    let (audit, seconds) = (&scene.audit, took.as_secs_f64());
    println!("{rounds:>9} rounds in {seconds:.1} s, the longest {:.1} s", longest.as_secs_f64());
    for ((who, signal), count) in &scene.strikes {
        println!("{count:>9} {signal} to {who}");
    }
    println!("{:>9} calls ended, the latest {:?} after its time", audit.ended, audit.latest);
    for (how, count) in &audit.ends {
        println!("{count:>9}   {how}");
    }
    println!("{:>9} of the unknown, of which {} ran", audit.unknown(), audit.unknown_but_ran());
    println!("{:>9} calls were open when their client was killed", audit.untold);
    println!("{:>9} calls ran", audit.ran());
}
