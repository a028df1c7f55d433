//! What stands for the daemon in this process: what is said to it, its end, and the next one.
//!
//! Invariant: every message that it has taken it has acted on; when it is gone, whatever it had not taken
//! is said to the next one, and nothing else.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::calls::Calls;
use super::channel::Channel;
use super::ports::Ports;
use super::{Shared, UNBROKEN};
use crate::ipc::SendError;
use crate::local::Broken;
use crate::local::attach::Attachment;
use crate::local::bell::Heard;
use crate::local::hello::{Terms, Welcome};
use crate::local::message::{Up, What};
use crate::protocol::{Call, Config, ServerPort, Table};
use crate::site::Whereabouts;
use crate::site::desk::{Desk, Done, End, Serial};
use crate::site::inside::{Job, Look};

#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) shared: Arc<Shared>,
    pub(super) whereabouts: Arc<Mutex<Whereabouts>>,
    pub(super) channel: Option<Channel>,
    pub(super) terms: Terms,
    pub(super) calls: Calls,
    pub(super) ports: Ports,
    /// Jobs that are not done.
    pub(super) jobs: Table<Serial, Job>,
    /// Those of them for which nobody waits any more, but the daemon has been asked.
    pub(super) abandoned: HashSet<Serial>,
    /// What is asked of the daemon for no thread.
    pub(super) own_jobs: Table<Serial, OwnJob>,
    pub(super) last_own_job: u64,
    /// What the desk is told next.
    pub(super) told: Told,
    /// What is said, before it is sent.
    pub(super) buffer: Vec<u8>,
    pub(super) stopped: bool,
}

/// What is asked of the daemon for no thread.
#[derive(Debug)]
pub(super) enum OwnJob {
    Reopen(ServerPort),
    Rename(String),
    Finish(ServerPort),
}

#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) ends: Vec<(Call, End)>,
    pub(super) done: Vec<(Serial, Result<Done, SendError>)>,
    pub(super) finished: Vec<ServerPort>,
}

/// Numbers of own jobs are from here on.
pub(super) const OWN: u64 = 1 << 63;
/// Nobody wants to know what became of it.
pub(super) const NOBODY: u64 = 0;

impl Welcome {
    pub(super) fn whereabouts(&self) -> Whereabouts {
        Whereabouts { id: self.site, epoch: self.epoch, address: self.address }
    }
}

impl Daemon {
    pub(super) fn new(
        shared: Arc<Shared>,
        whereabouts: Arc<Mutex<Whereabouts>>,
        first: Attachment,
    ) -> Daemon {
        let mut daemon = Daemon {
            shared,
            whereabouts,
            channel: None,
            terms: first.welcome.terms,
            calls: Calls::new(Config::default().accept_max),
            ports: Ports::default(),
            jobs: Table::default(),
            abandoned: HashSet::new(),
            own_jobs: Table::default(),
            last_own_job: OWN,
            told: Told::default(),
            buffer: Vec::new(),
            stopped: false,
        };
        daemon.resume(first);
        daemon
    }

    // ---- what is said

    /// Says something, if there is a daemon; the number of the message.
    pub(super) fn say(&mut self, up: &Up, body: Bytes) -> Option<u64> {
        let Daemon { channel, buffer, shared, .. } = self;
        let channel = channel.as_mut()?;
        let before = channel.outbox.waiting();
        let number = channel.say(up, body, buffer)?;
        // Whoever sleeps on the word would not hear that there is room again.
        if before == 0
            && channel.outbox.waiting() > 0
            && let Some(word) = &*shared.word.lock().expect(UNBROKEN)
        {
            word.rouse();
        }
        Some(number)
    }

    /// A call is over, or overdue: if it has not left as a whole, it was never asked.
    pub(super) fn take_back(&mut self, call: Call) {
        if let (Some(number), Some(channel)) = (self.calls.sent(call), &mut self.channel)
            && channel.take_back(number)
        {
            self.calls.said(call, None);
        }
    }

    /// Asks for calls that were held back, as far as may be.
    pub(super) fn say_held(&mut self) {
        while let Some((call, up, body)) = self.calls.next_held() {
            let sent = self.say(&up, body);
            self.calls.said(call, sent);
        }
    }

