//! What stands for the daemon in this process: what is said to it, and what it says.
//!
//! Invariant: every message that it has taken it has acted on; when it is gone, whatever it had not taken
//! is said to the next one, and nothing else.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::calls::Calls;
use super::ports::{Came, Ports};
use super::{Line, Shared, UNBROKEN};
use crate::clock;
use crate::ipc::{CallError, SendError, SiteError, after};
use crate::local::Broken;
use crate::local::attach::Attachment;
use crate::local::bell::Heard;
use crate::local::hello::{Terms, Welcome};
use crate::local::message::{
    Answer, Down, Ended, NAME_MAX, ROUND_TRIPS_MAX, Seen, Up, What, patience_ends, patience_left,
};
use crate::local::outbox::Outbox;
use crate::protocol::{
    self, BODY_MAX, Call, CallId, Config, Incoming, Request, ServerId, ServerPort, Table, Target,
    Time,
};
use crate::site::Whereabouts;
use crate::site::desk::{Desk, Done, End, Serial};
use crate::site::inside::{Behind, Job, Look};
use crate::site::lead::Sleeper;

#[derive(Debug)]
pub(super) struct Daemon {
    shared: Arc<Shared>,
    whereabouts: Arc<Mutex<Whereabouts>>,
    channel: Option<Channel>,
    terms: Terms,
    calls: Calls,
    ports: Ports,
    /// Jobs that are not done.
    jobs: Table<Serial, Job>,
    /// Those of them for which nobody waits any more, but the daemon has been asked.
    abandoned: HashSet<Serial>,
    /// What is asked of the daemon for no thread.
    own_jobs: Table<Serial, OwnJob>,
    last_own_job: u64,
    /// What the desk is told next.
    told: Told,
    /// What is said, before it is sent.
    buffer: Vec<u8>,
    stopped: bool,
}

/// The way to a daemon that is there.
#[derive(Debug)]
struct Channel {
    outbox: Outbox,
    line: Arc<Line>,
    /// It was told that it must ring.
    asleep: bool,
    /// It has said that it stops: what it ends from now on it ends for that.
    stops: bool,
    /// It reads no more, and has said its last word.
    is_left: bool,
    broken: Option<Broken>,
}

/// What is asked of the daemon for no thread.
#[derive(Debug)]
enum OwnJob {
    Reopen(ServerPort),
    Rename(String),
    Finish(ServerPort),
}

#[derive(Debug, Default)]
struct Told {
    ends: Vec<(Call, End)>,
    done: Vec<(Serial, Result<Done, SendError>)>,
    finished: Vec<ServerPort>,
}

