//! The other processes: the server of everything, and the daemons of each host.
//!
//! Invariant: each ends when its input does, and so with the process that started it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::{env, fs, io};

use step6_daemon::daemon as ipcd;
use tempfile::TempDir;
use unavez::daemon as unavezd;

use super::steps::HERE;
use super::ways::WAYS;
use super::{Host, Result, pin};

/// All of them; they end with this value.
pub(crate) struct Peers {
    /// The client's host.
    pub(crate) near: Host,
    /// Where each way is served.
    pub(crate) served: Vec<String>,
    _processes: Vec<Running>,
    _place: TempDir,
}

struct Running(Child);

impl Peers {
    pub(crate) fn start(server_cpu: usize) -> Result<Peers> {
        let place = tempfile::tempdir()?;
        let hosts = [("near", 0), ("far", server_cpu)]
            .map(|(name, cpu)| (Host { daemons: place.path().join(name), server_cpu }, cpu));
        let mut processes = Vec::new();
        for (host, cpu) in &hosts {
            fs::create_dir(&host.daemons)?;
            processes.push(Running::start("daemons", *cpu, &host.daemons, 1)?.0);
        }
        let [(near, _), (far, _)] = hosts;
        let (server, served) = Running::start("server", server_cpu, &far.daemons, WAYS.len())?;
        processes.push(server);
        // They go the other way round: the daemons last.
        processes.reverse();
        Ok(Peers { near, served, _processes: processes, _place: place })
    }
}

impl Running {
    /// Starts a process and reads so many lines.
    fn start(
        role: &str,
        cpu: usize,
        daemons: &Path,
        lines: usize,
    ) -> Result<(Running, Vec<String>)> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["price-peer", role, &cpu.to_string()]).arg(daemons);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = BufReader::new(process.stdout.take().ok_or("it is piped")?);
        let running = Running(process);
        let said = out.lines().take(lines).collect::<io::Result<Vec<String>>>()?;
        if said.len() < lines {
            return Err(format!("the process for the {role} did not start").into());
        }
        Ok((running, said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Host {
    /// The state directory of the paper's daemon.
    pub(crate) fn ipcd(&self) -> PathBuf {
        self.daemons.join("ipcd")
    }

    /// The socket of the product's.
    pub(crate) fn unavezd(&self) -> PathBuf {
        self.daemons.join("unavezd.sock")
    }
}

/// What one of these processes does: `server` or `daemons`.
///
/// # Errors
/// It has failed to begin.
pub fn play_peer(role: &str, cpu: usize, daemons: PathBuf) -> Result<()> {
    pin(cpu)?;
    let host = Host { daemons, server_cpu: cpu };
    match role {
        "server" => serve(&host),
        _ => run_daemons(&host),
    }
}

fn run_daemons(host: &Host) -> Result<()> {
    let options = ipcd::Options {
        listen: HERE,
        state: host.ipcd(),
        trace: false,
        faults: ipcd::Faults::default(),
    };
    let _ipcd = ipcd::Daemon::start(options)?;
    let options = unavezd::Options {
        listen: HERE,
        socket: Some(host.unavezd()),
        ..unavezd::Options::new(host.daemons.join("unavezd"))
    };
    let _unavezd = unavezd::Daemon::start(options)?;
    println!("here");
    wait_for_end()
}

fn serve(host: &Host) -> Result<()> {
    for way in WAYS {
        println!("{}", (way.serve)(host)?);
    }
    wait_for_end()?;
    // Its threads serve without end.
    process::exit(0)
}

fn wait_for_end() -> Result<()> {
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
