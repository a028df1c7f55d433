//! The processes of this host as the daemon knows them: their queues, ports, and calls.
//!
//! Invariant: nobody waits for room in a process's queue. What does not fit waits in its backlog, which the limits on
//! its calls and requests bound, until the process says that it has taken something.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::limits::{BACKLOG_MAX, CALLS_MAX, PORTS_MAX, PROCESSES_MAX, SERVING_MAX};
use crate::epoch::Epoch;
use crate::ipc::IpcError;
use crate::ipc::local::{LOCAL_MAX, Letter, ToProcess};
use crate::ipc::noted::Noted;
use crate::site::CallId;

#[derive(Debug)]
pub(super) struct Processes {
    life: Epoch,
    /// By the number of its queue.
    processes: HashMap<i32, Process>,
    /// Who serves there.
    ports: HashMap<u64, i32>,
    /// Who awaits it, and by which name.
    calls: HashMap<CallId, (i32, u64)>,
    /// By the name that the process knows.
    serving: BTreeMap<u64, Serving>,
    last_number: u64,
}

#[derive(Debug)]
struct Process {
    queue: Noted,
    backlog: VecDeque<Vec<u8>>,
    calls: usize,
    serving: usize,
    ports: usize,
}

#[derive(Debug)]
struct Serving {
    call: CallId,
    process: i32,
    port: u64,
}

impl Processes {
    pub(super) fn new(life: Epoch) -> Self {
        Processes {
            life,
            processes: HashMap::new(),
            ports: HashMap::new(),
            calls: HashMap::new(),
            serving: BTreeMap::new(),
            last_number: 0,
        }
    }

    pub(super) fn knows(&self, process: i32) -> bool {
        self.processes.contains_key(&process)
    }

    /// Whether there is room for one more process.
    pub(super) fn may_attach(&self) -> Result<(), IpcError> {
        (self.processes.len() < PROCESSES_MAX).then_some(()).ok_or(IpcError::NoDaemon)
    }

    /// Takes a process in, and its queue into the daemon's care.
    pub(super) fn attach(&mut self, queue: Noted) -> Result<(), IpcError> {
        let status = queue.queue().status().map_err(|_| IpcError::NoProcess)?;
        let (id, backlog) = (queue.queue().id(), VecDeque::new());
        let process = Process { queue, backlog, calls: 0, serving: 0, ports: 0 };
        self.processes.insert(id, process);
        // A full queue holds more than that, so whoever empties one says so on the way.
        let take = (status.bytes_max / LOCAL_MAX).div_ceil(2) as u32;
        self.put(id, ToProcess::Attached { take }, Vec::new());
        Ok(())
    }

    /// Lets a process go, with its queue, ports and calls. What it was serving is the result.
    pub(super) fn detach(&mut self, process: i32) -> Vec<CallId> {
        self.processes.remove(&process);
        self.ports.retain(|_, owner| *owner != process);
        self.calls.retain(|_, (owner, _)| *owner != process);
        self.abandon(|serving| serving.process == process)
    }

    pub(super) fn open(&mut self, process: i32) -> Result<u64, IpcError> {
        let owner = self.processes.get_mut(&process).ok_or(IpcError::NotAttached)?;
        if owner.ports == PORTS_MAX {
            return Err(IpcError::TooManyPorts);
        }
        owner.ports += 1;
        self.last_number += 1;
        self.ports.insert(self.last_number, process);
        Ok(self.last_number)
    }

    /// Closes a port of this process. What was being served there is the result.
    pub(super) fn close(&mut self, process: i32, port: u64) -> Vec<CallId> {
        if self.ports.get(&port) != Some(&process) {
            return Vec::new();
        }
        self.ports.remove(&port);
        if let Some(owner) = self.processes.get_mut(&process) {
            owner.ports -= 1;
        }
        self.abandon(|serving| serving.port == port)
    }

    /// Whether a process may call once more.
    pub(super) fn may_call(&self, process: i32) -> Result<(), IpcError> {
        let caller = self.processes.get(&process).ok_or(IpcError::NotAttached)?;
        (caller.calls < CALLS_MAX).then_some(()).ok_or(IpcError::TooManyCalls)
    }

    pub(super) fn called(&mut self, process: i32, tag: u64, call: CallId) {
        self.calls.insert(call, (process, tag));
        self.processes.entry(process).and_modify(|caller| caller.calls += 1);
    }

    /// Ends a call. Who awaited it may be gone.
    pub(super) fn end(&mut self, call: CallId) -> Option<(i32, u64)> {
        let (process, tag) = self.calls.remove(&call)?;
        self.processes.entry(process).and_modify(|caller| caller.calls -= 1);
        Some((process, tag))
    }

    /// Hands a request to the process that serves at this port.
    pub(super) fn serve(&mut self, call: CallId, port: u64, body: &[u8]) -> Result<(), IpcError> {
        let process = *self.ports.get(&port).ok_or(IpcError::NoSuchPort)?;
        let server = self.processes.get_mut(&process).ok_or(IpcError::NoSuchPort)?;
        if server.serving == SERVING_MAX {
            return Err(IpcError::Overloaded);
        }
        server.serving += 1;
        self.last_number += 1;
        self.serving.insert(self.last_number, Serving { call, process, port });
        self.put(process, ToProcess::Request { call: self.last_number, port }, body.to_vec());
        Ok(())
    }

    /// Takes a request out of the hands of the process that answers it.
    pub(super) fn answered(&mut self, process: i32, number: u64) -> Result<CallId, IpcError> {
        if self.serving.get(&number).is_none_or(|serving| serving.process != process) {
            return Err(IpcError::UnknownMsgId);
        }
        let serving = self.serving.remove(&number).ok_or(IpcError::UnknownMsgId)?;
        self.processes.entry(process).and_modify(|server| server.serving -= 1);
        Ok(serving.call)
    }

    /// Puts a message into a process's queue, or into its backlog while the queue is full.
    pub(super) fn put(&mut self, process: i32, what: ToProcess, body: Vec<u8>) {
        let letter = Letter { life: self.life, process, what, body };
        if let Some(receiver) = self.processes.get_mut(&process) {
            receiver.backlog.push_back(letter.encode());
            receiver.flush();
        }
    }

    /// A process has taken messages out of its queue: there is room for what waits.
    pub(super) fn flush(&mut self, process: i32) {
        if let Some(receiver) = self.processes.get_mut(&process) {
            receiver.flush();
        }
    }

    /// Whether more waits for this process than it may rightly be owed.
    pub(super) fn is_behind(&self, process: i32) -> bool {
        self.processes.get(&process).is_some_and(|it| it.backlog.len() > BACKLOG_MAX)
    }

    fn abandon(&mut self, mut gone: impl FnMut(&Serving) -> bool) -> Vec<CallId> {
        let abandoned: Vec<Serving> =
            self.serving.extract_if(.., |_, serving| gone(serving)).map(|(_, it)| it).collect();
        for serving in &abandoned {
            self.processes.entry(serving.process).and_modify(|server| server.serving -= 1);
        }
        abandoned.into_iter().map(|serving| serving.call).collect()
    }
}

impl Process {
    fn flush(&mut self) {
        while let Some(message) = self.backlog.front() {
            // Full, or gone, and its process will say so.
            if self.queue.queue().try_send(message).is_err() {
                return;
            }
            self.backlog.pop_front();
        }
    }
}
