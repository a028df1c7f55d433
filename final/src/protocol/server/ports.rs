//! Ports, their names, and the processes that serve there.

use super::super::broken::Broken;
use bytes::Bytes;

use super::super::builtin::{SiteReply, SiteRequest};
use super::super::effects::Effects;
use super::super::ids::{CallId, ServerId, ServerPort};
use super::super::kind::{Fate, Flags, Grant, Kind, Ran, Reason};
use super::super::note::Note;
use super::super::outcome::SendError;
use super::super::site::{Action, Entries, Incoming, ProcessId};
use super::super::timers::Timer;
use super::super::tombstone::{Answer, State};
use super::super::wire::Packet;
use super::{Came, Port, Server};

/// A queue holds some more calls than have records before those that were marked are dropped from it.
const QUEUE_PRUNE_ABOVE: usize = 64;

impl Server {
    pub(crate) fn open_port(&mut self, process: ProcessId) -> Result<ServerPort, SendError> {
        if self.ports.len() >= self.config.server_ports_max {
            return Err(SendError::TooManyPorts);
        }
        self.last_port += 1;
        let port = ServerPort(self.last_port);
        let opened = Port {
            process,
            queue: Default::default(),
            serving: Default::default(),
            names: Vec::new(),
        };
        self.ports.insert(port, opened);
        Ok(port)
    }

    pub(crate) fn register(&mut self, name: &str, port: ServerPort) -> Result<(), SendError> {
        if name.is_empty() || name.len() > self.config.name_max || self.names.contains_key(name) {
            return Err(SendError::BadName);
        }
        if self.names.len() >= self.config.server_ports_max {
            return Err(SendError::TooManyPorts);
        }
        self.ports.get_mut(&port).ok_or(SendError::NoSuchPort)?.names.push(name.into());
        self.names.insert(name.into(), port);
        Ok(())
    }

    /// Nobody will serve there again (R8). What was not begun never will be; what was, nobody can tell
    /// (R28).
    pub(crate) fn close_port(&mut self, port: ServerPort, out: &mut Effects) {
        let Some(closed) = self.ports.remove(&port) else { return };
        for name in closed.names {
            self.names.remove(&name);
        }
        let proves = self.config.is_broken(Broken::DeathProves);
        let vouched = self.config.is_broken(Broken::DeadVouchedFor);
        let mut serving: Vec<CallId> = closed.serving.into_iter().collect();
        serving.sort_unstable();
        for call in serving.into_iter().filter(|_| !vouched) {
            out.note(Note::DiedServing);
            let ran = if proves { Ran::No } else { Ran::Maybe };
            let reason = Reason::ServerDied;
            self.end_service(call, Answer::Refused { ran, reason }, out);
        }
        for call in self.waiting_at(port, closed.queue.into()) {
            out.note(Note::DiedQueued);
            self.mark(call, Reason::ServerDied, out);
            self.answer_record(call, 0, out);
        }
    }

    /// Calls that are queued there or wait for the one before them.
    fn waiting_at(&self, port: ServerPort, mut queued: Vec<CallId>) -> Vec<CallId> {
        for (client, tombstone) in self.tombstones.iter().filter(|(_, it)| it.order.waiting > 0) {
            let ordered = tombstone.records.iter().filter(|(_, record)| {
                record.port == port && matches!(record.state, State::Ordered(_))
            });
            queued.extend(ordered.map(|(seq, _)| CallId { client: *client, seq }));
        }
        queued.retain(|call| {
            let record = self.tombstones.get(&call.client).and_then(|it| it.records.get(call.seq));
            record.is_some_and(|record| record.is_waiting() && record.port == port)
        });
        queued.sort_unstable();
        queued.dedup();
        queued
    }

    pub(crate) fn close_ports_of(&mut self, process: ProcessId, out: &mut Effects) {
        let of = self.ports.iter().filter(|(_, port)| port.process == process);
        let mut ports: Vec<ServerPort> = of.map(|(port, _)| *port).collect();
        ports.sort_unstable();
        for port in ports {
            self.close_port(port, out);
        }
    }

    pub(super) fn queue(&mut self, call: CallId, out: &mut Effects) {
        let Some(record) = self.record(call) else { return };
        let port = record.port;
        let prune_above = 2 * self.records + QUEUE_PRUNE_ABOVE;
        match self.ports.get_mut(&port) {
            Some(open) => {
                open.queue.push_back(call);
                out.act(Action::Ready { port });
                if open.queue.len() > prune_above {
                    let queue = std::mem::take(&mut open.queue);
                    self.prune(port, queue);
                }
            }
            None => {
                out.note(Note::DiedQueued);
                self.mark(call, Reason::ServerDied, out);
            }
        }
    }

