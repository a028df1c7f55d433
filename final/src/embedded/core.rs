//! The protocol played in this process: the core and its way to the network.
//!
//! Invariant: one event, then every action (R5).

use bytes::Bytes;

use super::network::Network;
use crate::clock;
use crate::ipc::SendError;
use crate::protocol::{
    self, Action, Call, CallId, Incoming, Now, ProcessId, Request, ServerId, ServerPort, Site,
    Target, Time,
};
use crate::site::desk::{Desk, Done, Serial, end_of};
use crate::site::inside::{Behind, Job, Look};
use crate::site::lead::Sleeper;

/// All threads here are one process to the core.
const PROCESS: ProcessId = ProcessId(0);
/// So many datagrams are read before the timers run, whether or not more have come: a flood does not
/// stop them.
const READ_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Core {
    site: Site,
    network: Network,
    calls_max: usize,
    /// The moment of all events of one way in; none when nobody is in.
    now: Option<Now>,
    /// What is to be told to the desk when the actions are done.
    done: Vec<(Serial, Result<Done, SendError>)>,
    finished: Vec<ServerPort>,
}

impl Core {
    pub(super) fn new(site: Site, network: Network, calls_max: usize) -> Core {
        Core { site, network, calls_max, now: None, done: Vec::new(), finished: Vec::new() }
    }

    /// Read once for all that is done on one way in, and anew when the socket is read.
    fn now(&mut self) -> Now {
        *self.now.get_or_insert_with(clock::now)
    }

    /// Reads what one system call brings, or finds that there is nothing after this moment. How many
    /// datagrams that were.
    fn read(&mut self, desk: &mut Desk) -> (usize, Time) {
        let (_, now) = self.network.read(&mut self.site);
        self.now = Some(now);
        self.act(desk);
        let mut count = 0;
        while self.network.handle_next(&mut self.site) {
            self.act(desk);
            count += 1;
        }
        (count, now.running)
    }

    fn follow(&mut self, action: Action, desk: &mut Desk) {
        match action {
            Action::Send { to, packet } => self.network.send(to, &packet),
            Action::Fragment { to, fragment } => self.network.send_fragment(to, fragment),
            Action::Path { to } => self.network.tell_path(&mut self.site, to),
            Action::End { call, outcome, .. } => {
                self.network.trace().ended(&outcome);
                desk.end(call, end_of(outcome));
            }
            Action::Ready { port } => desk.requested(port),
            Action::Cancelled { port, call } => desk.cancelled(port, call),
            Action::Note(note) => self.network.trace().noted(note),
        }
    }

    fn look(&self, what: Look) -> Done {
        match what {
            Look::Counters => Done::Counters(Box::new(self.site.counters().clone())),
            Look::Entries => Done::Entries(self.site.entries()),
            Look::RoundTrips(_) => Done::RoundTrips(self.site.round_trips(), false),
        }
    }
}

impl Behind for Core {
    fn calls_max(&self) -> usize {
        self.calls_max
    }

    fn ask(&mut self, target: &Target, request: Request) -> Result<Call, protocol::SendError> {
        let now = self.now();
        self.site.send_request(now, PROCESS, target, request)
    }

    fn cancel(&mut self, call: Call) {
        let now = self.now();
        self.site.cancel(now, call);
    }

    fn begin(&mut self, serial: Serial, job: &Job) {
        let done = match job {
            Job::OpenPort => self.site.open_port(PROCESS).map(Done::Opened),
            Job::Register(port, name) => self.site.register(name, *port).map(|()| Done::Nothing),
            Job::Look(what) => Ok(self.look(*what)),
        };
        self.done.push((serial, done.map_err(SendError::from)));
    }

    fn forget(&mut self, _: Serial) {}

    fn finish_port(&mut self, port: ServerPort) {
        self.finished.push(port);
    }

    fn close_port(&mut self, port: ServerPort) {
        let now = self.now();
        self.site.close_port(now, port);
    }

    fn take_request(&mut self, port: ServerPort) -> Option<Incoming> {
        let now = self.now();
        let taken = self.site.take_request(now, port);
        if let Some(taken) = &taken {
            self.network.trace().served(port, &taken.body);
        }
        taken
    }

    fn reply(&mut self, port: ServerPort, call: CallId, body: Bytes) -> Result<(), SendError> {
        let now = self.now();
        Ok(self.site.send_reply(now, port, call, body)?)
    }

    fn is_lost(&self, _: CallId) -> bool {
        false
    }

    fn name_of(&self, port: ServerPort) -> ServerId {
        ServerId { site: self.site.site(), epoch: self.site.epoch(), port }
    }

    fn waits(&mut self, _: ServerPort, _: bool) {}

    fn stop(&mut self) {}

    fn act(&mut self, desk: &mut Desk) {
        while let Some(action) = self.site.poll_action() {
            self.follow(action, desk);
        }
        for (serial, done) in self.done.drain(..) {
            if let Ok(Done::Opened(port)) = done {
                desk.opened(port);
            }
            desk.done(serial, done);
        }
        self.finished.drain(..).for_each(|port| desk.finished(port));
    }

    fn settle(&mut self, desk: &mut Desk) {
        while self.network.flush(&mut self.site) {
            self.act(desk);
        }
        self.now = None;
    }

    fn round(&mut self, desk: &mut Desk) -> bool {
        let (mut read, now) = self.read(desk);
        if self.site.deadline().is_some_and(|at| at <= now) {
            let mut count = 0;
            while read > 0 && count < READ_MAX {
                count += read;
                read = self.read(desk).0;
            }
            let now = *self.now.insert(clock::now());
            self.site.handle_timeout(now);
            self.act(desk);
        }
        read > 0
    }

    fn deadline(&self) -> Option<Time> {
        self.site.deadline()
    }

    fn may_sleep(&mut self, _: Sleeper) -> bool {
        true
    }

    fn is_away(&self) -> bool {
        false
    }
}
