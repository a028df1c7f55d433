//! A channel of two System V queues (§4); a page of shared memory says who sleeps, and how many messages
//! were sent, so that nobody asks the kernel for one in vain.
//!
//! Invariant: nobody ever waits in the kernel for a queue: a full or stopped other side costs its own
//! messages, and no thread.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use super::control::{CONTROL_LEN, Lane};
use super::memory::Memory;
use super::noted::{Name, Noted};
use super::sync::Ordering;
use super::sysv::Queue;
use super::{Broken, Channel, MESSAGE_MAX, Unsent, Way};

/// One side of it.
#[derive(Debug)]
pub(crate) struct Queues {
    sends: (Queue, Lane<Arc<Memory>>),
    receives: (Queue, Lane<Arc<Memory>>),
    sent: u64,
    taken: u64,
    kept: Kept,
}

/// What the kernel keeps until somebody removes it.
#[derive(Debug)]
enum Kept {
    /// The daemon's: the queues go when this is dropped.
    Made { _queues: [Noted; 2] },
    /// The process's: they are the daemon's as long as that lives.
    Named(Names),
}

/// By which the process knows its queues.
pub(crate) type Names = [Name; 2];

impl Queues {
    /// The daemon's side, for a process of this user; what the process gets, and how it finds the
    /// queues.
    pub(crate) fn make(state: &Path, user: u32) -> io::Result<(Queues, OwnedFd, Names)> {
        let made = [Noted::make(state, user)?, Noted::make(state, user)?];
        let (memory, descriptor) = Memory::make(CONTROL_LEN)?;
        let names = [made[0].name(), made[1].name()];
        Ok((Queues::new(memory, Way::Down, names, Kept::Made { _queues: made }), descriptor, names))
    }

    /// The process's side.
    pub(crate) fn open(descriptor: &OwnedFd, names: Names) -> io::Result<Queues> {
        let memory = Memory::open(descriptor, CONTROL_LEN)?;
        if !names.iter().all(|name| name.is_there()) {
            // In another IPC namespace these numbers are nobody's, or somebody else's.
            return Err(io::Error::other("its queues are not to be seen from here"));
        }
        Ok(Queues::new(memory, Way::Up, names, Kept::Named(names)))
    }

    fn new(memory: Memory, sends: Way, [up, down]: Names, kept: Kept) -> Queues {
        let memory = Arc::new(memory);
        let side = |way| {
            let name = if way == Way::Up { up } else { down };
            (Queue::of_id(name.id), Lane::new(Arc::clone(&memory), way))
        };
        let receives = if sends == Way::Up { Way::Down } else { Way::Up };
        Queues { sends: side(sends), receives: side(receives), sent: 0, taken: 0, kept }
    }
}

impl Queues {
    fn is_still_empty(&self) -> bool {
        let lane = &self.receives.1;
        let empty = lane.tail().load(Ordering::Acquire) == self.taken;
        if !empty {
            lane.woke();
        }
        empty
    }
}

const GONE: Broken = Broken("its queue cannot be used any more");

impl Channel for Queues {
    fn try_send(&mut self, head: &[u8], body: &[u8]) -> Result<bool, Unsent> {
        if head.len() + body.len() > MESSAGE_MAX {
            return Err(Broken("a message is longer than may be").into());
        }
        let (queue, lane) = &self.sends;
        if !queue.try_send(head, body).map_err(|_| GONE)? {
            lane.starves();
            if !queue.try_send(head, body).map_err(|_| GONE)? {
                return Err(Unsent::Full);
            }
            lane.is_fed();
        }
        self.sent += 1;
        lane.tail().store(self.sent, Ordering::Release);
        Ok(lane.wrote())
    }

    fn try_receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Broken> {
        buffer.clear();
        let (queue, lane) = &self.receives;
        if lane.tail().load(Ordering::Acquire) == self.taken {
            return Ok(false);
        }
        if !queue.try_receive(buffer).map_err(|_| GONE)? {
            return Err(Broken("it counted messages that are not in its queue"));
        }
        if buffer.len() > MESSAGE_MAX {
            return Err(Broken("a message is longer than may be"));
        }
        self.taken += 1;
        lane.count_taken(self.taken);
        Ok(true)
    }

    fn freed(&mut self) -> bool {
        let lane = &self.receives.1;
        // Two long messages fill it, and a writer that is woken for each would do nothing else.
        lane.tail().load(Ordering::Relaxed) == self.taken && lane.freed()
    }

    fn may_sleep(&mut self) -> Result<bool, Broken> {
        self.receives.1.sleeps();
        Ok(self.is_still_empty())
    }

    fn may_sleep_on_word(&mut self) -> Result<bool, Broken> {
        self.receives.1.sleeps_on_word();
        Ok(self.is_still_empty())
    }

    fn lane(&self) -> Lane<Arc<Memory>> {
        self.receives.1.clone()
    }

    fn woke(&mut self) {
        self.receives.1.woke();
    }

    fn taken(&self) -> u64 {
        self.sends.1.taken()
    }

    fn remove(&mut self) {
        if let Kept::Named(names) = &self.kept {
            names.iter().for_each(|name| name.remove());
        }
    }
}

/// Whether this kernel takes messages of this length, and its queues hold some.
pub(crate) fn check_limits() -> io::Result<()> {
    for limit in ["/proc/sys/kernel/msgmax", "/proc/sys/kernel/msgmnb"] {
        let text = std::fs::read_to_string(limit)?;
        let most = text.trim().parse::<usize>().map_err(io::Error::other)?;
        if most < MESSAGE_MAX {
            let error = format!("{limit} is {most}, and messages have up to {MESSAGE_MAX} bytes");
            return Err(io::Error::other(error));
        }
    }
    Ok(())
}
