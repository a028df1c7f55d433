//! The ports of this process, and the requests that it was handed.
//!
//! Invariant: a request is handed over only for a thread that waits, or one that has just answered;
//! and never are there more, with those in hand, than the daemon allows.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use crate::ipc::{SendError, SiteError};
use crate::local::message::PatienceEnds;
use crate::protocol::{self, CallId, Flags, ServerId, ServerPort, Table};

#[derive(Debug, Default)]
pub(super) struct Ports {
    ports: Table<ServerPort, Port>,
    /// By the daemon's name for each.
    own_names: Table<ServerPort, ServerPort>,
    /// Requests that no thread has answered.
    in_hand: Table<CallId, ServerPort>,
    /// Those of a daemon that is gone.
    lost: HashSet<CallId>,
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
        self.takes -= port.free + (before - self.in_hand.len()) as u32;
        self.own_names.remove(&port.at?);
        port.at
    }

    /// The daemon is gone, and what it has handed over is nobody's.
    pub(super) fn lose(&mut self) {
        for port in self.ports.values_mut() {
            port.at = None;
            port.free = 0;
            port.queue.clear();
            if port.stage == Stage::Finishing {
                port.stage = Stage::Finished;
            }
        }
        self.own_names.clear();
        self.lost = self.in_hand.drain().map(|(call, _)| call).collect();
        self.takes = 0;
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
    pub(super) fn came(&mut self, at: ServerPort, came: Came) -> Option<ServerPort> {
        let own = *self.own_names.get(&at)?;
        let port = self.ports.get_mut(&own)?;
        port.free = port.free.saturating_sub(1);
        self.in_hand.insert(came.call, own);
        port.queue.push_back(came);
        Some(own)
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
        if self.lost.remove(&call) {
            return Err(SiteError::Restarted.into());
        }
        let port = self.ports.get_mut(&own);
        let (Some(port), Some(_)) = (port, self.in_hand.remove(&call)) else {
            return Err(protocol::SendError::NotServing.into());
        };
        // What is in hand has come through an open port.
        let at = port.at.ok_or(SiteError::Restarted)?;
        let renew =
            port.stage == Stage::Open && port.free + (port.queue.len() as u32) < port.waiters_max;
        port.free += u32::from(renew);
        self.takes -= u32::from(!renew);
        Ok(Reply { at, renew })
    }

    /// Whether there are as many as may be.
    pub(super) fn is_full(&self) -> bool {
        self.takes >= self.takes_max
    }
}
