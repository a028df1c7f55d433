//! What a caller may conclude (PROTOCOL §1).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How a call ended. There is no fourth way, and no call ends twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The service ran exactly once, and this is what it answered. (At least once, if the call was
    /// declared idempotent.)
    Reply(Bytes),
    /// It is proved that the service did not run and never will for this call (R3).
    NotExecuted(NotExecuted),
    /// The service ran once or not at all; nobody can tell from here.
    Unknown(Unknown),
}

/// Why a call did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum NotExecuted {
    /// The patience ended before the request left this site.
    #[error("the patience ended before the request was sent")]
    NeverSent,
    /// This site's kernel refused to send each copy.
    #[error("no copy of the request could be sent from here")]
    Unsendable,
    /// It was called off in time.
    #[error("called off before the service began")]
    Cancelled,
    /// Nobody serves at this port any more.
    #[error("nobody serves at this port")]
    NoSuchPort,
    /// The site there did not say who serves under this name.
    #[error("the site does not answer who serves under this name")]
    Unresolved,
    /// The site has no service of this name.
    #[error("no service of this name")]
    NoSuchName,
    /// The patience ended before the service took it up.
    #[error("the patience ended before the service began")]
    Expired,
    /// The process died before it took it up.
    #[error("the server process died before it began")]
    ServerDied,
    /// The server heard nothing of this client for too long before the service took it up.
    #[error("the server lost this client from sight before the service began")]
    Orphaned,
    /// The server restarted before the request came.
    #[error("the server had restarted when the request came")]
    ServerRestarted,
    /// The server had forgotten this client when the request came, again and again.
    #[error("the server had forgotten this client when the request came")]
    PortClosed,
    /// The request is longer than the server takes.
    #[error("the request is longer than the server takes")]
    RequestTooBig,
}

/// Why nobody can tell whether a call ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Unknown {
    /// The patience ended.
    #[error("no reply in time; the service may have run")]
    TimedOut,
    /// The caller called it off.
    #[error("called off; the service may have run")]
    Cancelled,
    /// No answer to any copy, or to any heartbeat.
    #[error("the server does not answer; the service may have run")]
    ServerUnreachable,
    /// The process died, or the site knows nothing of it any more.
    #[error("the server process died; the service may have run")]
    ServerDied,
    /// The server began another life.
    #[error("the server restarted; the service may have run")]
    ServerRestarted,
    /// The server has forgotten what became of it.
    #[error("the server has forgotten what became of it; the service may have run")]
    Forgotten,
    /// Another request bears the same number: this site breaks the protocol.
    #[error("another request bears the same number")]
    FalseRetry,
    /// The service ran once, and its reply is too long.
    #[error("the service ran, but its reply is too long")]
    ReplyTooBig,
}

/// Why a process may not send; nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum SendError {
    /// The body has more than [`super::Config::message_max`] bytes.
    #[error("the body is longer than a message may be")]
    TooLong,
    /// Too many calls of this site are open.
    #[error("too many calls are open")]
    TooManyCalls,
    /// Too many ports are open, or too many names registered.
    #[error("too many ports are open, or names registered")]
    TooManyPorts,
    /// The name is registered already, or is empty or too long.
    #[error("the name is taken, empty or too long")]
    BadName,
    /// No such request is in the service's hands.
    #[error("no such request is in the service's hands")]
    NotServing,
    /// This port is not open.
    #[error("this port is not open")]
    NoSuchPort,
}
