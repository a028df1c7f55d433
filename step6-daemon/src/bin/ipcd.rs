//! The daemon: `ipcd --help`.

use std::collections::BTreeSet;
use std::env;
use std::io::{Write, stdout};
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};
use step6_daemon::Daemon;
use step6_daemon::daemon::{Faults, Options};

const HELP: &str = "The communication server of this host, until it is interrupted

Usage: ipcd [--listen IP:PORT] [--state DIRECTORY] [--trace]
            [--drop NUMBERS] [--loss SHARE] [--duplicate SHARE] [--seed NUMBER]

  --listen IP:PORT    Where to listen; other hosts must reach it [default: 127.0.0.1:7373]
  --state DIRECTORY   Where it keeps its epoch, and processes find it [default: target/ipcd]
  --trace             Print every packet, with the thread that has it in hand
For trying things out:
  --drop NUMBERS      Lose exactly these of the packets sent: 1,3
  --loss SHARE        Lose this share of the packets sent: 0.3 [default: 0]
  --duplicate SHARE   Send this share of the packets twice: 0.2 [default: 0]
  --seed NUMBER       The same seed, the same losses [default: 1]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    // A value may stand behind "=" as well.
    let split = |flag: String| flag.splitn(2, '=').map(String::from).collect::<Vec<_>>();
    let flags: Vec<String> = env::args().skip(1).flat_map(split).collect();
    let Some(options) = parse(flags.into_iter())? else {
        return writeln!(stdout(), "{HELP}").map_err(|error| error.to_string());
    };
    // Before there are threads, so that none of them is interrupted.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block().map_err(|error| error.to_string())?;

    let place = format!("{} with {}", options.listen, options.state.display());
    let daemon = Daemon::start(options).map_err(|error| format!("{place}: {error}"))?;
    // Whoever started it may have stopped to read.
    let _ = writeln!(stdout(), "listening on {}", daemon.port());
    signals.wait().map_err(|error| error.to_string())?;
    let noted = daemon.noted();
    let noted: Vec<String> =
        noted.iter().map(|(what, times)| format!("; {what}: {times}")).collect();
    drop(daemon);
    let _ = writeln!(stdout(), "stopped{}", noted.concat());
    Ok(())
}

/// What the flags say; `None` is a call for help.
fn parse(mut flags: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        listen: ([127, 0, 0, 1], 7373).into(),
        state: "target/ipcd".into(),
        trace: false,
        faults: Faults { seed: 1, ..Faults::default() },
    };
    while let Some(flag) = flags.next() {
        let mut value = || flags.next().ok_or(format!("{flag} needs a value; see --help"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(None),
            "--trace" => options.trace = true,
            "--state" => options.state = value()?.into(),
            "--listen" => {
                let wrong = "an address is IP:PORT, like 127.0.0.1:7373 or [::1]:7373";
                options.listen = value()?.parse().map_err(|_| wrong)?;
            }
            "--drop" => options.faults.drop = numbers(&value()?)?,
            "--loss" => options.faults.loss = share(&value()?)?,
            "--duplicate" => options.faults.duplicate = share(&value()?)?,
            "--seed" => {
                let wrong = "a seed is a whole number";
                options.faults.seed = value()?.parse().map_err(|_| wrong)?;
            }
            _ => return Err(format!("unknown flag {flag}; see --help")),
        }
    }
    Ok(Some(options))
}

fn numbers(text: &str) -> Result<BTreeSet<u64>, String> {
    let number = |text: &str| text.trim().parse().ok().filter(|number| *number > 0);
    let numbers: Option<_> = text.split(',').map(number).collect();
    numbers.ok_or("packets are counted from 1: 1,3".into())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or("a share is from 0 to 1".into())
}
