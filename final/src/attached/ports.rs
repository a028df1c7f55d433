//! The ports of this process, and the requests that it was handed.
//!
//! Invariant: a request is handed over only for a thread that waits, or one that has just answered;
//! and never are there more, with those in hand, than the daemon allows.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::ipc::{SendError, SiteError};
use crate::local::Broken;
use crate::local::message::PatienceEnds;
use crate::protocol::{self, CallId, Flags, ServerId, ServerPort, Table};

#[derive(Debug, Default)]
pub(super) struct Ports {
    ports: Table<ServerPort, Port>,
    /// By the daemon's name for each.
    own_names: Table<ServerPort, ServerPort>,
    /// Requests that no thread has answered.
    in_hand: Table<CallId, ServerPort>,
    /// Those of daemons that are gone.
    lost: Table<CallId, ServerPort>,
    /// How many requests are in hand, or may be handed over.
    takes: u32,
    takes_max: u32,
    last: u64,
}

#[derive(Debug)]
struct Port {
    /// As others know it: the last time that it was open.
    name: ServerId,
    /// As the daemon knows it; `None` while there is none.
    at: Option<ServerPort>,
    names: Vec<String>,
    /// Requests that no thread has taken.
    queue: VecDeque<Came>,
    /// How many may be handed over.
    free: u32,
    /// How many threads wait, and how many have at most.
    waiters: u32,
    waiters_max: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// More may come that were handed over already.
    Finishing,
    /// No more come.
    Finished,
}

/// A request, as it was handed over.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) call: CallId,
    pub(super) body: Bytes,
    pub(super) flags: Flags,
    pub(super) patience_ends: PatienceEnds,
}

/// What a reply is said with.
pub(super) struct Reply {
    pub(super) at: ServerPort,
    pub(super) renew: bool,
}

impl Ports {
    /// There is a daemon, which allows for so many.
    pub(super) fn allow(&mut self, takes_max: u32) {
        self.takes_max = takes_max;
    }

    // ---- ports

    /// A port was opened; its name in this process.
    pub(super) fn open(&mut self, name: ServerId) -> ServerPort {
        self.last += 1;
        let own = ServerPort(self.last);
        let port = Port {
            name,
            at: Some(name.port),
            names: Vec::new(),
            queue: VecDeque::new(),
            free: 0,
            waiters: 0,
            waiters_max: 0,
            stage: Stage::Open,
        };
        self.ports.insert(own, port);
        self.own_names.insert(name.port, own);
        own
    }

    /// It was opened again; the names that it had. `None` if it is not wanted any more.
    pub(super) fn reopen(&mut self, own: ServerPort, name: ServerId) -> Option<Vec<String>> {
        let port = self.ports.get_mut(&own)?;
        port.name = name;
        port.at = Some(name.port);
        self.own_names.insert(name.port, own);
        Some(port.names.clone())
    }

    pub(super) fn register(&mut self, own: ServerPort, name: &str) {
        if let Some(port) = self.ports.get_mut(&own) {
            port.names.push(name.into());
        }
    }

    /// The daemon's name for it, if it has one.
    pub(super) fn at(&self, own: ServerPort) -> Option<ServerPort> {
        self.ports.get(&own)?.at
    }

    pub(super) fn name_of(&self, own: ServerPort) -> ServerId {
        self.ports.get(&own).map(|port| port.name).unwrap_or_default()
    }

    /// Those that are wanted, in the order in which they were opened.
    pub(super) fn wanted(&self) -> Vec<ServerPort> {
        let open = self.ports.iter().filter(|(_, port)| port.stage == Stage::Open);
        let mut open: Vec<ServerPort> = open.map(|(own, _)| *own).collect();
        open.sort_unstable();
        open
    }

    /// Takes no more; `Some` if the daemon must be told so, by its name for it.
    pub(super) fn finish(&mut self, own: ServerPort) -> Option<ServerPort> {
        let port = self.ports.get_mut(&own)?;
        if port.stage != Stage::Open {
            return None;
        }
        port.stage = if port.free > 0 { Stage::Finishing } else { Stage::Finished };
        port.at.filter(|_| port.free > 0)
    }

    /// No more are handed over.
    pub(super) fn finished(&mut self, own: ServerPort) {
        if let Some(port) = self.ports.get_mut(&own) {
            port.stage = Stage::Finished;
            self.takes -= std::mem::take(&mut port.free);
        }
    }

