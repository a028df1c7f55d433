//! I/O Local: between the processes of this host and the site (§4.2.1).
//!
//! Invariant: it waits for all processes at once and for none of them: whoever says nothing, reads
//! nothing or is stopped costs a descriptor, and no time of others.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

use super::asked::Turn;
use super::door::Door;
use super::inside::Stage;
use super::limits::{ACCEPT_MAX, HELLO_WAIT};
use super::process::Who;
use crate::clock;
use crate::local::bell::{Bell, Heard};
use crate::local::hello::{Hello, Refusal, Welcome};
use crate::local::listen::{Caller, Came, Listener};
use crate::local::outbox::Outbox;
use crate::local::queues::{Names, Queues};
use crate::local::shm::Shm;
use crate::local::{Channel, Kind};
use crate::protocol::{ProcessId, Table};

/// What epoll says of the listener, and of the end; processes' numbers are greater.
const LISTENER: u64 = 0;
const STOP: u64 = 1;
const FIRST: u64 = 2;
/// Of a process: its socket, its end, its bell.
const SOCKET: u64 = 0;
const ENDED: u64 = 1;
const RANG: u64 = 2;
/// So many events are taken at once.
const EVENTS_MAX: usize = 256;
/// How long nobody is accepted after the kernel refused to: it may have memory again then.
const DEAF_FOR: Duration = Duration::from_millis(100);

/// The thread.
#[derive(Debug)]
pub(super) struct IoLocal {
    door: Arc<Door>,
    epoll: OwnedFd,
    listener: Listener,
    guests: Guests,
    /// Those that have not said hello, and until when they may, in the order in which they came.
    callers: VecDeque<(u64, Instant, Caller)>,
    attached: Table<u64, Attached>,
    /// Those that have rung, or have said more than was read.
    ready: VecDeque<u64>,
    last: u64,
    deaf_until: Option<Instant>,
    buffer: Vec<u8>,
    /// Readable when the daemon stops.
    _stop: OwnedFd,
}

/// Who may be attached, and what they get.
#[derive(Debug)]
pub(super) struct Guests {
    pub(super) welcome: Welcome,
    /// Where queues are noted.
    pub(super) state: PathBuf,
    /// Whether the kernel's limits allow for queues.
    pub(super) sysv: bool,
    pub(super) users: Vec<u32>,
    pub(super) groups: Vec<u32>,
    pub(super) processes_max: usize,
}

#[derive(Debug)]
struct Attached {
    bell: Arc<Bell>,
    /// What the process rings by. Nobody reads it: epoll tells of each ring.
    rings: OwnedFd,
    /// Readable when the process has ended.
    _process: Option<OwnedFd>,
    is_ready: bool,
}

