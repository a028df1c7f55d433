//! What stands behind the lock: the desk, and where this site's part in the protocol is played.
//!
//! Invariant: one event, then everything that comes of it.

use std::fmt;

use bytes::Bytes;

use super::desk::{ClientNumber, Desk, Event, Serial};
use super::lead::{self, Crew, Sleeper};
use crate::ipc::{SendError, SiteError};
use crate::protocol::{
    self, Call, CallId, Incoming, Request, ServerId, ServerPort, SiteId, Target, Time, Unknown,
};

/// Where a site's part in the protocol is played: in this process, or in the daemon of the host.
///
/// Ports are named as this process knows them, calls as [`Behind::ask`] named them. What comes of an
/// event is told to the desk by [`Behind::act`] and [`Behind::round`] only.
pub(crate) trait Behind: fmt::Debug + Send {
    /// How many calls are open at most.
    fn calls_max(&self) -> usize;
    /// Begins a call; its end is told to the desk.
    fn ask(&mut self, target: &Target, request: Request) -> Result<Call, protocol::SendError>;
    fn cancel(&mut self, call: Call);
    /// Begins a job; that it is done is told to the desk.
    fn begin(&mut self, serial: Serial, job: &Job);
    /// Nobody waits for this job any longer: it need not be done.
    fn forget(&mut self, serial: Serial);
    /// Takes no more requests there than have come; the desk is told when there are none left.
    fn finish_port(&mut self, port: ServerPort);
    fn close_port(&mut self, port: ServerPort);
    fn take_request(&mut self, port: ServerPort) -> Option<Incoming>;
    fn reply(&mut self, port: ServerPort, call: CallId, body: Bytes) -> Result<(), SendError>;
    /// Whether a request that was received cannot be answered any more.
    fn is_lost(&self, call: CallId) -> bool;
    /// As others name it.
    fn name_of(&self, port: ServerPort) -> ServerId;
    /// A thread begins to wait for requests there, or ceases to.
    fn waits(&mut self, port: ServerPort, begins: bool);
    /// The site is stopped: nothing is told any more.
    fn stop(&mut self);
    /// Does all that the last event brought; what is to be sent may wait for [`Behind::settle`].
    fn act(&mut self, desk: &mut Desk);
    /// The lock is let go: what is to be sent leaves.
    fn settle(&mut self, _desk: &mut Desk) {}
    /// Reads what has come, if anything has, and does what is due. `true` if there may be more.
    fn round(&mut self, desk: &mut Desk) -> bool;
    /// When [`Behind::round`] is wanted, whether or not anything comes.
    fn deadline(&self) -> Option<Time>;
    /// This thread is going to sleep until something comes; `false` if something has already.
    fn may_sleep(&mut self, who: Sleeper) -> bool;
    /// Whether nothing can come: there is nothing to watch.
    fn is_away(&self) -> bool;
}

/// Something that may take a moment.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    OpenPort,
    Register(ServerPort, String),
    Look(Look),
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    Counters,
    Entries,
    /// With sites of greater numbers, if one is given.
    RoundTrips(Option<SiteId>),
}

#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) desk: Desk,
    behind: Box<dyn Behind>,
}

impl Inside {
    pub(crate) fn new(behind: Box<dyn Behind>) -> Inside {
        Inside { desk: Desk::default(), behind }
    }

    // ---- clients

    /// Asks; the outcome will be there for whoever claims this call, or for anybody.
    pub(crate) fn ask(
        &mut self,
        number: ClientNumber,
        target: &Target,
        request: Request,
        claimed: bool,
    ) -> Result<Call, SendError> {
        self.check_runs()?;
        if self.desk.calls() >= self.behind.calls_max() {
            return Err(protocol::SendError::TooManyCalls.into());
        }
        let call = self.behind.ask(target, request)?;
        self.desk.open(call, number, claimed);
        self.act();
        Ok(call)
    }

