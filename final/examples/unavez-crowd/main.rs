//! Many processes at once: `cargo run --release -p unavez --example unavez-crowd -- --help`.

mod client;
#[allow(dead_code)] // Each of these programs needs a part of it.
#[path = "../proofs/mod.rs"]
mod proofs;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::signal::Signal;
use unavez::attached::Kind;

use client::Told;
use proofs::host::{self, anywhere};
use proofs::left::{Queues, left};
use proofs::process::Process;
use proofs::{LONG, Result, SOON, parse_channel};
use server::Ran;

/// Client processes call server processes, all threads at once, through the daemon of one host or those
/// of two. Each reply is one that only its own caller's request can give; what ran is compared with
/// what callers were told.
///
/// Exit code 1 says that a call did not run exactly once, or had no reply of its own.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// How many processes serve
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    servers: u64,
    /// How many processes call
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    clients: u64,
    /// How many threads all of them have
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(2..=4096))]
    threads: u64,
    /// How many calls
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    calls: u64,
    /// How many hosts, each with a daemon; half of the servers and half of the clients are at each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=2))]
    hosts: u64,
    /// How messages travel between processes and daemons: shm or sysv
    #[arg(long, default_value = "shm", value_parser = parse_channel)]
    channel: Kind,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What the processes do that this program starts.
#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    Daemon(host::DaemonArgs),
    #[command(hide = true)]
    Server(server::Args),
    #[command(hide = true)]
    Client(client::Args),
}

fn main() -> ExitCode {
    lab::cli::run(|args: Args| match args.role {
        None => judge(&args),
        Some(Role::Daemon(args)) => host::run(args),
        Some(Role::Server(args)) => server::run(args),
        Some(Role::Client(args)) => client::run(args),
    })
}

fn judge(args: &Args) -> Result<ExitCode> {
    let (folder, queues) = (tempfile::tempdir()?, Queues::begin()?);
    let places: Vec<PathBuf> =
        (0..args.hosts).map(|host| folder.path().join(format!("host-{host}"))).collect();
    let mut daemons = Vec::new();
    for place in &places {
        daemons.push(host::start(place, anywhere(), 0.0, 0)?.0);
    }
    // The first processes have the threads that do not divide.
    let processes = args.servers + args.clients;
    let threads = |at| (args.threads / processes + u64::from(at < args.threads % processes)).max(1);
    let at = |number: u64| host::socket(&places[(number % args.hosts) as usize]);
    let start = |role: &str, number: u64, threads: u64, rest: &[String]| {
        let (socket, channel) = (at(number).display().to_string(), args.channel.to_string());
        let own = [role.into(), socket, channel, threads.to_string()];
        Process::start(&[&own, rest].concat())
    };
    let (mut servers, mut ports) = (Vec::new(), Vec::new());
    for number in 0..args.servers {
        let most = args.calls.div_ceil(args.servers);
        let numbers = [number, args.servers, most].map(|it| it.to_string());
        let server = start("server", number, threads(number), &numbers)?;
        ports.push(server.hear()?);
        servers.push(server);
    }
    let mut clients = Vec::new();
    for number in 0..args.clients {
        let from = args.calls * number / args.clients;
        let to = args.calls * (number + 1) / args.clients;
        let numbers = [from, to].map(|it| it.to_string());
        let threads = threads(args.servers + number);
        clients.push(start("client", number, threads, &[&numbers[..], &ports].concat())?);
    }
    for client in &clients {
        client.hear()?;
    }
    let began = Instant::now();
    clients.iter_mut().try_for_each(|client| client.tell("go"))?;
    let told = follow(args.calls, &clients)?;
    let took = began.elapsed();

    let mut ran = Ran::default();
    for server in &mut servers {
        server.tell("count")?;
        ran.add(server.hear()?.parse()?);
    }
    clients.into_iter().chain(servers).try_for_each(Process::end)?;
    for mut daemon in daemons {
        daemon.signal(Signal::SIGTERM)?;
        daemon.wait()?;
    }
    let places: Vec<_> = places.iter().map(PathBuf::as_path).collect();
    Ok(report(args, took, &told, &ran, &left(&places, &queues)?))
}

/// Until all clients have said what they were told.
fn follow(calls: u64, clients: &[Process]) -> Result<Told> {
    let style = "{wide_bar} {pos}/{len} calls, {per_sec}, {eta} left";
    let bar = ProgressBar::new(calls).with_style(ProgressStyle::with_template(style)?);
    let (mut told, mut ended) = (Told::default(), 0);
    let mut last = Instant::now();
    while ended < clients.len() {
        let before = (bar.position(), ended);
        for client in clients {
            while let Some(line) = client.try_hear() {
                match line.strip_prefix("done ") {
                    Some(more) => bar.inc(more.parse()?),
                    None => {
                        told.add(&line.parse()?);
                        ended += 1;
                    }
                }
            }
        }
        if before != (bar.position(), ended) {
            last = Instant::now();
        }
        if last.elapsed() > LONG * 2 {
            return Err("for a minute no call has ended".into());
        }
        thread::sleep(SOON * 5);
    }
    bar.finish_and_clear();
    Ok(told)
}

fn report(args: &Args, took: Duration, told: &Told, ran: &Ran, left: &[String]) -> ExitCode {
    let seconds = took.as_secs_f64();
    let rate = args.calls as f64 / seconds;
    let Args { servers, clients, threads, hosts, channel, .. } = args;
    println!("{:>10} calls in {seconds:.1} s: {rate:.0} a second", args.calls);
    println!(
        "{:>10} servers, {clients} clients, {threads} threads, {hosts} hosts, {channel}",
        servers
    );
    for (count, what) in [
        (told.replied, "replied, each to its own caller"),
        (told.wrong, "had another call's reply"),
        (told.not_executed, "not executed"),
        (told.unknown, "unknown"),
        (ran.once, "ran once"),
        (ran.more, "ran more than once"),
        (ran.strange, "ran at a server that was not asked"),
    ] {
        println!("{count:>10} {what}");
    }
    left.iter().for_each(|what| println!("left behind: {what}"));
    // Nothing is lost here: whatever has no reply is a fault.
    let held = told.replied == args.calls
        && ran.once == args.calls
        && ran.more + ran.strange == 0
        && left.is_empty();
    println!("verdict: {}", if held { "held: every call ran exactly once" } else { "broken" });
    lab::cli::verdict(held)
}
