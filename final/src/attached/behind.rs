//! The site's part, played by the daemon: what is asked of it here is asked of the daemon.
//!
//! Invariant: nothing here waits for the daemon, but the end, and that not long.

use std::time::Duration;

use bytes::Bytes;

use super::UNBROKEN;
use super::daemon::{Daemon, NOBODY, OwnJob};
use super::ports::Came;
use crate::clock;
use crate::ipc::{SendError, SiteError, after};
use crate::local::bell::Heard;
use crate::local::message::{NAME_MAX, Up, patience_ends, patience_left};
use crate::protocol::{self, Call, CallId, Incoming, Request, ServerId, ServerPort, Target, Time};
use crate::site::desk::{Desk, Done, Serial};
use crate::site::inside::{Behind, Job};
use crate::site::lead::Sleeper;

/// How long a site that is stopped waits until the daemon has taken what it has said, as the last reply
/// of a server that leaves: 64 MB take a tenth of a second.
const SAY_WAIT: Duration = Duration::from_secs(2);

impl Behind for Daemon {
    fn calls_max(&self) -> usize {
        self.terms.calls_max as usize
    }

    fn ask(&mut self, target: &Target, request: Request) -> Result<Call, protocol::SendError> {
        let Request { body, flags, patience, max_reply } = request;
        let name = if let Target::Name { name, .. } = target { name } else { "" };
        if body.len() > self.terms.message_max as usize || name.len() > NAME_MAX {
            return Err(protocol::SendError::TooLong);
        }
        let call = self.calls.name();
        let patience_ends = patience_ends(clock::now().boot, patience);
        let target = target.clone();
        let up = Up::Ask { call: call.0, target, flags, patience_ends, max_reply };
        let may_say = self.calls.may_say(&body, flags);
        let sent = if may_say { self.say(&up, body.clone()) } else { None };
        self.calls.asked(call, up, body, flags, patience.and_then(after), sent);
        if !may_say {
            self.calls.hold(call);
        }
        Ok(call)
    }

    fn cancel(&mut self, call: Call) {
        self.take_back(call);
        match self.calls.cancel(call) {
            Some(end) => self.told.ends.push((call, end)),
            None => drop(self.say(&Up::Cancel { call: call.0 }, Bytes::new())),
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
            self.say(&Up::ClosePort { port }, Bytes::new());
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
        let (serial, port, renew) = (NOBODY, reply.at, reply.renew);
        match body.len() <= self.terms.message_max as usize {
            true => self.say(&Up::Reply { serial, port, call, renew }, body),
            false => self.say(&Up::TooLong { serial, port, call, renew }, Bytes::new()),
        };
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
        if let Some(mut channel) = self.channel.take() {
            channel.say_rest(SAY_WAIT);
            channel.line.end();
        }
    }

    fn act(&mut self, desk: &mut Desk) {
        self.say_held();
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
                self.break_off(broken);
                false
            }
        };
        // It waits until all have left.
        let is_left = self.channel.as_ref().is_some_and(|channel| channel.is_left);
        if heard == Heard::End || is_left {
            self.lose(desk);
        }
        let now = clock::running();
        if self.calls.deadline().is_some_and(|due| due <= now) {
            self.calls.overdue(now).into_iter().for_each(|call| self.take_back(call));
            self.told.ends.extend(self.calls.expire(now));
        }
        self.act(desk);
        more
    }

    fn deadline(&self) -> Option<Time> {
        self.calls.deadline()
    }

    fn may_sleep(&mut self, who: Sleeper) -> bool {
        let mut word = self.shared.word.lock().expect(UNBROKEN);
        *word = None;
        let channel = self.channel.as_mut().filter(|channel| !channel.is_broken());
        let Some(channel) = channel else { return true };
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
                channel.break_off(broken);
                false
            }
        }
    }

    fn is_away(&self) -> bool {
        self.channel.is_none()
    }
}
