//! What processes hold, and what they leave behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;
use std::{fs, io, thread};

use nix::sched::{CloneFlags, unshare};

use super::{LONG, Result, SOON, host};

/// What a process has of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holds {
    threads: usize,
    descriptors: usize,
    /// Pieces of memory that it shares with another process.
    shared: usize,
}

pub(crate) fn holds(process: u32) -> io::Result<Holds> {
    let count = |what| Ok::<_, io::Error>(fs::read_dir(format!("/proc/{process}/{what}"))?.count());
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let shared = maps.lines().filter(|line| line.contains("/memfd:unavez")).count();
    Ok(Holds { threads: count("task")?, descriptors: count("fd")?, shared })
}

/// The System V queues of all processes, as `/proc/sysvipc/msg` has them.
#[derive(Debug)]
pub(crate) struct Queues {
    before: BTreeSet<String>,
}

impl Queues {
    /// From here on no others' are seen, if the kernel allows it: only root may hide them.
    pub(crate) fn begin() -> io::Result<Queues> {
        if unshare(CloneFlags::CLONE_NEWIPC).is_err() {
            println!("not root: System V queues of other programs may be taken for left behind");
        }
        Ok(Queues { before: queues()? })
    }

    pub(crate) fn more(&self) -> io::Result<usize> {
        Ok(queues()?.difference(&self.before).count())
    }
}

fn queues() -> io::Result<BTreeSet<String>> {
    let text = fs::read_to_string("/proc/sysvipc/msg")?;
    let names = text.lines().skip(1).map(|line| line.split_whitespace().take(2).collect());
    Ok(names.collect())
}

/// What is left of the hosts at these places, in words. Whatever goes in a moment is given it.
pub(crate) fn left(places: &[&Path], queues: &Queues) -> Result<Vec<String>> {
    let until = Instant::now() + LONG / 10;
    loop {
        let left = look(places, queues)?;
        if left.is_empty() || Instant::now() >= until {
            return Ok(left);
        }
        thread::sleep(SOON);
    }
}

fn look(places: &[&Path], queues: &Queues) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let more = queues.more()?;
    if more > 0 {
        left.push(format!("{more} System V queues"));
    }
    for place in places {
        for file in [host::socket(place), host::state(place).join("pid")] {
            if file.exists() {
                left.push(file.display().to_string());
            }
        }
        let notes = fs::read_dir(host::state(place).join("queues")).map_or(0, Iterator::count);
        if notes > 0 {
            left.push(format!("{notes} notes of queues in {}", place.display()));
        }
        left.extend(processes_of(place)?);
    }
    Ok(left)
}

/// Processes that were started for this place.
fn processes_of(place: &Path) -> Result<Vec<String>> {
    let place = place.to_str().ok_or("the place has no plain name")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let command = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        if command.contains(place) {
            found.push(format!("process {}", path.display()));
        }
    }
    Ok(found)
}