    /// What was marked meanwhile is not queued any more.
    fn prune(&mut self, port: ServerPort, mut queue: std::collections::VecDeque<CallId>) {
        queue.retain(|call| self.record(*call).is_some_and(|record| record.is_waiting()));
        if let Some(open) = self.ports.get_mut(&port) {
            open.queue = queue;
        }
    }

    /// Hands the next request over: from here on it counts as run (R20), before the process sees a byte.
    pub(crate) fn take_request(&mut self, port: ServerPort, out: &mut Effects) -> Option<Incoming> {
        let now = out.now.running;
        let runs_expired = self.config.is_broken(Broken::ExpiredRuns);
        loop {
            let call = self.ports.get_mut(&port)?.queue.pop_front()?;
            let Some(record) = self.record(call).filter(|record| record.port == port) else {
                continue;
            };
            let (before, expired) = (record.bytes(), record.patience_is_over(now));
            let State::Queued(body) = &mut record.state else { continue };
            if expired && !runs_expired {
                out.note(Note::Expired);
                self.mark(call, Reason::Expired, out);
                continue;
            }
            let body = std::mem::take(body);
            record.state = State::Serving { cancelled: false };
            let freed = before - record.bytes();
            let patience = record.patience_ends.map(|ends| ends.saturating_sub(now));
            let flags = record.flags;
            self.bytes -= freed;
            self.ports.get_mut(&port)?.serving.insert(call);
            out.note(Note::Executed);
            if flags.has(Flags::ORDERED) {
                self.tombstones.get_mut(&call.client)?.order.pass(call.seq);
                self.release_ordered(call.client, out);
            }
            return Some(Incoming { call, body, flags, patience });
        }
    }

    /// The process that has it in hand is told, once, that nobody wants it (R30, R38).
    pub(super) fn cancel_service(&mut self, call: CallId, note: Note, out: &mut Effects) {
        let Some(record) = self.record(call) else { return };
        let port = record.port;
        if let State::Serving { cancelled: cancelled @ false } = &mut record.state {
            *cancelled = true;
            out.note(note);
            out.act(Action::Cancelled { port, call });
        }
    }

    /// Port 0 (R10): nothing is kept, so only what may run again is answered.
    pub(super) fn handle_for_site(&mut self, came: Came, out: &mut Effects) {
        let reply = match came.packet.kind {
            Kind::Request { .. } if came.packet.flags.has(Flags::IDEMPOTENT) => {
                self.answer_for_site(&came.packet.body, out)
            }
            Kind::Request { .. } => {
                return self.refuse(came, Ran::No, Reason::NoSuchPort, out);
            }
            Kind::Abort { .. } => {
                let kind = Kind::Aborted { fate: Fate::Maybe };
                return self.answer_packet(came.from, came.packet, kind, out);
            }
            _ => return self.answer_packet(came.from, came.packet, Kind::NoCall, out),
        };
        let token = self.tokens.issue(out.now.running, came.from, came.packet.client.site);
        let port_life = self.config.port_life.as_millis() as u32;
        let grant = Grant { window: self.config.window, port_life, token };
        let kind = Kind::Reply { service_time: 0, grant };
        let packet = Packet { flags: Flags::NONE, kind, body: reply, ..came.packet.clone() };
        if !came.valid && packet.encoded_len() > 3 * came.packet.encoded_len() {
            return self.challenge(came, out);
        }
        out.note(Note::SiteAnswered);
        out.send(came.from, packet);
    }

    fn answer_for_site(&self, body: &[u8], out: &Effects) -> Bytes {
        let (site, epoch) = (self.site, self.epoch);
        let reply = match SiteRequest::decode(body) {
            Some(SiteRequest::Resolve(name)) => {
                SiteReply::Resolved(self.names.get(&name).map(|port| ServerId {
                    site,
                    epoch,
                    port: *port,
                }))
            }
            Some(SiteRequest::Ping(echo)) => SiteReply::Pong(echo),
            Some(SiteRequest::Counters) => SiteReply::Counters {
                site,
                counters: out.counters.clone(),
                entries: Entries { timers: out.timers.len(), ..self.entries() },
            },
            None => SiteReply::Malformed,
        };
        reply.encode()
    }

    pub(crate) fn entries(&self) -> Entries {
        Entries {
            records: self.records,
            bytes: self.bytes,
            tombstones: self.tombstones.len(),
            ..Entries::default()
        }
    }

    /// The timer of the first WORKING goes with its record.
    pub(super) fn drop_timer(call: CallId, out: &mut Effects) {
        out.timers.cancel(Timer::Working(call));
    }
}
