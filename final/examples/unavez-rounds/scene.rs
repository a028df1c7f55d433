//! Two hosts with a daemon each, a bank at the one and two clients at the other.
//!
//! Invariant: a round ends when all of them live, work together again and hold what they held before;
//! nobody did anything for those that were not struck.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_pcg::Pcg64Mcg;
use unavez::attached::Kind;

use super::audit::{Audit, Lines};
use super::proofs::host::{self, anywhere};
use super::proofs::left::{Holds, Queues, holds, left};
use super::proofs::process::Process;
use super::proofs::{LONG, Result, SOON};

/// Who is on the scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The clients' daemon.
    Near,
    /// The bank's daemon.
    Far,
    Bank,
    One,
    Other,
}

use Who::{Bank, Far, Near, One, Other};

const ALL: [Who; 5] = [Near, Far, Bank, One, Other];

/// Who is struck at once; the same is as often as it stands here.
const STRUCK: [&[Who]; 14] = [
    &[Near],
    &[Near],
    &[Far],
    &[Far],
    &[Bank],
    &[Bank],
    &[One],
    &[Other],
    &[Near, Far],
    &[Far, Bank],
    &[Near, One],
    &[Bank, One],
    &[One, Other],
    &ALL,
];

/// So many numbers are one life's of a client.
const LIFE: u64 = 1_000_000;
const CLIENT_THREADS: u64 = 8;
const BANK_THREADS: usize = 6;

/// Someone on the scene.
struct Seat {
    process: Process,
    /// What it held when it had first done its work.
    holds: Option<Holds>,
    /// Of a client: where it notes its calls, and its first one's number.
    calls: Option<(Lines, u64)>,
}