/// Numbers of own jobs are from here on.
const OWN: u64 = 1 << 63;
/// Nobody wants to know what became of it.
const NOBODY: u64 = 0;

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
    fn say(&mut self, up: &Up, body: &[u8]) -> Option<u64> {
        let Daemon { channel, buffer, shared, .. } = self;
        let channel = channel.as_mut()?;
        let number = channel.say(up, body, buffer);
        // Whoever sleeps on the word would not hear that there is room again.
        if channel.outbox.waiting() == 1
            && let Some(word) = &*shared.word.lock().expect(UNBROKEN)
        {
            word.rouse();
        }
        Some(number)
    }

    fn say_job(&mut self, serial: Serial, job: &Job) {
        let up = match job {
            Job::OpenPort => Up::OpenPort { serial: serial.0 },
            Job::Register(port, name) => {
                // While it is not open, the name waits for it.
                let Some(port) = self.ports.at(*port) else { return };
                Up::Register { serial: serial.0, port, name: name.clone() }
            }
            Job::Look(what) => Up::Look { serial: serial.0, what: what_of(*what) },
        };
        self.say(&up, &[]);
    }

    fn say_own(&mut self, job: OwnJob, up: impl FnOnce(u64) -> Up) {
        if self.channel.is_some() {
            self.last_own_job += 1;
            self.own_jobs.insert(Serial(self.last_own_job), job);
            let up = up(self.last_own_job);
            self.say(&up, &[]);
        }
    }

    fn feed(&mut self, port: ServerPort) {
        if let Some((port, more)) = self.ports.feed(port) {
            for _ in 0..more {
                self.say(&Up::Take { port }, &[]);
            }
        }
    }

    /// Less are in hand, or may be: others get what there was no room for.
    fn feed_starved(&mut self) {
        self.ports.starved().into_iter().for_each(|port| self.feed(port));
    }

    // ---- what is heard

    /// The next message, if one has come.
    fn hear_one(&mut self, desk: &mut Desk) -> Result<bool, Broken> {
        let Some(channel) = &mut self.channel else { return Ok(false) };
        let mut buffer = std::mem::take(&mut self.buffer);
        let came = channel.receive(&mut buffer);
        let heard = came.and_then(|came| {
            if came {
                let (down, body) = Down::decode(&buffer)?;
                self.hear(&down, body, desk)?;
            }
            Ok(came)
        });
        self.buffer = buffer;
        heard
    }

    fn hear(&mut self, down: &Down, body: &[u8], desk: &mut Desk) -> Result<(), Broken> {
        match *down {
            Down::End { call, ended } => {
                let (call, end) = (Call(call), end_of(ended, body));
                let stops = self.channel.as_ref().is_some_and(|channel| channel.stops);
                let end = match stops {
                    true => self.calls.stopped(call, end),
                    false => self.calls.ended(call, end),
                };
                if let Some(end) = end {
                    desk.end(call, end);
                }
            }
            Down::Request { port, call, flags, patience_ends } => {
                let body = Bytes::copy_from_slice(body);
                let came = Came { call, body, flags, patience_ends };
                if let Some(port) = self.ports.came(port, came)? {
                    desk.requested(port);
                }
            }
            Down::Cancelled { call, .. } => {
                if let Some(port) = self.ports.holds(call) {
                    desk.cancelled(port, call);
                }
            }
            Down::Answer { serial: NOBODY, .. } => {}
            Down::Answer { serial: serial @ OWN.., answer } => {
                if let Some(job) = self.own_jobs.remove(&Serial(serial)) {
                    self.own_job_done(job, answer);
                }
            }
            Down::Answer { serial, answer } => {
                self.abandoned.remove(&Serial(serial));
                if let Some(job) = self.jobs.remove(&Serial(serial)) {
                    self.job_done(Serial(serial), job, answer, body)?;
                }
            }
            Down::Stopping => {
                tracing::info!(target: "unavez", "the daemon stops");
                if let Some(channel) = &mut self.channel {
                    channel.stops = true;
                }
            }
            Down::Stopped => {
                if let Some(channel) = &mut self.channel {
                    channel.is_left = true;
                }
            }
        }
        Ok(())
    }

    fn job_done(
        &mut self,
        serial: Serial,
        job: Job,
        answer: Answer,
        body: &[u8],
    ) -> Result<(), Broken> {
        let done = match (job, answer) {
            (_, Answer::Refused(error)) => Err(error.into()),
            (Job::OpenPort, Answer::Opened(port)) => {
                Ok(Done::Opened(self.ports.open(self.server(port))))
            }
            (Job::Register(port, name), Answer::Done) => {
                self.ports.register(port, &name);
                Ok(Done::Nothing)
            }
            (Job::Look(_), Answer::Seen) => {
                Ok(done_of(Seen::decode(body)?).ok_or(Broken("it shows what was not asked for"))?)
            }
            _ => return Err(Broken("it answers what was not asked")),
        };
        self.told.done.push((serial, done));
        Ok(())
    }

    fn own_job_done(&mut self, job: OwnJob, answer: Answer) {
        match (job, answer) {
            (OwnJob::Reopen(own), Answer::Opened(port)) => {
                match self.ports.reopen(own, self.server(port)) {
                    Some(names) => self.reopened(own, port, names),
                    None => drop(self.say(&Up::ClosePort { port }, &[])),
                }
            }
            (OwnJob::Reopen(_), answer) => {
                tracing::warn!(target: "unavez", "a port is not opened again: {answer:?}");
            }
            (OwnJob::Rename(name), Answer::Refused(error)) => {
                tracing::warn!(target: "unavez", name, "a name is not registered again: {error}");
            }
            (OwnJob::Rename(_), _) => {}
            (OwnJob::Finish(own), _) => {
                self.ports.finished(own);
                self.feed_starved();
                self.tell_if_done(own);
            }
        }
    }

    /// A port is there again: its names, too, and whatever waited for it.
    fn reopened(&mut self, own: ServerPort, port: ServerPort, names: Vec<String>) {
        for name in names {
            let said = name.clone();
            self.say_own(OwnJob::Rename(name), |serial| Up::Register { serial, port, name: said });
        }
        let of_it = |job: &Job| matches!(job, Job::Register(at, _) if *at == own);
        let waited = self.jobs.iter().filter(|(_, job)| of_it(job));
        let waited: Vec<_> = waited.map(|(serial, job)| (*serial, job.clone())).collect();
        for (serial, job) in waited {
            self.say_job(serial, &job);
        }
        self.feed(own);
    }

    fn tell_if_done(&mut self, own: ServerPort) {
        if self.ports.is_done(own) {
            self.told.finished.push(own);
        }
    }

    fn server(&self, port: ServerPort) -> ServerId {
        let Whereabouts { id: site, epoch, .. } = *self.whereabouts.lock().expect(UNBROKEN);
        ServerId { site, epoch, port }
    }

    // ---- its end, and the next one

    /// The daemon is gone, or is no daemon.
    fn lose(&mut self, desk: &mut Desk, broken: Option<Broken>) {
        // What it said before is true.
        while broken.is_none() && self.hear_one(desk) == Ok(true) {}
        let Some(mut channel) = self.channel.take() else { return };
        tracing::warn!(target: "unavez", "the daemon is gone{}", said(broken));
        channel.line.end();
        // One that broke the channel may live, and read on.
        let taken = match broken {
            Some(_) => u64::MAX,
            None => channel.outbox.channel().taken(),
        };
        channel.outbox.channel().remove();
        *self.shared.line.lock().expect(UNBROKEN) = None;
        if let Some(word) = self.shared.word.lock().expect(UNBROKEN).take() {
            word.rouse();
        }
        self.told.ends.extend(self.calls.lose(taken));
        for serial in self.abandoned.drain() {
            self.jobs.remove(&serial);
        }
        let finished: Vec<_> = self.own_jobs.drain().collect();
        self.ports.lose();
        for (_, job) in finished {
            if let OwnJob::Finish(port) = job {
                self.tell_if_done(port);
            }
        }
        // It looks for the next one.
        self.shared.background.ring();
    }

    /// There is a daemon, this one or the next.
    fn resume(&mut self, attachment: Attachment) {
        let Attachment { welcome, outbox, bell } = attachment;
        let line = Arc::new(bell);
        *self.shared.line.lock().expect(UNBROKEN) = Some(Arc::clone(&line));
        *self.whereabouts.lock().expect(UNBROKEN) = welcome.whereabouts();
        self.terms = welcome.terms;
        self.ports.allow(welcome.terms.takes_max);
        self.channel = Some(Channel {
            outbox,
            line,
            asleep: false,
            stops: false,
            is_left: false,
            broken: None,
        });
        for port in self.ports.wanted() {
            self.say_own(OwnJob::Reopen(port), |serial| Up::OpenPort { serial });
        }
        let jobs: Vec<_> = self.jobs.iter().map(|(serial, job)| (*serial, job.clone())).collect();
        for (serial, job) in jobs {
            self.say_job(serial, &job);
        }
        let Daemon { channel: Some(channel), calls, buffer, .. } = self else { return };
        calls.resume(|up, body| channel.say(up, body, buffer));
        // Whoever sleeps shall sleep on the new line.
        self.shared.leader.ring();
    }

    fn heed(&mut self) -> Heard {
        let Some(channel) = &mut self.channel else { return Heard::Silence };
        channel.wake();
        match self.shared.rang.swap(false, Ordering::Relaxed) {
            true => channel.line.heed(),
            false => Heard::Silence,
        }
    }
}

