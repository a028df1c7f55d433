//! What processes and their daemon say to each other: a header of fixed size, and the body.
//!
//! Invariant: every message fits one queue message, because a body fits one datagram together with what the daemon
//! puts before it. Nothing is ever cut or joined. A daemon does not start where the kernel's limits are set lower.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::IpcError;
use super::sysv::{MESSAGE_MAX, Queue};
use crate::epoch::Epoch;
use crate::wire;

/// The largest body, in bytes: what a datagram leaves when the port's number stands before it.
pub const BODY_MAX: usize = wire::BODY_MAX - PORT_LEN;
/// The largest message, in bytes, with room for the header of the longest kind.
pub const LOCAL_MAX: usize = BODY_MAX + 128;
/// The daemon puts the number of a port before the body of a request: the protocol knows nothing of processes.
pub const PORT_LEN: usize = 8;

const _: () = assert!(LOCAL_MAX <= MESSAGE_MAX);

const MAGIC: [u8; 2] = *b"UQ";
const CODEC: Configuration<BigEndian, Fixint, Limit<MESSAGE_MAX>> =
    bincode::config::standard().with_big_endian().with_fixed_int_encoding().with_limit();

/// One message, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter<W> {
    /// The life of the daemon that it is for or from.
    pub life: Epoch,
    /// The number of the process's queue, which names the process.
    pub process: i32,
    /// What it is for.
    pub what: W,
    /// What the processes say, opaque here.
    pub body: Vec<u8>,
}

/// From a process to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToDaemon {
    /// I am here; answer into my queue.
    Attach {
        /// The process, so that its end is noticed.
        pid: u32,
        /// The key of its queue.
        key: u32,
    },
    /// I am gone. The daemon itself says so of a process that died.
    Detach,
    /// Open a port where I serve.
    Open {
        /// Names the answer.
        tag: u64,
    },
    /// I serve there no more.
    Close {
        /// The port's number.
        port: u64,
    },
    /// Ask this of a server.
    Request {
        /// Names the answer.
        tag: u64,
        /// The server's daemon.
        address: SocketAddr,
        /// Its life.
        epoch: Epoch,
        /// The port's number there.
        port: u64,
    },
    /// The answer to a request that I was handed.
    Reply {
        /// As the request named it.
        call: u64,
    },
    /// I have taken messages out of my queue: there is room for more.
    Taken,
}

/// From the daemon to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToProcess {
    /// You are known.
    Attached {
        /// After how many messages, of any kind, to say [`ToDaemon::Taken`].
        take: u32,
    },
    /// The port is open.
    Opened {
        /// As asked.
        tag: u64,
        /// Where this daemon listens.
        address: SocketAddr,
        /// The port's number.
        port: u64,
    },
    /// Serve this.
    Request {
        /// Names it in the reply.
        call: u64,
        /// The port that it came to.
        port: u64,
    },
    /// What the server answered.
    Reply {
        /// As asked.
        tag: u64,
    },
    /// There is no answer.
    Failed {
        /// As asked.
        tag: u64,
        /// What to conclude.
        error: IpcError,
    },
    /// What you sent was not done.
    Refused {
        /// Why not.
        error: IpcError,
    },
}

/// What stands before the body of every reply: for the client's daemon, which takes it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// The body is the server's answer.
    Reply = 0,
    /// The server process ended with the request in its hands.
    ServerDied = 1,
    /// Nobody serves at this port.
    NoSuchPort = 2,
    /// The server process has too many requests in its hands.
    Overloaded = 3,
}

/// Why some bytes are not a message; the process that they claim to be from, if they go so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The number of its queue.
    pub process: Option<i32>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    magic: [u8; 2],
    life: Epoch,
    process: i32,
}

impl<W: Serialize + DeserializeOwned> Letter<W> {
    /// The bytes of the message.
    pub fn encode(&self) -> Vec<u8> {
        let header = Header { magic: MAGIC, life: self.life, process: self.process };
        let mut bytes = bincode::serde::encode_to_vec((header, &self.what), CODEC)
            .expect("a header has a bounded size, far below the limit");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The message in bytes that came from anybody who may write into the queue.
    ///
    /// # Errors
    /// Says whom to tell that the bytes are no message.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let header = bincode::serde::decode_from_slice::<Header, _>(bytes, CODEC);
        let (header, used) = header.map_err(|_| Malformed { process: None })?;
        if header.magic != MAGIC {
            return Err(Malformed { process: None });
        }
        let Header { life, process, .. } = header;
        let (what, more) = bincode::serde::decode_from_slice(&bytes[used..], CODEC)
            .map_err(|_| Malformed { process: Some(process) })?;
        Ok(Letter { life, process, what, body: bytes[used + more..].to_vec() })
    }
}

impl Envelope {
    /// The body of a REPLY packet: this byte, then the answer.
    pub fn wrap(self, body: &[u8]) -> Vec<u8> {
        [&[self as u8], body].concat()
    }

    /// What a REPLY packet's body says.
    ///
    /// # Errors
    /// There is no answer in it.
    pub fn open(reply: &[u8]) -> Result<&[u8], IpcError> {
        match reply.split_first() {
            Some((0, body)) => Ok(body),
            Some((1, [])) => Err(IpcError::ServerDied),
            Some((2, [])) => Err(IpcError::NoSuchPort),
            Some((3, [])) => Err(IpcError::Overloaded),
            _ => Err(IpcError::BadReply),
        }
    }
}

/// Where a daemon is found: what stands in the file `queue` of its state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The key of its queue.
    pub key: u32,
    /// Its process.
    pub pid: u32,
    /// Its life.
    pub life: Epoch,
}

impl Place {
    /// Where the daemon with this state directory is, or was when it wrote this.
    ///
    /// # Errors
    /// No daemon has ever used the directory, or the file is damaged.
    pub fn read(state: &Path) -> io::Result<Place> {
        let text = String::from_utf8(fs::read(state.join("queue"))?).map_err(|_| damaged())?;
        let mut words = text.split_whitespace();
        let mut word = || words.next().ok_or_else(damaged);
        Ok(Place {
            key: u32::from_str_radix(word()?, 16).map_err(|_| damaged())?,
            pid: word()?.parse().map_err(|_| damaged())?,
            life: word()?.parse().map_err(|_| damaged())?,
        })
    }

    /// Says where this daemon is. A reader finds the old text or the new, never a part.
    ///
    /// # Errors
    /// The file's.
    pub fn write(self, state: &Path) -> io::Result<()> {
        let new = state.join("queue.new");
        // For its owner alone, as the queue is.
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "{:08x} {} {}", self.key, self.pid, self.life)?;
        fs::rename(new, state.join("queue"))
    }

    /// The daemon's queue.
    ///
    /// # Errors
    /// It is gone.
    pub fn queue(self) -> io::Result<Queue> {
        Queue::find(self.key)
    }
}

fn damaged() -> io::Error {
    io::Error::other("the file \"queue\" is damaged; it holds a key, a process and an epoch")
}