impl IoLocal {
    pub(super) fn new(
        door: Arc<Door>,
        listener: Listener,
        guests: Guests,
        stop: OwnedFd,
    ) -> io::Result<IoLocal> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER << 2), EventFlags::IN)?;
        epoll::add(&epoll, &stop, EventData::new_u64(STOP << 2), EventFlags::IN)?;
        Ok(IoLocal {
            door,
            epoll,
            listener,
            guests,
            callers: VecDeque::new(),
            attached: Table::default(),
            ready: VecDeque::new(),
            last: FIRST,
            deaf_until: None,
            buffer: Vec::new(),
            _stop: stop,
        })
    }

    /// Until the daemon stops.
    pub(super) fn run(mut self) {
        let mut space = [MaybeUninit::uninit(); EVENTS_MAX];
        loop {
            let timeout = self.timeout().and_then(|time| Timespec::try_from(time).ok());
            let events = match epoll::wait(&self.epoll, &mut space, timeout.as_ref()) {
                Ok((events, _)) => events,
                // A signal came.
                Err(_) => continue,
            };
            for event in events.iter() {
                let data = event.data.u64();
                match data >> 2 {
                    STOP => return,
                    LISTENER => self.accept(),
                    id => self.heed(id, data & 3),
                }
            }
            for _ in 0..self.ready.len() {
                self.turn();
            }
            self.end_waits();
        }
    }

    /// How long it may sleep; `None` is for ever.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let first = self.callers.front().map(|(_, until, _)| *until);
        let until = [first, self.deaf_until].into_iter().flatten().min()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Refuses those that have said nothing for too long; listens again.
    fn end_waits(&mut self) {
        if self.callers.is_empty() && self.deaf_until.is_none() {
            return;
        }
        let now = Instant::now();
        while self.callers.front().is_some_and(|(_, until, _)| *until <= now) {
            if let Some((_, _, caller)) = self.callers.pop_front() {
                caller.refuse(Refusal::TooLate);
            }
        }
        if self.deaf_until.is_some_and(|until| until <= now) {
            self.deaf_until = None;
            let data = EventData::new_u64(LISTENER << 2);
            if epoll::add(&self.epoll, &self.listener, data, EventFlags::IN).is_err() {
                self.deaf_until = Some(now + DEAF_FOR);
            }
        }
    }

    // ---- those who come

    fn accept(&mut self) {
        for _ in 0..ACCEPT_MAX {
            match self.listener.accept() {
                Ok(Came::Caller(caller)) => self.admit(caller),
                Ok(Came::Refused) => {}
                Ok(Came::Nobody) => return,
                Err(error) => {
                    tracing::warn!("no process can be accepted for a moment: {error}");
                    let _ = epoll::delete(&self.epoll, &self.listener);
                    self.deaf_until = Some(Instant::now() + DEAF_FOR);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, caller: Caller) {
        let Guests { users, groups, processes_max, .. } = &self.guests;
        let user = caller.user;
        let allowed = users.contains(&user) || caller.is_of(groups);
        let refusal = if !allowed {
            Some(Refusal::NotAllowed { user })
        } else if self.attached.len() + self.callers.len() >= *processes_max {
            Some(Refusal::TooManyProcesses)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return refuse(caller, refusal);
        }
        self.last += 1;
        match self.watch(&caller, self.last << 2 | SOCKET) {
            Ok(()) => self.callers.push_back((self.last, Instant::now() + HELLO_WAIT, caller)),
            Err(_) => refuse(caller, Refusal::NoRoom),
        }
    }

    fn watch(&self, descriptor: &impl AsFd, data: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(data), EventFlags::IN)?)
    }

    /// Somebody who has come says something, or leaves.
    fn hear_caller(&mut self, id: u64) {
        let found = self.callers.binary_search_by_key(&id, |(id, _, _)| *id);
        let Ok(at) = found else { return };
        let hello = match self.callers[at].2.hello() {
            Ok(None) => return,
            Ok(Some(hello)) => Ok(hello),
            Err(refusal) => Err(refusal),
        };
        let Some((_, _, caller)) = self.callers.remove(at) else { return };
        match hello {
            Ok(hello) => self.attach(id, caller, hello),
            Err(refusal) => refuse(caller, refusal),
        }
    }

    fn attach(&mut self, id: u64, caller: Caller, hello: Hello) {
        if self.door.enter(|inside| inside.stage() != Stage::Runs) {
            return refuse(caller, Refusal::Stopping);
        }
        let (channel, memory, queues) = match self.guests.channel(hello.kind, caller.user) {
            Ok(made) => made,
            Err(refusal) => return refuse(caller, refusal),
        };
        let (user, pid, process) = (caller.user, caller.pid, caller.process());
        if let Some(process) = &process
            && self.watch(process, id << 2 | ENDED).is_err()
        {
            return refuse(caller, Refusal::NoRoom);
        }
        let Ok(rings) = self.make_bell(id) else { return refuse(caller, Refusal::NoRoom) };
        let welcome = Welcome { process: id, queues, ..self.guests.welcome.clone() };
        let Ok(bell) = caller.welcome(welcome, &memory, &rings) else {
            // It is gone already: there is nobody to be told.
            let _ = epoll::delete(&self.epoll, &rings);
            return;
        };
        let bell = Arc::new(bell);
        tracing::debug!(process = id, pid, user, kind = %hello.kind, "attached");
        let outbox = Outbox::new(channel);
        let own = Arc::clone(&bell);
        let who = Who { pid, user, since: clock::now().boot };
        self.door.enter(|inside| inside.attach(ProcessId(id), who, outbox, bell, queues));
        // It may have said something before anybody slept.
        self.attached.insert(id, Attached { bell: own, rings, _process: process, is_ready: true });
        self.ready.push_back(id);
    }

    fn make_bell(&self, id: u64) -> io::Result<OwnedFd> {
        let rings = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&self.epoll, &rings, EventData::new_u64(id << 2 | RANG), flags)?;
        Ok(rings)
    }

    // ---- those who are there

    /// A process has rung, or has ended.
    fn heed(&mut self, id: u64, what: u64) {
        let Some(attached) = self.attached.get_mut(&id) else { return self.hear_caller(id) };
        let heard = match what {
            ENDED => Heard::End,
            RANG => Heard::Rang,
            _ => attached.bell.heed(),
        };
        match heard {
            Heard::Silence => {}
            Heard::Rang if attached.is_ready => {}
            Heard::Rang => {
                attached.is_ready = true;
                self.ready.push_back(id);
            }
            Heard::End => {
                if let Some(Attached { rings, .. }) = self.attached.remove(&id) {
                    // The process may keep it, and epoll with it.
                    let _ = epoll::delete(&self.epoll, &rings);
                }
                tracing::debug!(process = id, "left");
                let buffer = &mut self.buffer;
                self.door.enter(|inside| inside.end(ProcessId(id), buffer));
            }
        }
    }

    /// Reads the next process that is ready.
    fn turn(&mut self) {
        let Some(id) = self.ready.pop_front() else { return };
        let Some(attached) = self.attached.get_mut(&id) else { return };
        let buffer = &mut self.buffer;
        match self.door.enter(|inside| inside.turn(ProcessId(id), buffer)) {
            Turn::More => self.ready.push_back(id),
            Turn::Done => attached.is_ready = false,
        }
    }
}

impl Guests {
    fn channel(&self, kind: Kind, user: u32) -> Result<Made, Refusal> {
        match kind {
            Kind::Shm => {
                let (channel, memory) = Shm::make().map_err(|_| Refusal::NoRoom)?;
                Ok((Box::new(channel), memory, None))
            }
            Kind::Sysv if !self.sysv => Err(Refusal::NoQueues),
            Kind::Sysv => {
                let made = Queues::make(&self.state, user);
                let (channel, memory, names) = made.map_err(|_| Refusal::NoQueues)?;
                Ok((Box::new(channel), memory, Some(names)))
            }
        }
    }
}

/// A channel, what the process gets of it, and its queues.
type Made = (Box<dyn Channel>, OwnedFd, Option<Names>);

fn refuse(caller: Caller, refusal: Refusal) {
    tracing::debug!(pid = caller.pid, user = caller.user, "refused: {refusal}");
    caller.refuse(refusal);
}
