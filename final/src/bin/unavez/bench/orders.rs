//! What the processes of the bench tell each other: one JSON value a line.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::contender::Contender;
use super::link::Hop;

/// The first line to a process: what it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// The core that it stays on.
    pub(super) cpu: Option<usize>,
    /// Its address.
    pub(super) ip: IpAddr,
    pub(super) role: Role,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// A host's daemon. It answers with the path of its socket.
    Daemon,
    /// Serves all that is asked. It answers with [`Addresses`].
    Server { contenders: Vec<Contender>, daemon: Option<PathBuf> },
    /// A link between two namespaces, with an interface in each.
    Link { ends: [(String, String); 2], hop: Hop, seed: u64 },
    /// Takes an [`Order`] a line, and answers each with a [`Answer`].
    Client { at: Addresses, daemon: Option<PathBuf>, sides: [Vec<i32>; 2] },
}

/// Where each is served, or why not.
pub(super) type Addresses = BTreeMap<Contender, Result<String, String>>;

/// What a client is to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Order {
    /// So many exchanges, one after the other, after some that are not measured.
    Exchange { contender: Contender, message: Kind, calls: u32, unmeasured: u32 },
    /// So many exchanges, before and after which all is at rest.
    Count { contender: Contender, message: Kind, calls: u32 },
    /// So many calls, of which so many are open at any time.
    Pipeline { contender: Contender, message: Kind, calls: u32, open: u32 },
    /// Exchanges for so long, one after the other, while others do the same.
    Flood { contender: Contender, message: Kind, time: Duration },
}

impl Order {
    /// Who carries it out.
    pub(super) fn contender(&self) -> Contender {
        match *self {
            Order::Exchange { contender, .. }
            | Order::Count { contender, .. }
            | Order::Pipeline { contender, .. }
            | Order::Flood { contender, .. } => contender,
        }
    }
}

/// What became of it: an error is why it cannot be done.
pub(super) type Answer = Result<Batch, String>;

/// What was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Batch {
    /// Of each exchange; nothing if several were open at a time.
    pub(super) took_ns: Vec<u64>,
    /// When the first one began, by the clock that all processes of this machine share.
    pub(super) began_ns: u64,
    /// Of all together.
    pub(super) all_ns: u64,
    /// How many calls what follows is of: those that were not timed count, too.
    pub(super) counted: u32,
    /// That the client's and the server's processes ran.
    pub(super) cpu_ns: [u64; 2],
    /// That passed the interfaces.
    pub(super) packets: u64,
    /// That arrived at the server's host, with all headers of the link.
    pub(super) bytes_in: u64,
}

/// What is sent, and what comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kind {
    pub(super) len: usize,
    pub(super) back: Back,
}

/// What a server answers. The first byte of a request says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Back {
    /// All of it.
    Same,
    /// Its first byte: the message goes one way.
    Byte,
}

impl Kind {
    pub(super) fn there_and_back(len: usize) -> Kind {
        Kind { len, back: Back::Same }
    }

    pub(super) fn one_way(len: usize) -> Kind {
        Kind { len, back: Back::Byte }
    }
}

/// A request, as datagrams carry it and with its length before it, as a stream needs it.
#[derive(Debug, Clone)]
pub(super) struct Message {
    framed: Bytes,
}

/// The length of a message's length.
pub(super) const FRAME: usize = 4;

impl Message {
    pub(super) fn new(kind: Kind) -> Message {
        let body = [kind.back as u8].into_iter().chain((1..kind.len).map(|at| at as u8));
        let len = (kind.len as u32).to_be_bytes();
        Message { framed: len.into_iter().chain(body).collect() }
    }

    pub(super) fn body(&self) -> Bytes {
        self.framed.slice(FRAME..)
    }

    pub(super) fn framed(&self) -> &Bytes {
        &self.framed
    }

    /// How long the reply is.
    pub(super) fn reply_len(&self) -> usize {
        reply_len(&self.framed[FRAME..])
    }

    /// The reply is as long as it must be.
    pub(super) fn check(&self, reply_len: usize) -> Result<(), String> {
        let wanted = self.reply_len();
        match reply_len == wanted {
            true => Ok(()),
            false => Err(format!("a reply of {reply_len} bytes came instead of {wanted}")),
        }
    }
}

/// How much of a request its server sends back.
pub(super) fn reply_len(request: &[u8]) -> usize {
    if request.first() == Some(&(Back::Byte as u8)) { 1 } else { request.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_says_what_comes_back() {
        // There and back, and one way; the shortest, too.
        for (kind, wanted) in [
            (Kind::there_and_back(1), 1),
            (Kind::there_and_back(300), 300),
            (Kind::one_way(1), 1),
            (Kind::one_way(300), 1),
        ] {
            let message = Message::new(kind);
            assert_eq!((message.body().len(), message.reply_len()), (kind.len, wanted));
            assert_eq!(message.framed().len(), kind.len + FRAME);
            assert!(message.check(wanted).is_ok() && message.check(wanted + 1).is_err());
        }
    }
}
