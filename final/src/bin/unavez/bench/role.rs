//! The processes of the bench from inside: a client, a server, a daemon.
//!
//! Invariant: each ends when its input does, and so with the process that started it, however that ends.

use std::io::{self, BufRead, Read, Write, stdin, stdout};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::thread;

use crossbeam_channel::Receiver;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;
use unavez::daemon::{Daemon, Options};

use super::contender::Contender;
use super::link::{self, Hop};
use super::measure::Client;
use super::orders::{Addresses, Order, Role, Start};
use super::space::Space;
use super::{peers, tun};
use crate::Result;

/// A process of `unavez bench`; its first line of input says which.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run() -> Result {
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    let Start { cpu, ip, role } = serde_json::from_str(&line)?;
    if let Some(cpu) = cpu {
        pin(cpu)?;
    }
    match role {
        Role::Daemon => run_daemon(ip),
        Role::Server { contenders, daemon } => run_server(ip, &contenders, daemon),
        Role::Link { ends, hop, seed } => run_link(&ends, hop, seed),
        Role::Client { at, daemon, sides } => run_client(Client::new(ip, at, daemon, &sides)?),
    }
}

/// This process, and the threads that it begins from here on, on this core only.
fn pin(cpu: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

fn say(what: &impl Serialize) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}

/// Waits for the end of the process that started this one.
fn wait_for_end() -> io::Result<ExitCode> {
    stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(ExitCode::SUCCESS)
}

/// It takes its directory away by itself, so that it goes whatever became of the one who started it.
fn run_daemon(ip: IpAddr) -> Result {
    let place = tempfile::tempdir()?;
    let options = Options {
        listen: (ip, 0).into(),
        socket: Some(place.path().join("unavezd.sock")),
        ..Options::new(place.path().join("state"))
    };
    let daemon = Daemon::start(options)?;
    say(&daemon.socket())?;
    let ended = wait_for_end();
    drop(daemon);
    Ok(ended?)
}

fn run_server(ip: IpAddr, contenders: &[Contender], daemon: Option<PathBuf>) -> Result {
    let mut at = Addresses::new();
    for &contender in contenders {
        let served = peers::serve(contender, ip, daemon.as_deref());
        at.insert(contender, served.map_err(|error| error.to_string()));
    }
    say(&at)?;
    wait_for_end()?;
    // Its threads serve without end.
    process::exit(0)
}

fn run_link(ends: &[(String, String); 2], hop: Hop, seed: u64) -> Result {
    let open = |(space, name): &(String, String)| Space::at(space)?.within(|| tun::open(name));
    let ends = [open(&ends[0])?, open(&ends[1])?];
    say(&())?;
    thread::spawn(move || {
        if let Err(error) = link::carry(ends, hop, seed) {
            eprintln!("a link is broken: {error}");
        }
    });
    Ok(wait_for_end()?)
}

fn run_client(mut client: Client) -> Result {
    say(&())?;
    for line in lines() {
        let order: Order = serde_json::from_str(&line)?;
        say(&client.carry_out(order))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines of the input. When it ends the process does, also if an exchange hangs.
fn lines() -> Receiver<String> {
    let (line, lines) = crossbeam_channel::unbounded();
    thread::spawn(move || {
        let all = stdin().lock().lines().map_while(io::Result::ok);
        for text in all {
            let _ = line.send(text);
        }
        process::exit(0)
    });
    lines
}
