//! What is sent and received: opaque bytes, and how to go about them.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::protocol::{Call, CallId, Config, Flags, Request, ServerPort};
use crate::site::desk::ClientNumber;

/// A message: its body, its flags, and how long its sender waits for the reply (§2).
///
/// ```
/// use std::time::Duration;
/// use unavez::RawMsg;
///
/// let request = RawMsg::from("debit 10").timeout(Duration::from_secs(2)).ordered();
/// assert_eq!(request.body(), "debit 10");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawMsg {
    body: Bytes,
    flags: Flags,
    patience: Patience,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Patience {
    /// As long as the site is configured to.
    #[default]
    Usual,
    Limited(Duration),
    Unlimited,
}

/// Names a message, so that its reply finds it (§2). Opaque: a client gets one for each request that
/// it sends, a server for each that it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MsgId(pub(super) Id);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Sent(ClientNumber, Call),
    Received(ServerPort, CallId),
}

impl RawMsg {
    /// A message with this body.
    pub fn new(body: impl Into<Bytes>) -> RawMsg {
        RawMsg { body: body.into(), ..RawMsg::default() }
    }

    /// Waits so long for the reply; by default [`Config::patience_default`].
    pub fn timeout(self, timeout: Duration) -> RawMsg {
        RawMsg { patience: Patience::Limited(timeout), ..self }
    }

    /// Waits for the reply as long as the server says that it is at work.
    pub fn unlimited(self) -> RawMsg {
        RawMsg { patience: Patience::Unlimited, ..self }
    }

    /// The service may run more than once for this request (R34): the server keeps no reply, and the
    /// client asks again when the server restarts.
    pub fn idempotent(self) -> RawMsg {
        self.flagged(Flags::IDEMPOTENT)
    }

    /// The service is not begun before that of the ordered request sent before this one to the same
    /// site (R33).
    pub fn ordered(self) -> RawMsg {
        self.flagged(Flags::ORDERED)
    }

    /// When the time is over, waits a little longer to know whether the service ran (R13).
    pub fn certain(self) -> RawMsg {
        self.flagged(Flags::CERTAIN)
    }

    fn flagged(self, flag: Flags) -> RawMsg {
        RawMsg { flags: self.flags | flag, ..self }
    }

    /// What is said.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What is said, taken out.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// How to go about it.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// How long its sender waits; `None` is without end. Of a request received: how long still.
    pub fn timeout_of(&self, config: &Config) -> Option<Duration> {
        match self.patience {
            Patience::Usual => Some(config.patience_default),
            Patience::Limited(timeout) => Some(timeout),
            Patience::Unlimited => None,
        }
    }

    pub(super) fn into_request(self, config: &Config) -> Request {
        let patience = self.timeout_of(config);
        let max_reply = config.message_max as u32;
        Request { body: self.body, flags: self.flags, patience, max_reply }
    }

    pub(super) fn received(body: Bytes, flags: Flags, patience: Option<Duration>) -> RawMsg {
        let patience = patience.map_or(Patience::Unlimited, Patience::Limited);
        RawMsg { body, flags, patience }
    }
}

impl<T: Into<Bytes>> From<T> for RawMsg {
    fn from(body: T) -> RawMsg {
        RawMsg::new(body)
    }
}

/// As traces show it.
impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Id::Sent(_, call) => write!(f, "call {}", call.0),
            Id::Received(port, call) => write!(f, "{call} at port {}", port.0),
        }
    }
}