pub(crate) struct Scene<'a> {
    folder: &'a Path,
    channels: &'a [Kind],
    loss: f64,
    addresses: [SocketAddr; 2],
    seats: [Option<Seat>; 5],
    lives: u64,
    journal: Lines,
    queues: Queues,
    pub(crate) audit: Audit,
    random: Pcg64Mcg,
    /// What was done in this round.
    pub(crate) done: Vec<String>,
    /// How often each was struck, and how.
    pub(crate) strikes: BTreeMap<(Who, Signal), u64>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(
        folder: &'a Path,
        channels: &'a [Kind],
        loss: f64,
        random: Pcg64Mcg,
    ) -> Result<Scene<'a>> {
        let queues = Queues::begin()?;
        File::create(folder.join("journal"))?;
        let mut scene = Scene {
            folder,
            channels,
            loss,
            addresses: [anywhere(); 2],
            seats: [const { None }; 5],
            lives: 0,
            journal: Lines::of(&folder.join("journal"))?,
            queues,
            audit: Audit::default(),
            random,
            done: Vec::new(),
            strikes: BTreeMap::new(),
        };
        // Where they are is known from here on.
        scene.raise(&[Near, Far])?;
        scene.raise(&[Bank, One, Other])?;
        scene.heal()?;
        Ok(scene)
    }

    /// One round: strikes, raises who was struck, and sees that all work.
    pub(crate) fn round(&mut self) -> Result<()> {
        self.done.clear();
        // Sometimes again before all work.
        for _ in 0..1 + self.random.random_range(0..4) / 3 {
            self.pause(60);
            let struck = STRUCK.choose(&mut self.random).expect("there are some");
            let frozen = self.freeze()?;
            self.strike(struck)?;
            self.pause(40);
            self.raise(struck)?;
            if let Some((who, process)) = frozen {
                self.pause(100);
                // If it was struck, another one is there.
                let seat = self.seats[who as usize].as_ref();
                if let Some(seat) = seat.filter(|seat| seat.process.id() == process) {
                    seat.process.signal(Signal::SIGCONT)?;
                }
            }
        }
        self.heal()
    }

    /// Ends all, in good order, and looks at what is left.
    pub(crate) fn end(&mut self) -> Result<()> {
        for who in [One, Other, Bank, Near, Far] {
            let Some(mut seat) = self.seats[who as usize].take() else { continue };
            if matches!(who, Near | Far) {
                seat.process.signal(Signal::SIGTERM)?;
                let status = seat.process.wait()?;
                if !status.success() {
                    self.audit.broken.push(format!("{who} ends with {status}"));
                }
            } else {
                seat.process.end()?;
            }
            if let Some((lines, _)) = &mut seat.calls {
                self.audit.follow(lines, Instant::now())?;
            }
        }
        self.audit.journal(&mut self.journal)?;
        self.audit.look_for_open(true);
        let [near, far] = [Near, Far].map(|who| self.place(who));
        let left = left(&[&near, &far], &self.queues)?;
        self.audit.broken.extend(left.into_iter().map(|what| format!("left behind: {what}")));
        Ok(())
    }

    // ---- a round

    /// Sometimes somebody is stopped for a while.
    fn freeze(&mut self) -> Result<Option<(Who, u32)>> {
        let who = *ALL.choose(&mut self.random).expect("there are some");
        let Some(seat) = &self.seats[who as usize] else { return Ok(None) };
        if self.random.random_ratio(3, 4) {
            return Ok(None);
        }
        seat.process.signal(Signal::SIGSTOP)?;
        let process = seat.process.id();
        self.note(who, Signal::SIGSTOP);
        self.pause(20);
        Ok(Some((who, process)))
    }

    fn strike(&mut self, struck: &[Who]) -> Result<()> {
        let mut order = struck.to_vec();
        order.shuffle(&mut self.random);
        let at_once: bool = self.random.random();
        for who in &order {
            let is_daemon = matches!(who, Near | Far);
            let softly = is_daemon && self.random.random_ratio(1, 3);
            let signal = if softly { Signal::SIGTERM } else { Signal::SIGKILL };
            let Some(seat) = &self.seats[*who as usize] else { continue };
            seat.process.signal(signal)?;
            if signal == Signal::SIGTERM {
                // Stopped, it would not heed it.
                seat.process.signal(Signal::SIGCONT)?;
            }
            self.note(*who, signal);
            if !at_once {
                self.pause(10);
            }
        }
        for who in order {
            let Some(mut seat) = self.seats[who as usize].take() else { continue };
            let status = seat.process.wait()?;
            if status.code().is_some_and(|code| code != 0) {
                self.audit.broken.push(format!("{who} ends with {status}"));
            }
            if let Some((lines, first)) = &mut seat.calls {
                let own = *first..*first + LIFE;
                self.audit.follow(lines, Instant::now())?;
                self.audit.bury(|number| own.contains(&number));
            }
        }
        Ok(())
    }

    fn note(&mut self, who: Who, signal: Signal) {
        *self.strikes.entry((who, signal)).or_default() += 1;
        self.done.push(format!("{signal} to {who}"));
    }

    fn raise(&mut self, struck: &[Who]) -> Result<()> {
        let mut order = struck.to_vec();
        order.shuffle(&mut self.random);
        // A daemon that lives no more answers nobody: the others wait for it.
        for who in &order {
            let seat = self.start(*who)?;
            self.seats[*who as usize] = Some(seat);
            self.pause(5);
        }
        Ok(())
    }

    fn start(&mut self, who: Who) -> Result<Seat> {
        let place = self.place(who);
        if matches!(who, Near | Far) {
            let (listen, seed) = (self.addresses[who as usize], self.random.random());
            let (process, address) = host::start(&place, listen, self.loss, seed)?;
            self.addresses[who as usize] = address;
            return Ok(Seat { process, holds: None, calls: None });
        }
        let socket = host::socket(&place).display().to_string();
        let channel = self.channels.choose(&mut self.random).expect("there are some").to_string();
        if who == Bank {
            let (journal, threads) = (self.folder.join("journal"), BANK_THREADS.to_string());
            let journal = journal.display().to_string();
            let process = Process::start(&["bank", &socket, &channel, &journal, &threads])?;
            return Ok(Seat { process, holds: None, calls: None });
        }
        self.lives += 1;
        let first = self.lives * LIFE;
        let ends = self.folder.join(format!("client-{}", self.lives));
        File::create(&ends)?;
        let url = format!("unavez://{}/bank", self.addresses[Far as usize]);
        let (number, threads) = (first.to_string(), CLIENT_THREADS.to_string());
        let note = ends.display().to_string();
        let role = ["client", &socket, &channel, &url, &number, &note, &threads];
        Ok(Seat {
            process: Process::start(&role)?,
            holds: None,
            calls: Some((Lines::of(&ends)?, first)),
        })
    }

    /// Sees that all live, that every client gets replies to new calls, and that nobody holds more than
    /// before.
    fn heal(&mut self) -> Result<()> {
        self.follow(Instant::now())?;
        let (after, until) = (Instant::now(), Instant::now() + LONG);
        let mut replies = [0; 5];
        while [One, Other].iter().any(|who| replies[*who as usize] < CLIENT_THREADS) {
            for (all, more) in replies.iter_mut().zip(self.follow(after)?) {
                *all += more;
            }
            if Instant::now() > until {
                self.audit.broken.push("not all clients have replies again".into());
                return Ok(());
            }
            thread::sleep(SOON);
        }
        self.audit.look_for_open(false);
        self.look_at_all(until)
    }

    /// What clients were told and what ran; how many replies each has to calls that began after that.
    fn follow(&mut self, after: Instant) -> Result<[u64; 5]> {
        let mut replies = [0; 5];
        for (seat, replies) in self.seats.iter_mut().zip(&mut replies) {
            if let Some((lines, _)) = seat.as_mut().and_then(|seat| seat.calls.as_mut()) {
                *replies = self.audit.follow(lines, after)?;
            }
        }
        self.audit.journal(&mut self.journal)?;
        Ok(replies)
    }

    fn look_at_all(&mut self, until: Instant) -> Result<()> {
        for who in ALL {
            let Some(seat) = &mut self.seats[who as usize] else { continue };
            loop {
                if !seat.process.is_alive() {
                    self.audit.broken.push(format!("{who} has died by itself"));
                    break;
                }
                let now = holds(seat.process.id())?;
                let before = *seat.holds.get_or_insert(now);
                if now == before {
                    break;
                }
                if Instant::now() > until {
                    self.audit.broken.push(format!("{who} held {before:?} and holds {now:?}"));
                    break;
                }
                thread::sleep(SOON);
            }
        }
        Ok(())
    }

    fn place(&self, who: Who) -> PathBuf {
        self.folder.join(if matches!(who, Near | One | Other) { "near" } else { "far" })
    }

    fn pause(&mut self, at_most: u64) {
        thread::sleep(Duration::from_millis(self.random.random_range(0..=at_most)));
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Near => "the clients' daemon",
            Far => "the bank's daemon",
            Bank => "the bank",
            One => "a client",
            Other => "the other client",
        })
    }
}
