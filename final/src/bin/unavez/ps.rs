//! The processes that are attached to the daemon of this host.

use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use unavez::observe::{ObserveError, Observer, PortInfo, ProcessInfo};

use crate::{Result, net};

/// Prints the processes that are attached to the daemon of this host, and their ports.
///
/// CALLS have not ended. Requests IN HAND were handed over and are not answered. WAITING are messages
/// that the process has not read. Only root and the daemon's own user may see it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 done, 1 there is no daemon or it refuses, 2 usage.

Examples:
  unavez ps
  unavez ps --socket /run/unavez/unavezd.sock
  unavez ps --json | jq '.processes[] | select(.calls > 0) | .pid'")]
pub(crate) struct Args {
    #[command(flatten)]
    daemon: net::DaemonArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut observer = match args.daemon.observe() {
        Ok(observer) => observer,
        Err(error) => return net::fail(error),
    };
    let attached = match Attached::see(&mut observer) {
        Ok(attached) => attached,
        Err(error) => return net::fail(error),
    };
    match args.json {
        true => writeln!(stdout(), "{}", json!({ "processes": attached.json() }))?,
        false => write!(stdout(), "{}", attached.table())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Who is attached.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) processes: Vec<ProcessInfo>,
    pub(crate) ports: Vec<PortInfo>,
}

impl Attached {
    pub(crate) fn see(observer: &mut Observer) -> std::result::Result<Attached, ObserveError> {
        // Those that come meanwhile have no ports yet; ports of those that leave are left out.
        let processes = observer.processes()?;
        Ok(Attached { processes, ports: observer.ports()? })
    }

    /// A line for each process.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "PROCESS      PID     USER  CHANNEL  CALLS  IN HAND  WAITING  ATTACHED  PORTS\n",
        );
        for process in &self.processes {
            let ports: Vec<String> = self.ports_of(process).map(show_port).collect();
            let line = format!(
                "{:>7}  {:>7}  {:>7}  {:<7}  {:>5}  {:>7}  {:>7}  {:>8}  {}",
                process.id,
                process.pid,
                process.user,
                process.kind.to_string(),
                process.calls,
                process.in_hand,
                process.waiting,
                show_age(process.attached),
                ports.join(" "),
            );
            let _ = writeln!(table, "{}", line.trim_end());
        }
        table
    }

    pub(crate) fn json(&self) -> Value {
        let port = |port: &PortInfo| {
            json!({
                "port": port.port.0, "names": port.names, "in_hand": port.in_hand,
                "free": port.free,
            })
        };
        let process = |process: &ProcessInfo| {
            json!({
                "process": process.id, "pid": process.pid, "user": process.user,
                "channel": process.kind.to_string(), "calls": process.calls,
                "in_hand": process.in_hand, "waiting": process.waiting,
                "attached_s": process.attached.as_secs_f64(),
                "ports": self.ports_of(process).map(port).collect::<Value>(),
            })
        };
        self.processes.iter().map(process).collect()
    }

    fn ports_of(&self, process: &ProcessInfo) -> impl Iterator<Item = &PortInfo> {
        let id = process.id;
        self.ports.iter().filter(move |port| port.process == id)
    }
}

/// `3`, or `3(echo,upper)`. Whoever registered a name chose its characters.
fn show_port(port: &PortInfo) -> String {
    match show_names(port) {
        names if names.is_empty() => port.port.0.to_string(),
        names => format!("{}({names})", port.port.0),
    }
}

pub(crate) fn show_names(port: &PortInfo) -> String {
    let names: Vec<String> = port.names.iter().map(|name| name.escape_debug().collect()).collect();
    names.join(",")
}

/// In the two greatest units.
fn show_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        // Each unit's first and last moment.
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (3599, "59m59s"),
            (3600, "1h00m"),
            (86399, "23h59m"),
            (86400, "1d00h"),
            (90000, "1d01h"),
        ] {
            assert_eq!(show_age(Duration::from_secs(seconds)), shown);
        }
    }
}
