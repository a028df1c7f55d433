//! What the daemon says, and what comes of it.
//!
//! Invariant: what it says is true of what was asked of it, or it is no daemon any more.

use bytes::Bytes;

use super::UNBROKEN;
use super::daemon::{Daemon, NOBODY, OWN, OwnJob};
use super::ports::Came as Request;
use crate::ipc::CallError;
use crate::local::Broken;
use crate::local::message::{Answer, Down, Ended, ROUND_TRIPS_MAX, Seen, Up};
use crate::local::parts::{Came, Message};
use crate::protocol::{Call, ServerId, ServerPort};
use crate::site::Whereabouts;
use crate::site::desk::{Desk, Done, End, Serial};
use crate::site::inside::Job;

impl Daemon {
    /// The next message, if one has come.
    pub(super) fn hear_one(&mut self, desk: &mut Desk) -> Result<bool, Broken> {
        let channel = self.channel.as_mut().filter(|channel| !channel.is_broken());
        let Some(channel) = channel else { return Ok(false) };
        let mut buffer = std::mem::take(&mut self.buffer);
        let came = channel.receive(&mut buffer);
        let heard = came.and_then(|came| {
            if let Some(Came::Whole(message)) = &came {
                self.hear(message, desk)?;
            }
            Ok(came.is_some())
        });
        self.buffer = buffer;
        heard
    }

    fn hear(&mut self, message: &Message, desk: &mut Desk) -> Result<(), Broken> {
        let (down, body) = Down::decode(message.bytes())?;
        match down {
            Down::End { call, ended } => {
                let (call, end) = (Call(call), end_of(ended, message.last(body.len())));
                // It may have been refused before all of it has left.
                self.take_back(call);
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
                let body = message.last(body.len());
                let came = Request { call, body, flags, patience_ends };
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

    pub(super) fn job_done(
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

    pub(super) fn own_job_done(&mut self, job: OwnJob, answer: Answer) {
        match (job, answer) {
            (OwnJob::Reopen(own), Answer::Opened(port)) => {
                match self.ports.reopen(own, self.server(port)) {
                    Some(names) => self.reopened(own, port, names),
                    None => drop(self.say(&Up::ClosePort { port }, Bytes::new())),
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
    pub(super) fn reopened(&mut self, own: ServerPort, port: ServerPort, names: Vec<String>) {
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

    pub(super) fn tell_if_done(&mut self, own: ServerPort) {
        if self.ports.is_done(own) {
            self.told.finished.push(own);
        }
    }

    pub(super) fn server(&self, port: ServerPort) -> ServerId {
        let Whereabouts { id: site, epoch, .. } = *self.whereabouts.lock().expect(UNBROKEN);
        ServerId { site, epoch, port }
    }
}

fn end_of(ended: Ended, body: Bytes) -> End {
    match ended {
        Ended::Reply => Ok(body),
        Ended::NotSent(error) => Err(CallError::NotSent(error.into())),
        Ended::NotExecuted(why) => Err(why.into()),
        Ended::Unknown(why) => Err(why.into()),
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