    pub(super) fn say_job(&mut self, serial: Serial, job: &Job) {
        let up = match job {
            Job::OpenPort => Up::OpenPort { serial: serial.0 },
            Job::Register(port, name) => {
                // While it is not open, the name waits for it.
                let Some(port) = self.ports.at(*port) else { return };
                Up::Register { serial: serial.0, port, name: name.clone() }
            }
            Job::Look(what) => Up::Look { serial: serial.0, what: what_of(*what) },
        };
        self.say(&up, Bytes::new());
    }

    pub(super) fn say_own(&mut self, job: OwnJob, up: impl FnOnce(u64) -> Up) {
        if self.channel.as_ref().is_some_and(|channel| !channel.is_broken()) {
            self.last_own_job += 1;
            self.own_jobs.insert(Serial(self.last_own_job), job);
            let up = up(self.last_own_job);
            self.say(&up, Bytes::new());
        }
    }

    pub(super) fn feed(&mut self, port: ServerPort) {
        if let Some((port, more)) = self.ports.feed(port) {
            for _ in 0..more {
                self.say(&Up::Take { port }, Bytes::new());
            }
        }
    }

    /// Less are in hand, or may be: others get what there was no room for.
    pub(super) fn feed_starved(&mut self) {
        self.ports.starved().into_iter().for_each(|port| self.feed(port));
    }

    // ---- its end, and the next one

    pub(super) fn break_off(&mut self, broken: Broken) {
        if let Some(channel) = &mut self.channel {
            channel.break_off(broken);
        }
    }

    /// The daemon has hung up, and reads no more.
    pub(super) fn lose(&mut self, desk: &mut Desk) {
        // What it said before is true.
        while self.hear_one(desk) == Ok(true) {}
        let Some(mut channel) = self.channel.take() else { return };
        tracing::warn!(target: "unavez", "the daemon is gone");
        channel.line.end();
        let untaken = channel.outbox.untaken();
        channel.outbox.channel().remove();
        *self.shared.line.lock().expect(UNBROKEN) = None;
        if let Some(word) = self.shared.word.lock().expect(UNBROKEN).take() {
            word.rouse();
        }
        self.told.ends.extend(self.calls.lose(&untaken));
        for serial in self.abandoned.drain() {
            self.jobs.remove(&serial);
        }
        self.own_jobs.clear();
        self.told.finished.extend(self.ports.lose());
        // It looks for the next one.
        self.shared.background.ring();
    }

    /// There is a daemon, this one or the next.
    pub(super) fn resume(&mut self, attachment: Attachment) {
        let Attachment { welcome, outbox, bell } = attachment;
        let line = Arc::new(bell);
        *self.shared.line.lock().expect(UNBROKEN) = Some(Arc::clone(&line));
        *self.whereabouts.lock().expect(UNBROKEN) = welcome.whereabouts();
        self.terms = welcome.terms;
        self.ports.allow(welcome.terms.takes_max);
        self.calls.allow(welcome.terms.long_bytes_max);
        self.channel = Some(Channel::new(outbox, line, &welcome.terms));
        for port in self.ports.wanted() {
            self.say_own(OwnJob::Reopen(port), |serial| Up::OpenPort { serial });
        }
        let jobs: Vec<_> = self.jobs.iter().map(|(serial, job)| (*serial, job.clone())).collect();
        for (serial, job) in jobs {
            self.say_job(serial, &job);
        }
        let Daemon { channel: Some(channel), calls, buffer, told, terms, .. } = self else {
            return;
        };
        let longest = terms.message_max as usize;
        told.ends.extend(calls.resume(longest, |up, body| channel.say(up, body, buffer)));
        // Whoever sleeps shall sleep on the new line.
        self.shared.leader.ring();
    }

    pub(super) fn heed(&mut self) -> Heard {
        let Some(channel) = &mut self.channel else { return Heard::Silence };
        channel.wake();
        match self.shared.rang.swap(false, Ordering::Relaxed) {
            true => channel.line.heed(),
            false => Heard::Silence,
        }
    }
}

fn what_of(what: Look) -> What {
    match what {
        Look::Counters => What::Counters,
        Look::Entries => What::Entries,
        Look::RoundTrips(None) => What::RoundTrips,
        Look::RoundTrips(Some(after)) => What::MoreRoundTrips { after },
    }
}