    /// Whether threads that wait there wait in vain.
    pub(super) fn is_done(&self, own: ServerPort) -> bool {
        let done = |port: &Port| port.stage == Stage::Finished && port.queue.is_empty();
        self.ports.get(&own).is_some_and(done)
    }

    /// The daemon's name for it, if it must be told.
    pub(super) fn close(&mut self, own: ServerPort) -> Option<ServerPort> {
        let port = self.ports.remove(&own)?;
        let before = self.in_hand.len();
        self.in_hand.retain(|_, at| *at != own);
        self.lost.retain(|_, at| *at != own);
        self.takes -= port.free + (before - self.in_hand.len()) as u32;
        self.own_names.remove(&port.at?);
        port.at
    }

    /// The daemon is gone, and what it has handed over is nobody's. Ports that take no more: whoever waits
    /// there waits in vain.
    pub(super) fn lose(&mut self) -> Vec<ServerPort> {
        for port in self.ports.values_mut() {
            port.at = None;
            port.free = 0;
            for came in port.queue.drain(..) {
                self.in_hand.remove(&came.call);
            }
            if port.stage == Stage::Finishing {
                port.stage = Stage::Finished;
            }
        }
        self.own_names.clear();
        self.lost.extend(self.in_hand.drain());
        self.takes = 0;
        self.ports.keys().copied().filter(|own| self.is_done(*own)).collect()
    }

    // ---- requests

    /// One more thread waits there, or one less.
    pub(super) fn waits(&mut self, own: ServerPort, begins: bool) {
        if let Some(port) = self.ports.get_mut(&own) {
            port.waiters = if begins { port.waiters + 1 } else { port.waiters.saturating_sub(1) };
            port.waiters_max = port.waiters_max.max(port.waiters);
        }
    }

    /// How many more may be handed over there from now on, and the daemon's name for it: as many as
    /// threads wait, and one at least.
    pub(super) fn feed(&mut self, own: ServerPort) -> Option<(ServerPort, u32)> {
        let port = self.ports.get_mut(&own)?;
        let at = port.at.filter(|_| port.stage == Stage::Open)?;
        let coming = port.free + port.queue.len() as u32;
        let more = port.waiters.max(1).saturating_sub(coming);
        let more = more.min(self.takes_max.saturating_sub(self.takes));
        port.free += more;
        self.takes += more;
        Some((at, more))
    }

    /// Ports where threads wait, and nothing may be handed over: there were too many in hand.
    pub(super) fn starved(&self) -> Vec<ServerPort> {
        let starved = |port: &Port| port.waiters > port.free + port.queue.len() as u32;
        self.ports.iter().filter(|(_, port)| starved(port)).map(|(own, _)| *own).collect()
    }

    /// One was handed over; the port's name here. `None` if it is closed.
    pub(super) fn came(
        &mut self,
        at: ServerPort,
        came: Came,
    ) -> Result<Option<ServerPort>, Broken> {
        let Some(own) = self.own_names.get(&at).copied() else { return Ok(None) };
        let Some(port) = self.ports.get_mut(&own) else { return Ok(None) };
        if port.free == 0 || self.in_hand.contains_key(&came.call) {
            return Err(Broken("it hands over what nobody has asked for"));
        }
        port.free -= 1;
        self.lost.remove(&came.call);
        self.in_hand.insert(came.call, own);
        port.queue.push_back(came);
        Ok(Some(own))
    }

    /// The first that came.
    pub(super) fn take(&mut self, own: ServerPort) -> Option<Came> {
        self.ports.get_mut(&own)?.queue.pop_front()
    }

    /// Where it came, if it is in hand.
    pub(super) fn holds(&self, call: CallId) -> Option<ServerPort> {
        self.in_hand.get(&call).copied()
    }

    /// One is answered.
    pub(super) fn reply(&mut self, own: ServerPort, call: CallId) -> Result<Reply, SendError> {
        if self.lost.remove(&call).is_some() {
            return Err(SiteError::Restarted.into());
        }
        let port = self.ports.get_mut(&own);
        let (Some(port), Some(_)) = (port, self.in_hand.remove(&call)) else {
            return Err(protocol::SendError::NotServing.into());
        };
        // What is in hand has come through an open port.
        let at = port.at.ok_or(SiteError::Restarted)?;
        // Where there are as many as may be, it is another port's turn.
        let renew = self.takes < self.takes_max
            && port.stage == Stage::Open
            && port.free + (port.queue.len() as u32) < port.waiters_max;
        port.free += u32::from(renew);
        self.takes -= u32::from(!renew);
        Ok(Reply { at, renew })
    }

