//! What a process says, and what comes of it.
//!
//! Invariant: each message is one event, done or refused or the end of that process; and what it names
//! is looked up in its own tables only.

use bytes::Bytes;

use super::inside::{Inside, Stage};
use super::limits::{LAST_MAX, PART_COST, TURN_MAX, WAITING_MAX};
use super::process::Hands;
use crate::clock;
use crate::local::Broken;
use crate::local::message::{Answer, Down, Ended, Up, patience_left};
use crate::local::parts::{Came, Message, long_bytes};
use crate::protocol::{CallId, ProcessId, Request, SendError, ServerPort, Target};

/// How a process's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has said more.
    More,
    /// It will ring.
    Done,
}

const NAMED_TWICE: Broken = Broken("it used the name of an open call again");
const MORE_THAN_IS_OPEN: Broken = Broken("it named a port that is not its own");

impl Inside {
    /// A process has rung, or had said more than one turn's: reads it.
    pub(super) fn turn(&mut self, id: ProcessId, buffer: &mut Vec<u8>) -> Turn {
        match self.try_turn(id, buffer) {
            Ok(turn) => turn,
            Err(broken) => {
                self.let_go(id, broken);
                Turn::Done
            }
        }
    }

    fn try_turn(&mut self, id: ProcessId, buffer: &mut Vec<u8>) -> Result<Turn, Broken> {
        if let Some(process) = self.processes.get_mut(&id) {
            process.wake(&mut self.long.room)?;
        }
        self.make_up(id);
        self.catch_up(id);
        let mut left = TURN_MAX;
        loop {
            let stops = self.stage() != Stage::Runs;
            let Some(process) = self.processes.get_mut(&id) else { return Ok(Turn::Done) };
            // What is not read now was not taken: it will ring when it has read what waits for it, or
            // ask the next daemon.
            if stops || process.waiting() > WAITING_MAX {
                process.rest();
                return Ok(Turn::Done);
            }
            if left == 0 {
                process.rest();
                return Ok(Turn::More);
            }
            let Some(came) = process.receive(buffer, &mut self.long.room)? else {
                process.rest();
                return Ok(if process.may_sleep()? { Turn::Done } else { Turn::More });
            };
            left = left.saturating_sub(if came == Came::Part { PART_COST } else { 1 });
            self.hear(id, came)?;
            self.follow();
        }
    }

    /// A process is gone: all that is left in its channel is read first (R28).
    pub(super) fn end(&mut self, id: ProcessId, buffer: &mut Vec<u8>) {
        for _ in 0..LAST_MAX {
            if self.stage() != Stage::Runs {
                break;
            }
            let Some(process) = self.processes.get_mut(&id) else { return };
            let Ok(Some(came)) = process.receive(buffer, &mut self.long.room) else { break };
            if self.hear(id, came).is_err() {
                break;
            }
            self.follow();
        }
        self.detach(id);
    }

    fn hear(&mut self, id: ProcessId, came: Came) -> Result<(), Broken> {
        match came {
            Came::Whole(message) => self.hear_whole(id, &message),
            Came::Part => Ok(()),
            Came::Refused(first) => self.refuse(id, first),
        }
    }

    fn hear_whole(&mut self, id: ProcessId, message: &Message) -> Result<(), Broken> {
        let (up, body) = Up::decode(message.bytes())?;
        let body = || message.last(body.len());
        match up {
            Up::Ask { call, target, flags, patience_ends, max_reply } => {
                let patience = patience_left(clock::now().boot, patience_ends);
                let body = body();
                self.ask(id, call, &target, Request { body, flags, patience, max_reply })?;
            }
            Up::Cancel { call } => self.cancel(id, call),
            Up::OpenPort { serial } => {
                let answer = self.open_port(id).map_or_else(Answer::Refused, Answer::Opened);
                self.answer(id, serial, answer, Bytes::new());
            }
            Up::ClosePort { port } => self.close_port(id, port),
            Up::Finish { serial, port } => {
                self.finish_port(id, port);
                self.answer(id, serial, Answer::Finished, Bytes::new());
            }
            Up::Register { serial, port, name } => {
                let done = match self.has_port(id, port) {
                    true => self.site.register(&name, port),
                    false => Err(SendError::NoSuchPort),
                };
                if let (Ok(()), Some((_, hands))) = (done, self.ports.get_mut(&port)) {
                    hands.names.push(name);
                }
                let answer = done.map_or_else(Answer::Refused, |()| Answer::Done);
                self.answer(id, serial, answer, Bytes::new());
            }
            Up::Take { port } => self.take(id, port)?,
            Up::Reply { serial, port, call, renew } => {
                self.replied(id, serial, port, call, renew, body())?;
            }
            Up::TooLong { serial, port, call, renew } => {
                let too_long = self.long.one_too_long();
                self.replied(id, serial, port, call, renew, too_long)?;
            }
            Up::Look { serial, what } => self.look(id, serial, what),
        }
        Ok(())
    }