    pub(crate) fn cancel(&mut self, call: Call) {
        self.behind.cancel(call);
        self.act();
    }

    /// Its calls are called off, and nobody asks for their outcomes any more.
    pub(crate) fn close_client(&mut self, number: ClientNumber) {
        for call in self.desk.close_client(number) {
            self.cancel(call);
        }
    }

    // ---- servers

    /// Threads that wait there leave; what they have taken can still be answered.
    pub(crate) fn finish_port(&mut self, port: ServerPort) {
        self.behind.finish_port(port);
        self.act();
    }

    pub(crate) fn close_port(&mut self, port: ServerPort) {
        self.desk.closed(port);
        self.behind.close_port(port);
        self.act();
    }

    pub(crate) fn take_request(&mut self, port: ServerPort) -> Option<Incoming> {
        let taken = self.behind.take_request(port);
        // Even if there was none: others were found to have come too late.
        self.act();
        taken
    }

    pub(crate) fn reply(
        &mut self,
        port: ServerPort,
        call: CallId,
        body: Bytes,
    ) -> Result<(), SendError> {
        self.check_runs()?;
        self.desk.answered(call);
        let done = self.behind.reply(port, call, body);
        self.act();
        done
    }

    pub(crate) fn is_cancelled(&self, call: CallId) -> bool {
        self.desk.stopped || self.desk.is_cancelled(call) || self.behind.is_lost(call)
    }

    pub(crate) fn name_of(&self, port: ServerPort) -> ServerId {
        self.behind.name_of(port)
    }

    // ---- all

    pub(crate) fn begin(&mut self, job: &Job) -> Serial {
        let serial = self.desk.new_job();
        if self.desk.stopped && !matches!(job, Job::Look(_)) {
            self.desk.done(serial, Err(SiteError::Stopped.into()));
            return serial;
        }
        self.behind.begin(serial, job);
        self.act();
        serial
    }

    /// Nobody waits for it any longer. It may be done later, if it was begun.
    pub(crate) fn forget(&mut self, serial: Serial) {
        self.desk.forget(serial);
        self.behind.forget(serial);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.desk.stopped
    }

    /// Ends every call and closes every port; all threads leave.
    pub(crate) fn stop(&mut self) {
        for call in self.desk.open_calls() {
            self.cancel(call);
        }
        // They were to be known for certain, but nobody is left to hear it.
        for call in self.desk.open_calls() {
            self.desk.end(call, Err(Unknown::Cancelled.into()));
        }
        for port in self.desk.ports() {
            self.close_port(port);
        }
        self.desk.stopped = true;
        self.behind.stop();
        for serial in self.desk.open_jobs() {
            self.desk.done(serial, Err(SiteError::Stopped.into()));
        }
    }

    fn check_runs(&self) -> Result<(), SiteError> {
        if self.desk.stopped { Err(SiteError::Stopped) } else { Ok(()) }
    }

    fn act(&mut self) {
        self.behind.act(&mut self.desk);
    }
}

impl lead::Inside for Inside {
    type Event = Event;

    fn crew(&mut self) -> &mut Crew<Event> {
        &mut self.desk.crew
    }

    fn deadline(&self) -> Option<Time> {
        // After the last act nothing is sent and nobody is told.
        if self.desk.stopped { None } else { self.behind.deadline() }
    }

    fn round(&mut self) -> bool {
        !self.desk.stopped && self.behind.round(&mut self.desk)
    }

    fn settle(&mut self) {
        self.behind.settle(&mut self.desk);
    }

    fn may_sleep(&mut self, who: Sleeper) -> bool {
        self.desk.stopped || self.behind.may_sleep(who)
    }

    fn waits(&mut self, event: Event, begins: bool) {
        if let Event::Request(port) = event {
            self.behind.waits(port, begins);
        }
    }

    fn is_over(&self) -> bool {
        self.desk.stopped || self.behind.is_away()
    }
}