    /// Whether there are as many as may be.
    pub(super) fn is_full(&self) -> bool {
        self.takes >= self.takes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ClientId;

    fn named(port: u64) -> ServerId {
        ServerId { port: ServerPort(port), ..ServerId::default() }
    }

    fn came(seq: u64) -> Came {
        let call = CallId { client: ClientId::default(), seq };
        Came { call, body: Bytes::new(), flags: Flags::NONE, patience_ends: None }
    }

    fn ports(takes_max: u32) -> Ports {
        let mut ports = Ports::default();
        ports.allow(takes_max);
        ports
    }

    /// A thread takes the next one.
    fn take(ports: &mut Ports, own: ServerPort, seq: u64) -> CallId {
        let at = ports.at(own).unwrap();
        ports.came(at, came(seq)).unwrap();
        ports.take(own).unwrap().call
    }

    /// A daemon hands over what it was not allowed to, or one thing twice: it is none, and what is
    /// counted stays right.
    #[test]
    fn what_nobody_asked_for_is_the_end() {
        let mut ports = ports(8);
        let own = ports.open(named(1));
        assert!(ports.came(ServerPort(1), came(1)).is_err());
        ports.waits(own, true);
        ports.waits(own, true);
        assert_eq!(ports.feed(own), Some((ServerPort(1), 2)));
        let call = take(&mut ports, own, 1);
        assert!(ports.came(ServerPort(1), came(1)).is_err());
        ports.reply(own, call).unwrap();
        ports.close(own);
        assert_eq!(ports.takes, 0);
    }

    /// One port has all that may be in hand: when it has less, the other gets its turn.
    #[test]
    fn a_port_at_the_limit_starves_no_other() {
        let mut ports = ports(2);
        let (one, other) = (ports.open(named(1)), ports.open(named(2)));
        ports.waits(one, true);
        ports.feed(one);
        let first = take(&mut ports, one, 1);
        ports.feed(one);
        take(&mut ports, one, 2);
        ports.waits(one, false);
        ports.waits(other, true);
        assert_eq!(ports.feed(other), Some((ServerPort(2), 0)));
        assert!(!ports.reply(one, first).unwrap().renew);
        assert_eq!(ports.starved(), [other]);
        assert_eq!(ports.feed(other), Some((ServerPort(2), 1)));
    }

    /// A thread answers what it took two daemons ago; what a daemon has handed over anew, by the same
    /// name, is no old one.
    #[test]
    fn what_is_lost_stays_lost() {
        let mut ports = ports(8);
        let own = ports.open(named(1));
        ports.feed(own);
        let call = take(&mut ports, own, 1);
        for life in 2..4 {
            ports.lose();
            ports.reopen(own, named(life));
        }
        assert_eq!(ports.reply(own, call).err(), Some(SiteError::Restarted.into()));
        ports.feed(own);
        let call = take(&mut ports, own, 2);
        ports.lose();
        ports.reopen(own, named(4));
        ports.feed(own);
        assert_eq!(take(&mut ports, own, 2), call);
        ports.reply(own, call).unwrap();
        assert_eq!(ports.takes, ports.ports[&own].free);
    }

    /// A port is finished while a request that was handed over waits there, or another one may come, when
    /// the daemon goes: nothing comes any more, and threads that wait there are told.
    #[test]
    fn a_finished_port_ends_with_its_daemon() {
        for free in [1, 2] {
            let mut ports = Ports::default();
            ports.allow(10);
            let own = ports.open(named(7));
            ports.waits(own, true);
            ports.waits(own, true);
            assert_eq!(ports.feed(own), Some((ServerPort(7), 2)));
            for seq in 0..free {
                let call = CallId { client: ClientId::default(), seq };
                let came =
                    Came { call, body: Bytes::new(), flags: Flags::NONE, patience_ends: None };
                ports.came(ServerPort(7), came).unwrap();
            }
            ports.finish(own);
            assert!(!ports.is_done(own));
            assert_eq!(ports.lose(), [own]);
        }
    }
}