impl Channel {
    fn say(&mut self, up: &Up, body: &[u8], buffer: &mut Vec<u8>) -> u64 {
        up.encode(body, buffer);
        let said = self.outbox.push(buffer);
        self.ring_if(said);
        self.outbox.pushed()
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Broken> {
        let came = self.outbox.channel().try_receive(buffer)?;
        let freed = self.outbox.channel().freed();
        self.ring_if(Ok(freed));
        Ok(came)
    }

    /// It has rung, or may have room: it gets what waits for it.
    fn wake(&mut self) {
        if std::mem::take(&mut self.asleep) {
            self.outbox.channel().woke();
        }
        if self.outbox.waiting() > 0 {
            let said = self.outbox.flush();
            self.ring_if(said);
        }
    }

    fn ring_if(&mut self, ring: Result<bool, Broken>) {
        match ring {
            Ok(true) => self.line.ring(),
            Ok(false) => {}
            Err(broken) => self.broken = Some(broken),
        }
    }
}

impl Behind for Daemon {
    fn calls_max(&self) -> usize {
        self.terms.calls_max as usize
    }

    fn ask(&mut self, target: &Target, request: Request) -> Result<Call, protocol::SendError> {
        let Request { body, flags, patience, max_reply } = request;
        let name = if let Target::Name { name, .. } = target { name } else { "" };
        if body.len() > BODY_MAX || name.len() > NAME_MAX {
            return Err(protocol::SendError::TooLong);
        }
        let call = self.calls.name();
        let patience_ends = patience_ends(clock::now().boot, patience);
        let target = target.clone();
        let up = Up::Ask { call: call.0, target, flags, patience_ends, max_reply };
        let sent = self.say(&up, &body);
        self.calls.asked(call, up, body, flags, patience.and_then(after), sent);
        Ok(call)
    }

