//! The interface of §2: what a process uses to ask and to serve.
//!
//! Invariant: every call ends once, with a reply or with an error that says what to conclude.

mod attachment;
mod client;
pub mod local;
pub mod noted;
mod server;
pub mod sysv;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use attachment::Attachment;
pub use client::IpcClient;
pub use local::BODY_MAX;
pub use server::IpcServer;

use crate::epoch::Epoch;
use crate::site::Port;

/// A request or a reply, as a process sees it (§2).
///
/// ```
/// use std::time::Duration;
/// use step6_daemon::RawMsg;
///
/// let debit = RawMsg::from("debit 10").timeout(Duration::from_secs(3));
/// assert_eq!(debit.body, b"debit 10");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawMsg {
    /// The data, opaque to all but the two processes; at most [`BODY_MAX`] bytes.
    pub body: Vec<u8>,
    /// Reserved, as in the paper: 0.
    pub flags: u16,
    /// How long whoever sends it is willing to wait for its reply; `None` is as long as the server lives.
    pub timeout: Option<Duration>,
}

/// Names a server, wherever it is: opaque, and to be handed on as text.
///
/// ```
/// use step6_daemon::IpcPort;
///
/// let port: IpcPort = "127.0.0.1:7373/3-00c0ffee/1".parse().unwrap();
/// assert_eq!(port.to_string(), "127.0.0.1:7373/3-00c0ffee/1");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpcPort {
    pub(crate) site: Port,
    pub(crate) number: u64,
}

/// Names a call at the process that made it or serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MsgId(pub(crate) u64);

/// Why there is no reply, or nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpcError {
    /// Every attempt went unanswered.
    Unreachable,
    /// The server's daemon has forgotten the call.
    Forgotten,
    /// The server's daemon has begun another life.
    ServerRestarted {
        /// The life that it is in.
        present: Epoch,
    },
    /// The server process ended, or closed its port, with the request in its hands.
    ServerDied,
    /// Nobody serves at this port.
    NoSuchPort,
    /// The server process has too many requests in its hands.
    Overloaded,
    /// What came is no reply of a daemon.
    BadReply,
    /// The caller's own time is over.
    TimedOut,
    /// This host's daemon ended while the call was open.
    DaemonGone,
    /// This host's daemon does not run, or this process has been detached from it.
    NoDaemon,
    /// The body has more than [`BODY_MAX`] bytes.
    TooLong,
    /// Too many calls of this process have not ended yet, or of all processes of this host.
    TooManyCalls,
    /// This process has too many ports.
    TooManyPorts,
    /// No call of this name is open here: it never was, has ended, or is another's.
    UnknownMsgId,
    /// The daemon does not know the process; it must attach first.
    NotAttached,
    /// There is no process of this number.
    NoProcess,
    /// The daemon could not read the message.
    Malformed,
}

/// What a caller may conclude from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The service has not run, and will not.
    NeverRan,
    /// The service has run.
    HasRun,
    /// The service may have run, or not; or will.
    Unknown,
}

impl IpcError {
    /// Whether the service ran.
    pub fn outcome(self) -> Outcome {
        match self {
            IpcError::Forgotten => Outcome::HasRun,
            IpcError::Unreachable
            | IpcError::ServerRestarted { .. }
            | IpcError::ServerDied
            | IpcError::BadReply
            | IpcError::TimedOut
            | IpcError::DaemonGone
            | IpcError::UnknownMsgId => Outcome::Unknown,
            IpcError::NoSuchPort
            | IpcError::Overloaded
            | IpcError::NoDaemon
            | IpcError::TooLong
            | IpcError::TooManyCalls
            | IpcError::TooManyPorts
            | IpcError::NotAttached
            | IpcError::NoProcess
            | IpcError::Malformed => Outcome::NeverRan,
        }
    }
}

impl RawMsg {
    /// With a limit to the wait for its reply.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> RawMsg {
        RawMsg { timeout: Some(timeout), ..self }
    }

    pub(crate) fn check(&self) -> Result<(), IpcError> {
        (self.body.len() <= BODY_MAX).then_some(()).ok_or(IpcError::TooLong)
    }
}

impl<B: Into<Vec<u8>>> From<B> for RawMsg {
    fn from(body: B) -> RawMsg {
        RawMsg { body: body.into(), ..RawMsg::default() }
    }
}

impl fmt::Display for IpcError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let what = match self {
            IpcError::Unreachable => "no reply",
            IpcError::Forgotten => "the reply is lost",
            IpcError::ServerRestarted { .. } => "the server's daemon restarted",
            IpcError::ServerDied => "the server process ended",
            IpcError::NoSuchPort => "nobody serves at this port",
            IpcError::Overloaded => "the server process has too many requests in its hands",
            IpcError::BadReply => "the reply is not a daemon's",
            IpcError::TimedOut => "the time is over",
            IpcError::DaemonGone => "this host's daemon ended",
            IpcError::NoDaemon => "this host's daemon does not run, or not for this process",
            IpcError::TooLong => return write!(f, "the body has more than {BODY_MAX} bytes"),
            IpcError::TooManyCalls => "too many calls have not ended yet",
            IpcError::TooManyPorts => "this process has too many ports",
            IpcError::UnknownMsgId => return f.write_str("no call of this name is open here"),
            IpcError::NotAttached => "this process is not attached",
            IpcError::NoProcess => "there is no such process",
            IpcError::Malformed => "the daemon could not read the message",
        };
        f.write_str(what)?;
        f.write_str(match self.outcome() {
            Outcome::NeverRan => "; nothing ran",
            Outcome::HasRun => "; the service has run",
            Outcome::Unknown => "; the service may have run, or not",
        })
    }
}

impl fmt::Display for IpcPort {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.site, self.number)
    }
}

impl FromStr for IpcPort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<IpcPort, &'static str> {
        let (site, number) = text.rsplit_once('/').unwrap_or_default();
        let port = site.parse().ok().zip(number.parse().ok());
        let port = port.map(|(site, number)| IpcPort { site, number });
        port.ok_or("a server's port is IP:PORT/EPOCH/NUMBER, like 127.0.0.1:7373/3-00c0ffee/1")
    }
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for IpcError {}
