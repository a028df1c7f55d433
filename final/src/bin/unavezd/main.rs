//! The daemon: `unavezd --help`.

#[path = "../common/mod.rs"]
mod common;
mod settings;

use std::error::Error;
use std::io::{self, Write};
use std::process::{ExitCode, abort};
use std::{panic, thread};

use common::command_line;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use tracing::info;
use unavez::daemon::Daemon;

use settings::{Cli, Settings};

fn main() -> ExitCode {
    let cli = match command_line::parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = match cli.page() {
        Some(page) => page.and_then(|page| print(&page)).map_err(Into::into),
        None => run(cli),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whoever reads it may have enough before its end.
fn print(page: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(page) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn run(cli: Cli) -> Result<(), Box<dyn Error>> {
    let Settings { options, log } = cli.settings()?;
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_max_level(log).init();
    // Before there are threads, so that none of them is interrupted.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    die_of_panics();
    raise_limit();

    let daemon = Daemon::start(options)
        .map_err(|error| format!("{error}; see --listen, --state and --socket"))?;
    info!(id = %daemon.id(), epoch = %daemon.epoch(), "started");
    let (address, socket) = (daemon.address(), daemon.socket().display().to_string());
    // Whoever started it may have stopped to read.
    let _ = writeln!(io::stdout(), "unavezd: {address}, processes at {socket}");
    let signal = signals.wait()?;
    info!("{signal}: stops");
    drop(daemon);
    info!("stopped");
    Ok(())
}

/// A daemon with a thread less would vouch for processes that it does not hear.
fn die_of_panics() {
    let say = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        say(what);
        eprintln!("{:?} has panicked; the daemon ends", thread::current().name());
        abort();
    }));
}

/// Each process takes descriptors; as many as are allowed are wanted.
fn raise_limit() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Less works, too.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}
