//! A host: a directory, and a daemon that plays its site for the processes here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};
use unavez::daemon::{Daemon, Options};
use unavez::link::Link;
use unavez::protocol::Config;

use super::process::{Process, die_with_parent};
use super::{Result, keep_trying};

/// The daemon's role.
#[derive(Debug, clap::Args)]
pub(crate) struct DaemonArgs {
    place: PathBuf,
    listen: SocketAddr,
    loss: f64,
    seed: u64,
}

pub(crate) fn run(args: DaemonArgs) -> Result<ExitCode> {
    die_with_parent()?;
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let DaemonArgs { place, listen, loss, seed } = args;
    let options = Options {
        listen,
        socket: Some(socket(&place)),
        config: Config::lan(),
        link: (loss > 0.0).then(|| Link { loss, double: loss, seed, ..Link::default() }),
        ..Options::new(state(&place))
    };
    // The one before it may not have left its address yet.
    let daemon = keep_trying(|| Ok(Daemon::start(options.clone())?))?;
    println!("{}", daemon.address());
    signals.wait()?;
    drop(daemon);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn socket(place: &Path) -> PathBuf {
    place.join("unavezd.sock")
}

pub(crate) fn state(place: &Path) -> PathBuf {
    place.join("state")
}

/// A daemon at this place, and where others reach it. It loses and doubles this share of what it sends.
pub(crate) fn start(
    place: &Path,
    listen: SocketAddr,
    loss: f64,
    seed: u64,
) -> Result<(Process, SocketAddr)> {
    std::fs::create_dir_all(place)?;
    let (listen, loss, seed) = (listen.to_string(), loss.to_string(), seed.to_string());
    let place = place.to_str().ok_or("the place has no plain name")?;
    let process = Process::start(&["daemon", place, &listen, &loss, &seed])?;
    let address = process.hear()?.parse()?;
    Ok((process, address))
}

/// Anywhere on this machine, but only there.
pub(crate) fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
