//! What packets are for: their kinds, and what only these carry (PROTOCOL §3).

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::ids::Epoch;
use super::wire::HEADER_MIN;

/// What a packet is for, with all that only this kind carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub enum Kind {
    /// Client to server: run this.
    Request {
        /// The lowest number of this client that has not ended (R15).
        floor: u64,
        /// The ordered request that comes before this one; 0 is none (R33).
        predecessor: u64,
        /// How long the client still waits, in ms; or [`super::UNLIMITED`].
        patience: u32,
        /// After how long it sends the next copy, in ms.
        rto: u32,
        /// The longest reply that it takes, in bytes.
        max_reply: u32,
        /// Over destination port, flags, predecessor and body (R31).
        hash: u64,
        /// What the server gave before.
        token: Token,
    },
    /// Server to client: what the service answered.
    Reply {
        /// How long the server had the copy that is answered, in µs.
        service_time: u32,
        /// What the client may do further.
        grant: Grant,
    },
    /// Server to client: I have it, do not send it again (§3.3 of the paper).
    Working {
        /// How long the server had the copy that is answered, in µs.
        service_time: u32,
        /// How often it wants to be asked after the call, in ms.
        heartbeat: u32,
        /// What the client may do further.
        grant: Grant,
    },
    /// Client to server: is this call still being served?
    Heartbeat {
        /// See REQUEST.
        floor: u64,
        /// See REQUEST.
        token: Token,
    },
    /// Server to client: that was meant for another life; the header names the one refused, and
    /// `attempt` is 0 if it was no REQUEST.
    Stale {
        /// The life that refused it.
        present: Epoch,
        /// It came when no copy sent before this life could still be on its way (R29).
        fresh: bool,
    },
    /// Server to client: certainly never seen.
    NoCall,
    /// Server to client: not accepted, nothing recorded.
    Busy {
        /// Ask again after so many ms.
        after: u32,
    },
    /// Server to client: will not run.
    Refused {
        /// Whether it ran.
        ran: Ran,
        /// Why.
        reason: Reason,
    },
    /// Server to client: send it again with this token (R36).
    Challenge {
        /// This.
        token: Token,
    },
    /// Client to server: stop it.
    Abort {
        /// See REQUEST.
        floor: u64,
        /// See REQUEST.
        token: Token,
    },
    /// Server to client: what became of it.
    Aborted {
        /// This.
        fate: Fate,
    },
    /// Server to client: this address is another site; the header names the one refused (R6).
    WrongSite,
    /// Server to client: what has come of a large request; the body says which bytes (R41).
    Credit {
        /// This.
        credit: Credit,
    },
    /// Client to server: what has come of a large reply; the body says which bytes (R41).
    Fetch {
        /// See REQUEST.
        floor: u64,
        /// See REQUEST.
        token: Token,
        /// This.
        credit: Credit,
    },
}

/// What CREDIT and FETCH say: how far the sender of a large message may go on, and what of it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Credit {
    /// Names this reassembly: one that begins anew has another.
    pub building: u32,
    /// The last fragment that has come, as its sender counts them; 0 is none but the first packet.
    pub newest: u32,
    /// Bytes below this may be sent (R42).
    pub granted: u32,
    /// How many bytes the receiver's buffer takes at once.
    pub room: u32,
    /// Nothing has come for long: what is missing is lost.
    pub stalled: bool,
}

/// What a REPLY and a WORKING allow the client besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Grant {
    /// How many calls it may have above its floor (R26).
    pub window: u32,
    /// After half of this time without a call it gives its port up, in ms (R9).
    pub port_life: u32,
    /// For its later packets.
    pub token: Token,
}

