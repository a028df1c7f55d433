//! What callers were told, held against the journal of what ran.
//!
//! Invariant: callers' files are read first, then the journal, which is written before each reply: what
//! has a reply by then stands there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a call may be open (R2): its patience, the library's grace for a daemon that is stopped, the
/// heartbeats until a server is given up, and a busy machine.
const OPEN_MAX: Duration = Duration::from_secs(30);

/// A file that another process appends lines to.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
    rest: String,
}

#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// Calls of living clients that have not ended, and when they were first seen.
    open: HashMap<u64, Instant>,
    ran: HashSet<u64>,
    not_executed: HashSet<u64>,
    unknown: HashSet<u64>,
    /// Those with a reply, and those said not to have run, that are still to be looked up.
    replied: Vec<u64>,
    denied: Vec<u64>,
    /// How many have ended.
    pub(crate) ended: u64,
    /// How many were open when their client was killed.
    pub(crate) untold: u64,
    /// How calls ended, in words.
    pub(crate) ends: BTreeMap<String, u64>,
    /// What was broken, in words.
    pub(crate) broken: Vec<String>,
    /// The longest time that a call took beyond its patience.
    pub(crate) latest: Duration,
}

impl Lines {
    pub(crate) fn of(path: &Path) -> io::Result<Lines> {
        Ok(Lines { file: File::open(path)?, rest: String::new() })
    }

    /// The whole lines that have come.
    fn read(&mut self) -> io::Result<String> {
        self.file.read_to_string(&mut self.rest)?;
        let whole = self.rest.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.rest.split_off(whole);
        Ok(std::mem::replace(&mut self.rest, rest))
    }
}

impl Audit {
    /// What a client was told since; how many calls have a reply that were first seen after that.
    pub(crate) fn follow(&mut self, lines: &mut Lines, after: Instant) -> io::Result<u64> {
        let mut replies = 0;
        for line in lines.read()?.lines() {
            let mut words = line.splitn(4, ' ');
            let number = words.next().and_then(|it| it.parse().ok());
            let (Some(number), Some(what)) = (number, words.next()) else { continue };
            if what == "begins" {
                self.open.insert(number, Instant::now());
                continue;
            }
            let late = words.next().and_then(|it| it.parse().ok()).unwrap_or_default();
            let how = words.next().unwrap_or_default();
            let began = self.end(number, how, Duration::from_millis(late));
            replies += u64::from(how == "replied" && began.is_some_and(|began| began > after));
        }
        Ok(replies)
    }

    fn end(&mut self, number: u64, how: &str, late: Duration) -> Option<Instant> {
        self.ended += 1;
        self.latest = self.latest.max(late);
        *self.ends.entry(how.into()).or_default() += 1;
        let began = self.open.remove(&number);
        if began.is_none() {
            self.broken.push(format!("call {number} has two ends"));
        }
        match how.split(':').next() {
            Some("replied") => self.replied.push(number),
            Some("not executed") => {
                self.not_executed.insert(number);
                self.denied.push(number);
            }
            Some("unknown") => drop(self.unknown.insert(number)),
            _ => self.broken.push(format!("call {number}: {how}")),
        }
        began
    }

    /// A client is no more, and what it was told has been followed.
    pub(crate) fn bury(&mut self, is_its: impl Fn(u64) -> bool) {
        let before = self.open.len();
        self.open.retain(|number, _| !is_its(*number));
        self.untold += (before - self.open.len()) as u64;
    }

    /// What ran since.
    pub(crate) fn journal(&mut self, lines: &mut Lines) -> io::Result<()> {
        for number in lines.read()?.lines().filter_map(|line| line.parse().ok()) {
            if !self.ran.insert(number) {
                self.broken.push(format!("call {number} ran twice"));
            }
            // A run may come late.
            if self.not_executed.contains(&number) && !self.denied.contains(&number) {
                self.denied.push(number);
            }
        }
        for number in std::mem::take(&mut self.replied) {
            if !self.ran.contains(&number) {
                self.broken.push(format!("call {number} has a reply and did not run"));
            }
        }
        for number in std::mem::take(&mut self.denied) {
            if self.ran.contains(&number) {
                self.broken
                    .push(format!("call {number} ran, although it was said that it did not"));
            }
        }
        Ok(())
    }

    /// Those of living clients that are open for too long, or at all.
    pub(crate) fn look_for_open(&mut self, at_all: bool) {
        for (number, since) in &self.open {
            if at_all || since.elapsed() > OPEN_MAX {
                self.broken.push(format!("call {number} has no end"));
            }
        }
    }

    pub(crate) fn ran(&self) -> usize {
        self.ran.len()
    }

    pub(crate) fn unknown(&self) -> usize {
        self.unknown.len()
    }

    /// Of the unknown, how many ran.
    pub(crate) fn unknown_but_ran(&self) -> usize {
        self.unknown.intersection(&self.ran).count()
    }
}
