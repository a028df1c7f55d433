//! The price of each mechanism: what one call takes, from plain UDP up, measured in one run.
//!
//! Invariant: all that is compared takes turns in small batches, so that whatever else the machine
//! does hits it alike.

mod cores;
mod page;
mod parts;
mod peer;
mod plain;
mod rounds;
mod steps;
mod text;
mod ways;

pub use page::price_file;
pub use peer::play_peer;
pub use text::{Cost, Median, Price};

pub(crate) use page::{bars_figure, claim, cores_table, micros, times, ways_table};

use std::error::Error;
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, unshare};
use nix::unistd::Pid;

use cores::CORES;
use peer::Peers;
use rounds::{Turns, measure};
use ways::WAYS;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// One exchange, there and back.
pub(crate) type Once = Box<dyn FnMut() -> Result<()>>;

/// How many bytes travel each way.
const LEN: usize = 64;

/// Something that has a price.
pub(crate) struct Way {
    /// As the kept file and the chapter name it.
    pub(crate) name: &'static str,
    /// As the page shows it, in Markdown.
    pub(crate) label: &'static str,
    /// What it is one mechanism more than.
    pub(crate) over: Option<&'static str>,
    /// Begins to serve in the server's process, and says where.
    pub(crate) serve: fn(&Host) -> Result<String>,
    /// Connects to what is served, in the client's.
    pub(crate) connect: fn(&str, &Host) -> Result<Once>,
}

/// What a way is told of the host it begins on.
pub(crate) struct Host {
    /// Where its daemons are found.
    pub(crate) daemons: PathBuf,
    /// The core of the server.
    pub(crate) server_cpu: usize,
}

/// Where the two processes run, and the server's core; the client's is 0.
pub(crate) const PLACEMENTS: [(&str, usize); 2] = [("one-core", 0), ("a-core-each", 1)];

/// How many rounds [`price_text`] takes, for a progress bar.
pub fn price_rounds(quick: bool) -> u64 {
    let placements = 1 + PLACEMENTS.len();
    (placements * Turns::of(quick).all()) as u64
}

/// Measures everything and gives the text of the kept file. `each` is called after every round.
///
/// # Errors
/// A process of the bench does not start, or a socket fails.
pub fn price_text(quick: bool, each: &dyn Fn()) -> Result<String> {
    // What an interrupted run leaves of System V queues goes with the namespace. Who may not have one
    // of their own does without.
    let _ = unshare(CloneFlags::CLONE_NEWIPC);
    // Asked before this thread is held on one core.
    let cores = thread::available_parallelism()?.get();
    let turns = Turns::of(quick);
    let near = Host { daemons: PathBuf::new(), server_cpu: 0 };
    let mut costs = costs("alone", &CORES, &vec![String::new(); CORES.len()], &near, turns, each)?;
    for (placement, server_cpu) in PLACEMENTS.into_iter().filter(|it| it.1 < cores) {
        let peers = Peers::start(server_cpu)?;
        costs.extend(self::costs(placement, &WAYS, &peers.served, &peers.near, turns, each)?);
    }
    let machine = text::here(cores, turns.rounds, quick);
    Ok(Price { machine, costs }.to_string())
}

fn costs(
    placement: &str,
    ways: &[Way],
    served: &[String],
    near: &Host,
    turns: Turns,
    each: &dyn Fn(),
) -> Result<Vec<Cost>> {
    pin(0)?;
    let connected = ways.iter().zip(served).map(|(way, at)| (way.connect)(at, near));
    let mut once = connected.collect::<Result<Vec<Once>>>()?;
    let took = measure(&mut once, turns, each)?;
    Ok(rounds::costs(placement, ways, &took))
}

/// This thread, and those that it begins from here on, on this core only.
fn pin(cpu: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}