/// Whether a refused call ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub enum Ran {
    /// It did not, and never will.
    No,
    /// Once or not at all.
    Maybe,
    /// Once.
    Once,
}

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
pub enum Reason {
    /// Nobody serves at this port.
    NoSuchPort,
    /// Its patience was over before the service took it up (R21).
    Expired,
    /// It was called off before the service took it up (R37).
    Aborted,
    /// The process died before the service took it up (R28), or while it was at it.
    ServerDied,
    /// Nothing had come from its client for long, before the service took it up (R30).
    Orphaned,
    /// What became of it is forgotten (R25).
    Forgotten,
    /// This client is forgotten: never to be taken up again (R35).
    PortClosed,
    /// Another request bears the same number (R31).
    FalseRetry,
    /// The reply is longer than the client takes, or the server may send (R32).
    ReplyTooBig,
    /// The request is longer than the server takes (R32).
    RequestTooBig,
}

/// What became of a call that was to be called off (R38).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub enum Fate {
    /// It did not run, and never will.
    NotRun,
    /// The service is at it, and sees that it is not wanted any more.
    Stopping,
    /// Nobody can tell.
    Maybe,
}

/// Properties of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
pub struct Flags(pub u16);

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);
    /// The service may run more than once (R34).
    pub const IDEMPOTENT: Flags = Flags(1);
    /// The service is not begun before that of the ordered request before it (R33).
    pub const ORDERED: Flags = Flags(2);
    /// When the patience ends, the caller waits a little longer to know what became of it (R13). Not
    /// on the wire.
    pub const CERTAIN: Flags = Flags(4);
    /// The packet carries only the beginning of its message, and before it how many bytes that has, in four
    /// (R40). Of a packet, not of a call.
    pub const BEGINS: Flags = Flags(16);
    /// Those of a call that travel. Kept free: 8 for nested calls (R39).
    const CALL: u16 = 3;
    /// All that travel.
    pub(super) const WIRE: u16 = Flags::CALL | Flags::BEGINS.0;

    /// Whether all of these are set.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those of them that travel.
    pub(crate) fn on_the_wire(self) -> Flags {
        Flags(self.0 & Flags::CALL)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// What a server gave to an address, so that the address can be believed (R36). All zeros is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Token {
    /// When it was given, in ms since that epoch began.
    pub issued: u64,
    /// Over the address, the client's site and the time.
    pub mac: u64,
}

impl Kind {
    /// The length of the header, in bytes.
    pub fn header_len(&self) -> usize {
        HEADER_MIN
            + match self {
                Kind::Request { .. } => 52,
                Kind::Reply { .. } => 28,
                Kind::Working { .. } => 32,
                Kind::Heartbeat { .. } | Kind::Abort { .. } => 24,
                Kind::Stale { .. } => 9,
                Kind::Refused { .. } => 8,
                Kind::Challenge { .. } => 16,
                Kind::Busy { .. } | Kind::Aborted { .. } => 4,
                Kind::NoCall | Kind::WrongSite => 0,
                Kind::Credit { .. } => 17,
                Kind::Fetch { .. } => 41,
            }
    }

    /// Its name in traces.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Request { .. } => "REQUEST",
            Kind::Reply { .. } => "REPLY",
            Kind::Working { .. } => "WORKING",
            Kind::Heartbeat { .. } => "HEARTBEAT",
            Kind::Stale { .. } => "STALE",
            Kind::NoCall => "NO_CALL",
            Kind::Busy { .. } => "BUSY",
            Kind::Refused { .. } => "REFUSED",
            Kind::Challenge { .. } => "CHALLENGE",
            Kind::Abort { .. } => "ABORT",
            Kind::Aborted { .. } => "ABORTED",
            Kind::WrongSite => "WRONG_SITE",
            Kind::Credit { .. } => "CREDIT",
            Kind::Fetch { .. } => "FETCH",
        }
    }

    /// Whether it goes from client to server.
    pub fn is_to_server(&self) -> bool {
        let asks = matches!(self, Kind::Request { .. } | Kind::Heartbeat { .. });
        asks || matches!(self, Kind::Abort { .. } | Kind::Fetch { .. })
    }
}

impl Token {
    /// None.
    pub const NONE: Token = Token { issued: 0, mac: 0 };
}
