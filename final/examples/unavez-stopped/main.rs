//! Processes that are stopped beside others that work:
//! `cargo run --release -p unavez --example unavez-stopped -- --help`.

mod client;
#[allow(dead_code)] // Each of these programs needs a part of it.
#[path = "../proofs/mod.rs"]
mod proofs;
mod server;

use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, thread};

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::signal::Signal;
use unavez::attached::Kind;

use proofs::host::{self, anywhere};
use proofs::left::{Queues, left};
use proofs::process::Process;
use proofs::{LONG, Result, SOON, parse_channel};

/// A client calls a server, one call after the other, through the daemon of their host. In every second
/// batch of calls two other processes of this host are stopped (SIGSTOP): a server for which requests
/// wait, and a client for which replies do. After it they go on, and must get all that waited.
///
/// Exit code 1 says that a call had no reply of its own, or something that waited was lost. How long
/// calls take is only printed.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// How many batches with stopped processes, and as many without
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batches: u32,
    /// How many calls a batch has
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    calls: u32,
    /// How many requests wait, and how many replies
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1000))]
    waiting: u32,
    /// How messages travel between processes and the daemon: shm or sysv
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

/// The reply to a request, so long that those that wait do not fit into a channel.
fn long_reply(number: u64, secret: u64) -> String {
    format!("{:200}", proofs::reply(number, secret))
}

/// Who works, and who is stopped.
struct Scene {
    server: Process,
    client: Process,
    stopped_server: Process,
    stopped_client: Process,
    /// Asks the server that is stopped.
    asker: Process,
}

fn judge(args: &Args) -> Result<ExitCode> {
    let (folder, queues) = (tempfile::tempdir()?, Queues::begin()?);
    let (mut daemon, _) = host::start(folder.path(), anywhere(), 0.0, 0)?;
    let socket = host::socket(folder.path()).display().to_string();
    let mut scene = Scene::start(&socket, &args.channel.to_string())?;
    let style = "{wide_bar} {pos}/{len} batches, {eta} left";
    let bar = ProgressBar::new(u64::from(args.batches) * 2)
        .with_style(ProgressStyle::with_template(style)?);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut gathered = 0;
    // The first calls of all are slower: a name, a route, memory.
    scene.time(args.calls)?;
    for _ in 0..args.batches {
        without.extend(scene.time(args.calls)?);
        bar.inc(1);
        scene.stop(args.waiting)?;
        with.extend(scene.time(args.calls)?);
        gathered += scene.go_on(args.waiting)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let Scene { server, client, stopped_server, stopped_client, asker } = scene;
    for process in [client, stopped_client, asker, server, stopped_server] {
        process.end()?;
    }
    daemon.signal(Signal::SIGTERM)?;
    daemon.wait()?;
    let left = left(&[folder.path()], &queues)?;
    Ok(report(args, &mut without, &mut with, gathered, &left))
}

impl Scene {
    fn start(socket: &str, channel: &str) -> Result<Scene> {
        let start = |role, servers: &[&str]| -> Result<(Process, String)> {
            let process = Process::start(&[&[role, socket, channel], servers].concat())?;
            let line = process.hear()?;
            Ok((process, line))
        };
        let (server, ports) = start("server", &[])?;
        let (stopped_server, stopped_ports) = start("server", &[])?;
        let [answers, holds] = ports.split(' ').collect::<Vec<_>>()[..] else {
            return Err("a server says nothing of its ports".into());
        };
        let stopped_answers = stopped_ports.split(' ').next().unwrap_or_default();
        Ok(Scene {
            client: start("client", &[answers])?.0,
            stopped_client: start("client", &[holds])?.0,
            asker: start("client", &[stopped_answers])?.0,
            server,
            stopped_server,
        })
    }

    /// How long so many calls take, each; those without a reply of their own are not among them.
    fn time(&mut self, calls: u32) -> Result<Vec<u64>> {
        self.client.tell(&format!("time {calls}"))?;
        let line = self.client.hear()?;
        Ok(line.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?)
    }

    /// Stops two processes, and lets so many requests and replies wait for them.
    fn stop(&mut self, waiting: u32) -> Result<()> {
        let Scene { server, stopped_server, stopped_client, asker, .. } = self;
        stopped_client.tell(&format!("send {waiting}"))?;
        stopped_client.hear()?;
        let until = Instant::now() + LONG;
        loop {
            server.tell("count")?;
            if server.hear()? == waiting.to_string() {
                break;
            }
            if Instant::now() > until {
                return Err("the requests do not come".into());
            }
            thread::sleep(SOON);
        }
        for process in [stopped_client, stopped_server] {
            process.signal(Signal::SIGSTOP)?;
            while !is_stopped(process)? {
                thread::sleep(SOON);
            }
        }
        server.tell("release")?;
        server.hear()?;
        asker.tell(&format!("send {waiting}"))?;
        asker.hear()?;
        Ok(())
    }

    /// They go on; how many of the requests and replies that waited came.
    fn go_on(&mut self, waiting: u32) -> Result<u64> {
        self.stopped_client.signal(Signal::SIGCONT)?;
        self.stopped_server.signal(Signal::SIGCONT)?;
        let mut gathered = 0;
        for process in [&mut self.stopped_client, &mut self.asker] {
            process.tell(&format!("gather {waiting}"))?;
            gathered += process.hear()?.parse::<u64>()?;
        }
        Ok(gathered)
    }
}

fn is_stopped(process: &Process) -> Result<bool> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    Ok(status.lines().any(|line| line.starts_with("State:") && line.contains('T')))
}

fn report(
    args: &Args,
    without: &mut [u64],
    with: &mut [u64],
    gathered: u64,
    left: &[String],
) -> ExitCode {
    let wanted = args.batches as usize * args.calls as usize;
    let waited = u64::from(args.batches) * u64::from(args.waiting) * 2;
    let replies = (without.len(), with.len());
    println!("{} batches of {} calls each, {}", args.batches, args.calls, args.channel);
    println!("{:>10} {:>12} {:>12} {:>8}", "", "all work", "two stopped", "ratio");
    without.sort_unstable();
    with.sort_unstable();
    for (name, share) in [("median", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        let (without, with) = (quantile(without, share), quantile(with, share));
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        println!("{name:>10} {without:>12.1?} {with:>12.1?} {ratio:>8.2}");
    }
    println!("{:>10} {:>12} {:>12}  of {wanted} calls each", "replies", replies.0, replies.1);
    println!("{gathered} of {waited} requests and replies that waited for them came");
    left.iter().for_each(|what| println!("left behind: {what}"));
    let held = replies == (wanted, wanted) && gathered == waited && left.is_empty();
    let verdict = if held { "held: whoever is stopped keeps nobody from work" } else { "broken" };
    println!("verdict: {verdict}");
    lab::cli::verdict(held)
}

fn quantile(sorted: &[u64], share: f64) -> Duration {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    let nanos = sorted.get(at.saturating_sub(1)).copied().unwrap_or_default();
    Duration::from_nanos(nanos)
}
