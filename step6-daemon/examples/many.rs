//! Many calls at once by many processes: `cargo run --example step6-many -- --help`.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use step6_daemon::{Attachment, IpcClient, IpcPort, IpcServer, MsgId, RawMsg};

/// Calls an echo from threads of several processes, out of order, and checks that every reply comes
/// to its caller.
///
/// Exit code 1 says that one did not.
#[derive(Debug, Parser)]
struct Args {
    /// The state directory of this host's daemon
    #[arg(long, value_name = "DIRECTORY", default_value = "target/ipcd")]
    state: PathBuf,
    /// How many calls in all
    #[arg(long, default_value_t = 10_000)]
    calls: usize,
    /// How many processes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    processes: u32,
    /// How many threads in each
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Where the echo is: for the processes that this one starts
    #[arg(long, hide = true)]
    server: Option<IpcPort>,
}

/// How many calls a thread has open at once.
const OPEN: usize = 32;

fn main() -> ExitCode {
    lab::cli::run(|args: Args| match args.server {
        Some(server) => ask(&args, server),
        None => start(&args),
    })
}

/// Serves, and starts the processes that ask.
fn start(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let server = IpcServer::new(&Attachment::new(&args.state)?)?;
    let port = server.port().to_string();
    thread::spawn(move || echo(&server));
    let mut children = Vec::new();
    for _ in 0..args.processes {
        let calls = args.calls / args.processes as usize;
        let flags = [format!("--calls={calls}"), format!("--threads={}", args.threads)];
        let mut child = Command::new(std::env::current_exe()?);
        child.arg("--state").arg(&args.state).args(["--server", &port]).args(flags);
        children.push(child.spawn()?);
    }
    let held = children.iter_mut().map(Child::wait).all(|end| end.is_ok_and(|end| end.success()));
    println!("{} calls, {}", args.calls, if held { "every reply to its caller" } else { "broken" });
    Ok(lab::cli::verdict(held))
}

/// Answers every other request from another thread, so that replies come out of order.
fn echo(server: &IpcServer) {
    let (hand_on, handed) = mpsc::channel::<(RawMsg, MsgId)>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for (request, id) in handed {
                thread::sleep(Duration::from_millis(1));
                let _ = server.send_reply(id, request);
            }
        });
        while let Ok((request, id)) = server.receive_request() {
            match request.body.last() {
                Some(last) if last % 2 == 1 => drop(hand_on.send((request, id))),
                _ => drop(server.send_reply(id, request)),
            }
        }
    });
}

/// The threads of one process, each with its own share of the calls.
fn ask(args: &Args, server: IpcPort) -> Result<ExitCode, Box<dyn Error>> {
    let client = IpcClient::new(&Attachment::new(&args.state)?, server);
    let calls = args.calls / args.threads as usize;
    let client = &client;
    let held = thread::scope(|scope| {
        let threads: Vec<_> = (0..args.threads)
            .map(|thread| scope.spawn(move || one(client, thread, calls)))
            .collect();
        threads.into_iter().all(|thread| thread.join().is_ok_and(|wrong| wrong == 0))
    });
    Ok(lab::cli::verdict(held))
}

/// Sends many, then receives them in the other order; how many came back wrong.
fn one(client: &IpcClient, thread: u32, calls: usize) -> usize {
    let mut wrong = 0;
    for first in (0..calls).step_by(OPEN) {
        let mut open = HashMap::new();
        for number in first..calls.min(first + OPEN) {
            let body = format!("{} {thread} {number}", std::process::id());
            match client.send_request(RawMsg::from(body.as_str())) {
                Ok(id) => drop(open.insert(id, body)),
                Err(_) => wrong += 1,
            }
        }
        let mut ids: Vec<MsgId> = open.keys().copied().collect();
        ids.sort_by(|a, b| b.cmp(a));
        for id in ids {
            let reply = client.receive_reply(id);
            let right = reply.is_ok_and(|reply| reply.body == open[&id].as_bytes());
            wrong += usize::from(!right);
        }
    }
    wrong
}