    /// There is no room for a long message, of which this is the first part. A request is not sent. A
    /// reply is lost, and its client is told that the service ran (R32).
    fn refuse(&mut self, id: ProcessId, first: &[u8]) -> Result<(), Broken> {
        match Up::decode(first)?.0 {
            Up::Ask { call, .. } => {
                let has_call =
                    self.processes.get(&id).is_some_and(|process| process.has_call(call));
                if has_call {
                    return Err(NAMED_TWICE);
                }
                let ended = Ended::NotSent(SendError::TooManyCalls);
                self.tell(id, &Down::End { call, ended }, Bytes::new());
                Ok(())
            }
            Up::Reply { serial, port, call, renew } => {
                tracing::warn!(process = id.0, "there is no room for a long reply");
                let too_long = self.long.one_too_long();
                self.replied(id, serial, port, call, renew, too_long)
            }
            _ => Err(Broken("it said at length what is short")),
        }
    }

    pub(super) fn answer(&mut self, id: ProcessId, serial: u64, answer: Answer, body: Bytes) {
        self.tell(id, &Down::Answer { serial, answer }, body);
    }

    fn ask(
        &mut self,
        id: ProcessId,
        own_name: u64,
        target: &Target,
        request: Request,
    ) -> Result<(), Broken> {
        let Some(process) = self.processes.get(&id) else { return Ok(()) };
        if process.has_call(own_name) {
            return Err(NAMED_TWICE);
        }
        let bytes = long_bytes(&request.body);
        let may_ask = process.open_calls() < self.calls_max as usize
            && self.may_hold(id, process.asked_bytes(), bytes);
        let sent = match may_ask {
            true => self.site.send_request(clock::now(), id, target, request),
            false => Err(SendError::TooManyCalls),
        };
        let Some(process) = self.processes.get_mut(&id) else { return Ok(()) };
        match sent {
            Ok(call) => process.called(own_name, call, bytes, &mut self.long.room),
            Err(error) => {
                let down = Down::End { call: own_name, ended: Ended::NotSent(error) };
                self.tell(id, &down, Bytes::new());
            }
        }
        Ok(())
    }

    fn cancel(&mut self, id: ProcessId, own_name: u64) {
        let call = self.processes.get(&id).and_then(|process| process.call(own_name));
        if let Some(call) = call {
            self.site.cancel(clock::now(), call);
        }
    }

    fn open_port(&mut self, id: ProcessId) -> Result<ServerPort, SendError> {
        let process = self.processes.get_mut(&id).ok_or(SendError::NoSuchPort)?;
        process.may_open()?;
        let port = self.site.open_port(id)?;
        process.opened(port);
        self.ports.insert(port, (id, Hands::default()));
        Ok(port)
    }

    fn close_port(&mut self, id: ProcessId, port: ServerPort) {
        if !self.has_port(id, port) {
            return;
        }
        if let (Some(process), Some((_, hands))) =
            (self.processes.get_mut(&id), self.ports.remove(&port))
        {
            process.closed(port, &hands);
        }
        self.site.close_port(clock::now(), port);
    }

    fn finish_port(&mut self, id: ProcessId, port: ServerPort) {
        if self.has_port(id, port)
            && let (Some(process), Some((_, hands))) =
                (self.processes.get_mut(&id), self.ports.get_mut(&port))
        {
            process.finished(hands);
        }
    }

    fn take(&mut self, id: ProcessId, port: ServerPort) -> Result<(), Broken> {
        if !self.has_port(id, port) {
            return Err(MORE_THAN_IS_OPEN);
        }
        if let (Some(process), Some((_, hands))) =
            (self.processes.get_mut(&id), self.ports.get_mut(&port))
        {
            process.take()?;
            hands.free += 1;
        }
        // The core's actions of this message are done: what comes next is another event.
        self.follow();
        self.hand_over(port);
        Ok(())
    }

    fn replied(
        &mut self,
        id: ProcessId,
        serial: u64,
        port: ServerPort,
        call: CallId,
        renew: bool,
        body: Bytes,
    ) -> Result<(), Broken> {
        if let Err(error) = self.reply(id, port, call, body) {
            self.answer(id, serial, Answer::Refused(error), Bytes::new());
        }
        if renew && self.has_port(id, port) {
            self.take(id, port)?;
        }
        Ok(())
    }

    fn reply(
        &mut self,
        id: ProcessId,
        port: ServerPort,
        call: CallId,
        body: Bytes,
    ) -> Result<(), SendError> {
        if !self.has_port(id, port) {
            return Err(SendError::NoSuchPort);
        }
        let hands = self.ports.get_mut(&port).filter(|(_, hands)| hands.full.contains(&call));
        let (Some(process), Some((_, hands))) = (self.processes.get_mut(&id), hands) else {
            return Err(SendError::NotServing);
        };
        // The core may have forgotten it; it is out of hand all the same.
        hands.full.remove(&call);
        process.replied();
        self.site.send_reply(clock::now(), port, call, body)
    }

    fn has_port(&self, id: ProcessId, port: ServerPort) -> bool {
        self.processes.get(&id).is_some_and(|process| process.has_port(port))
    }
}