    fn cancel(&mut self, call: Call) {
        match self.calls.cancel(call) {
            Some(end) => self.told.ends.push((call, end)),
            None => drop(self.say(&Up::Cancel { call: call.0 }, &[])),
        }
    }

    fn begin(&mut self, serial: Serial, job: &Job) {
        if self.stopped {
            return self.told.done.push((serial, Err(SiteError::Stopped.into())));
        }
        if matches!(job, Job::Register(_, name) if name.len() > NAME_MAX) {
            return self.told.done.push((serial, Err(protocol::SendError::BadName.into())));
        }
        self.jobs.insert(serial, job.clone());
        self.say_job(serial, job);
    }

    fn forget(&mut self, serial: Serial) {
        let waits = match self.jobs.get(&serial) {
            Some(Job::Register(port, _)) => self.ports.at(*port).is_none(),
            _ => self.channel.is_none(),
        };
        if waits {
            self.jobs.remove(&serial);
        } else if self.jobs.contains_key(&serial) {
            self.abandoned.insert(serial);
        }
    }

    fn finish_port(&mut self, port: ServerPort) {
        match self.ports.finish(port) {
            Some(at) => {
                self.say_own(OwnJob::Finish(port), |serial| Up::Finish { serial, port: at });
            }
            None => self.tell_if_done(port),
        }
    }

    fn close_port(&mut self, port: ServerPort) {
        if let Some(port) = self.ports.close(port) {
            self.say(&Up::ClosePort { port }, &[]);
        }
        self.feed_starved();
    }

    fn take_request(&mut self, port: ServerPort) -> Option<Incoming> {
        let Some(Came { call, body, flags, patience_ends }) = self.ports.take(port) else {
            self.feed(port);
            return None;
        };
        self.tell_if_done(port);
        let patience = patience_left(clock::now().boot, patience_ends);
        Some(Incoming { call, body, flags, patience })
    }

    fn reply(&mut self, port: ServerPort, call: CallId, body: Bytes) -> Result<(), SendError> {
        let was_full = self.ports.is_full();
        let reply = self.ports.reply(port, call)?;
        let up = Up::Reply { serial: NOBODY, port: reply.at, call, renew: reply.renew };
        // The client is told of a longer one that it was too long (R32).
        self.say(&up, &body[..body.len().min(BODY_MAX + 1)]);
        if was_full {
            self.feed_starved();
        }
        Ok(())
    }

