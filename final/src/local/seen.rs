//! What is seen of the processes of a daemon.
//!
//! Invariant: it is a copy of one moment; what is in it names nothing that could be used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::protocol::ServerPort;

/// A process that is attached to the daemon of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// Its number at the daemon: never used again in the daemon's life.
    pub id: u64,
    /// Its number at the kernel.
    pub pid: i32,
    /// Whose it is, as the kernel numbers users.
    pub user: u32,
    /// How it and the daemon talk.
    pub kind: Kind,
    /// How many calls it has made that have not ended.
    pub calls: u32,
    /// How many ports it has opened.
    pub ports: u32,
    /// How many requests it was handed and has not answered.
    pub in_hand: u32,
    /// How many messages wait until it reads.
    pub waiting: u32,
    /// How long it has been attached.
    pub attached: Duration,
}

/// A port that a process has opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortInfo {
    /// Its number at the site.
    pub port: ServerPort,
    /// The process that opened it: [`ProcessInfo::id`].
    pub process: u64,
    /// The names registered for it, in the order in which they were.
    pub names: Vec<String>,
    /// How many requests were handed over there and are not answered.
    pub in_hand: u32,
    /// How many may still be handed over before one is answered.
    pub free: u32,
}

/// A port with one of its names: all of them may not fit one message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortRow {
    pub(crate) port: ServerPort,
    pub(crate) process: u64,
    pub(crate) in_hand: u32,
    pub(crate) free: u32,
    /// Which of its names this is.
    pub(crate) number: u32,
    pub(crate) name: Option<String>,
}

/// Rows that are in order, each port's together.
pub(crate) fn join(rows: impl IntoIterator<Item = PortRow>) -> Vec<PortInfo> {
    let mut ports: Vec<PortInfo> = Vec::new();
    for PortRow { port, process, in_hand, free, name, .. } in rows {
        match ports.last_mut().filter(|last| last.port == port) {
            Some(last) => last.names.extend(name),
            None => ports.push(PortInfo {
                port,
                process,
                names: name.into_iter().collect(),
                in_hand,
                free,
            }),
        }
    }
    ports
}
