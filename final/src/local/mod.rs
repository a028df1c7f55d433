//! The channel between a process and the daemon of its host (§4 of the paper).
//!
//! A process connects to a Unix socket and says how it wants to talk ([`attach`]); the daemon makes
//! the channel and hands it over. From then on messages go through shared memory ([`shm`]) or System V
//! queues ([`queues`]), long ones in parts ([`parts`]); the socket only wakes whoever sleeps, and its end
//! is the death of the other side.
//!
//! Invariant: what the other side writes, whatever it is, breaks nothing but its own attachment.

pub(crate) mod attach;
pub(crate) mod bell;
pub(crate) mod control;
mod groups;
pub(crate) mod hello;
pub(crate) mod listen;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod noted;
pub(crate) mod outbox;
pub(crate) mod parts;
pub(crate) mod path;
pub(crate) mod queues;
pub(crate) mod ring;
pub(crate) mod room;
pub(crate) mod seen;
pub(crate) mod shm;
pub(crate) mod sysv;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::protocol::BODY_MAX;
use control::Lane;
use memory::Memory;

/// What the rings are made of, in one place, so that the test of their schedules can put another in it.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
}

/// The longest message, in bytes. With its length it is an eighth of a ring; and two of these fit a
/// System V queue, which takes 8,192 bytes a message and holds 16,384.
pub(crate) const MESSAGE_MAX: usize = 8184;
/// What stands before the body, at most: a name that is as long as a body, and little else.
pub(crate) const HEADER_MAX: usize = BODY_MAX + 256;

/// How messages travel between a process and its daemon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Two rings in memory that both sides see: the faster one.
    #[default]
    Shm,
    /// Two System V message queues: the paper's.
    Sysv,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// From the process to the daemon.
    Up,
    /// From the daemon to the process.
    Down,
}

/// Why a message was not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// There is no room. The other side rings when there is.
    Full,
    /// The other side broke the channel.
    Broken(Broken),
}

/// The other side broke the channel: nothing more can be said or heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub(crate) &'static str);

/// Both ways of an attachment, from one side.
pub(crate) trait Channel: fmt::Debug + Send {
    /// Appends a message, whole or not at all: what stands before the body, and that. `true`: the other
    /// side sleeps, and its bell must be rung.
    fn try_send(&mut self, head: &[u8], body: &[u8]) -> Result<bool, Unsent>;

    /// Takes the next message into the buffer, which is cleared first; `false` if there is none. It
    /// counts as taken before this returns.
    fn try_receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Broken>;

    /// Whether the other side waits for room, and there is much now: its bell must be rung. Asked after
    /// messages were received; whoever reads on, asks again when there are none.
    fn freed(&mut self) -> bool;

    /// Says that this side is going to sleep; `false` if a message has come meanwhile.
    fn may_sleep(&mut self) -> Result<bool, Broken>;

    /// The same, but it sleeps on the word of [`Channel::lane`]: it hears messages there, and nothing
    /// else.
    fn may_sleep_on_word(&mut self) -> Result<bool, Broken>;

    /// What it sleeps on.
    fn lane(&self) -> Lane<Arc<Memory>>;

    /// Says that it sleeps no more, before it looks for messages.
    fn woke(&mut self);

    /// How many of the messages sent the other side has taken. What it has not taken when it is gone,
    /// it has never acted on.
    fn taken(&self) -> u64;

    /// (The process, when the daemon is gone and nothing is left to receive.) Removes what the kernel
    /// would keep of it.
    fn remove(&mut self) {}
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Kind::Shm => "shm",
            Kind::Sysv => "sysv",
        })
    }
}

impl From<Broken> for Unsent {
    fn from(broken: Broken) -> Unsent {
        Unsent::Broken(broken)
    }
}