    fn is_lost(&self, call: CallId) -> bool {
        self.ports.holds(call).is_none()
    }

    fn name_of(&self, port: ServerPort) -> ServerId {
        self.ports.name_of(port)
    }

    fn waits(&mut self, port: ServerPort, begins: bool) {
        self.ports.waits(port, begins);
        if begins {
            self.feed(port);
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
        if let Some(channel) = self.channel.take() {
            channel.line.end();
        }
    }

    fn act(&mut self, desk: &mut Desk) {
        if let Some(broken) = self.channel.as_ref().and_then(|channel| channel.broken) {
            self.lose(desk, Some(broken));
        }
        for (call, end) in self.told.ends.drain(..) {
            desk.end(call, end);
        }
        for (serial, done) in std::mem::take(&mut self.told.done) {
            let opened = if let Ok(Done::Opened(port)) = done { Some(port) } else { None };
            opened.into_iter().for_each(|port| desk.opened(port));
            // Whoever wanted it has given up.
            if !desk.done(serial, done)
                && let Some(port) = opened
            {
                desk.closed(port);
                self.close_port(port);
            }
        }
        self.told.finished.drain(..).for_each(|port| desk.finished(port));
    }

    fn round(&mut self, desk: &mut Desk) -> bool {
        let next = match self.channel {
            None => self.shared.next.lock().expect(UNBROKEN).take(),
            Some(_) => None,
        };
        if let Some(next) = next {
            tracing::info!(target: "unavez", "attached to the next daemon");
            self.resume(next);
        }
        let heard = self.heed();
        let more = match self.hear_one(desk) {
            Ok(more) => more,
            Err(broken) => {
                self.lose(desk, Some(broken));
                false
            }
        };
        // It waits until all have left.
        let is_left = self.channel.as_ref().is_some_and(|channel| channel.is_left);
        if heard == Heard::End || is_left {
            self.lose(desk, None);
        }
        if self.calls.deadline().is_some_and(|due| due <= clock::running()) {
            self.told.ends.extend(self.calls.expire(clock::running()));
        }
        self.act(desk);
        more
    }

    fn deadline(&self) -> Option<Time> {
        self.calls.deadline()
    }

    fn may_sleep(&mut self, who: Sleeper) -> bool {
        let mut word = self.shared.word.lock().expect(UNBROKEN);
        let Some(channel) = &mut self.channel else { return true };
        // On the word nobody hears that there is room again.
        let on_word = who == Sleeper::Leader && channel.outbox.waiting() == 0;
        let may_sleep = match on_word {
            true => channel.outbox.channel().may_sleep_on_word(),
            false => channel.outbox.channel().may_sleep(),
        };
        *word = on_word.then(|| channel.outbox.channel().lane());
        match may_sleep {
            Ok(may_sleep) => {
                channel.asleep |= may_sleep;
                may_sleep
            }
            Err(broken) => {
                channel.broken = Some(broken);
                false
            }
        }
    }

    fn is_away(&self) -> bool {
        self.channel.is_none()
    }
}

fn end_of(ended: Ended, body: &[u8]) -> End {
    match ended {
        Ended::Reply => Ok(Bytes::copy_from_slice(body)),
        Ended::NotSent(error) => Err(CallError::NotSent(error.into())),
        Ended::NotExecuted(why) => Err(why.into()),
        Ended::Unknown(why) => Err(why.into()),
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

fn done_of(seen: Seen) -> Option<Done> {
    Some(match seen {
        Seen::Counters(counters) => Done::Counters(Box::new(counters)),
        Seen::Entries(entries) => Done::Entries(entries),
        Seen::RoundTrips(some) => {
            let more = some.len() >= ROUND_TRIPS_MAX;
            Done::RoundTrips(some, more)
        }
        _ => return None,
    })
}

fn said(broken: Option<Broken>) -> String {
    broken.map(|broken| format!(": {broken}")).unwrap_or_default()
}
