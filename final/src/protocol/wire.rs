//! What one packet carries: a header of a size that its kind fixes, and the body.
//!
//! Invariant: what `decode` accepts, `encode` gives back byte for byte; nothing is allocated before
//! lengths and checksum were checked.

use std::fmt;

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ids::{CallId, ClientId, Epoch, ServerId};

/// The largest datagram, in bytes: it passes every path that QUIC asks for (RFC 9000, section 14)
/// without IP cutting it (R40).
pub const DATAGRAM_MAX: usize = 1200;
/// The longest header, in bytes: a REQUEST's.
pub const HEADER_MAX: usize = 128;
/// The largest body, in bytes, that fits a datagram with the longest header.
pub const BODY_MAX: usize = DATAGRAM_MAX - HEADER_MAX;
/// A patience that never ends, in a REQUEST.
pub const UNLIMITED: u32 = u32::MAX;

const MAGIC: [u8; 2] = *b"UV";
const VERSION: u8 = 1;
/// Magic, version, reserved, length.
const PREFIX_LEN: usize = 6;
const CHECKSUM_AT: usize = 8;
/// Up to the kind.
pub(crate) const HEADER_MIN: usize = 76;
const CODEC: Configuration<BigEndian, Fixint, Limit<HEADER_MAX>> =
    bincode::config::standard().with_big_endian().with_fixed_int_encoding().with_limit();

/// One packet, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What is asked of the other side beyond the kind; unknown ones are refused.
    pub flags: Flags,
    /// Which transmission of the request this is, from 1; in an answer, the one that it answers; 0
    /// is none.
    pub attempt: u32,
    /// Who asks.
    pub client: ClientId,
    /// Who is asked.
    pub server: ServerId,
    /// Which call of this client it is about, from 1.
    pub seq: u64,
    /// What it is for.
    pub kind: Kind,
    /// What the processes said, opaque here.
    pub body: Bytes,
}

/// Properties of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// On the wire. Kept free: 8 for nested calls (R39), 16 for fragments (R40).
    const WIRE: u16 = 3;

    /// Whether all of these are set.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those of them that travel.
    pub(crate) fn on_the_wire(self) -> Flags {
        Flags(self.0 & Flags::WIRE)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// What a server gave to an address, so that the address can be believed (R36). All zeros is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// When it was given, in ms since that epoch began.
    pub issued: u64,
    /// Over the address, the client's site and the time.
    pub mac: u64,
}

/// What a packet is for, with all that only this kind carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Client to server: run this.
    Request {
        /// The lowest number of this client that has not ended (R15).
        floor: u64,
        /// The ordered request that comes before this one; 0 is none (R33).
        predecessor: u64,
        /// How long the client still waits, in ms; or [`UNLIMITED`].
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
}

/// What a REPLY and a WORKING allow the client besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// How many calls it may have above its floor (R26).
    pub window: u32,
    /// After half of this time without a call it gives its port up, in ms (R9).
    pub port_life: u32,
    /// For its later packets.
    pub token: Token,
}

/// Whether a refused call ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ran {
    /// It did not, and never will.
    No,
    /// Once or not at all.
    Maybe,
    /// Once.
    Once,
}

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
}

/// What became of a call that was to be called off (R38).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It did not run, and never will.
    NotRun,
    /// The service is at it, and sees that it is not wanted any more.
    Stopping,
    /// Nobody can tell.
    Maybe,
}

/// Why some bytes are not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum WireError {
    /// More than [`DATAGRAM_MAX`] bytes, or fewer than a header has.
    #[error("wrong length")]
    Length,
    /// Not this protocol, not this version.
    #[error("unknown protocol or version")]
    Version,
    /// Damaged on the way.
    #[error("wrong checksum")]
    Checksum,
    /// Unknown kind or flag, or a field out of its range.
    #[error("impossible header")]
    Header,
}

#[derive(Serialize, Deserialize)]
struct Header {
    magic: [u8; 2],
    version: u8,
    reserved: u8,
    length: u16,
    flags: Flags,
    checksum: u32,
    attempt: u32,
    client: ClientId,
    server: ServerId,
    seq: u64,
    kind: Kind,
}

impl Packet {
    /// Which call it is about.
    pub fn call(&self) -> CallId {
        CallId { client: self.client, seq: self.seq }
    }

    /// How many bytes it has when it travels.
    pub fn encoded_len(&self) -> usize {
        self.kind.header_len() + self.body.len()
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let length = self.encoded_len();
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            reserved: 0,
            length: length as u16,
            flags: self.flags,
            checksum: 0,
            attempt: self.attempt,
            client: self.client,
            server: self.server,
            seq: self.seq,
            kind: self.kind,
        };
        out.resize(start + length, 0);
        let used = bincode::serde::encode_into_slice(&header, &mut out[start..], CODEC)
            .expect("a header is no longer than its kind says");
        out[start + used..].copy_from_slice(&self.body);
        let sum = crc32c::crc32c(&out[start..]);
        out[start + CHECKSUM_AT..][..4].copy_from_slice(&sum.to_be_bytes());
    }

    /// The first packet in these bytes, which came from anybody, and how many of them it has.
    ///
    /// # Errors
    /// Says why they are no packet; then what follows is none either.
    pub fn decode(bytes: &[u8]) -> Result<(Packet, usize), WireError> {
        if bytes.len() < HEADER_MIN || bytes.len() > DATAGRAM_MAX {
            return Err(WireError::Length);
        }
        if bytes[..2] != MAGIC || bytes[2] != VERSION {
            return Err(WireError::Version);
        }
        let length =
            usize::from(u16::from_be_bytes([bytes[PREFIX_LEN - 2], bytes[PREFIX_LEN - 1]]));
        let bytes = bytes.get(..length).filter(|it| it.len() >= HEADER_MIN);
        let bytes = bytes.ok_or(WireError::Length)?;
        let sum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        let sum = crc32c::crc32c_append(sum, &[0; 4]);
        let sum = crc32c::crc32c_append(sum, &bytes[CHECKSUM_AT + 4..]);
        if sum.to_be_bytes() != bytes[CHECKSUM_AT..][..4] {
            return Err(WireError::Checksum);
        }
        let (header, used): (Header, usize) =
            bincode::serde::decode_from_slice(bytes, CODEC).map_err(|_| WireError::Header)?;
        let Header { reserved, flags, attempt, client, server, seq, kind, .. } = header;
        let body = Bytes::copy_from_slice(&bytes[used..]);
        let packet = Packet { flags, attempt, client, server, seq, kind, body };
        let possible = reserved == 0 && packet.is_possible();
        possible.then_some((packet, length)).ok_or(WireError::Header)
    }

    /// What every packet must satisfy whoever sent it.
    fn is_possible(&self) -> bool {
        let fields = match self.kind {
            Kind::Request { floor, predecessor, rto, .. } => {
                // R15; and the first attempt is 1.
                (1..=self.seq).contains(&floor)
                    && predecessor < self.seq
                    && (predecessor == 0 || self.flags.has(Flags::ORDERED))
                    && rto > 0
                    && self.attempt > 0
                    && self.body.len() <= BODY_MAX
            }
            Kind::Heartbeat { floor, .. } | Kind::Abort { floor, .. } => {
                (1..=self.seq).contains(&floor) && self.attempt == 0
            }
            _ => true,
        };
        let has_body = matches!(self.kind, Kind::Request { .. } | Kind::Reply { .. });
        fields
            && self.seq > 0
            && self.client.site.0 != 0
            && self.flags.0 & !Flags::WIRE == 0
            && (has_body || self.body.is_empty())
    }
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
        }
    }

    /// Whether it goes from client to server.
    pub fn is_to_server(&self) -> bool {
        matches!(self, Kind::Request { .. } | Kind::Heartbeat { .. } | Kind::Abort { .. })
    }
}

impl Token {
    /// None.
    pub const NONE: Token = Token { issued: 0, mac: 0 };
}

/// The line of a trace: kind, call, life of the server, what matters of the rest.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (kind, call, server) = (self.kind.name(), self.call(), self.server.epoch.counter);
        let way = if self.kind.is_to_server() { "to" } else { "from" };
        write!(f, "{kind} {call} {way} e{server}")?;
        let body = Shown(&self.body);
        match self.kind {
            Kind::Request { patience: UNLIMITED, .. } => write!(f, " {body}, patience unlimited"),
            Kind::Request { patience, .. } => write!(f, " {body}, patience {patience} ms"),
            Kind::Reply { .. } => write!(f, " {body}"),
            Kind::Stale { present, fresh, .. } => {
                write!(f, ", this is e{}{}", present.counter, if fresh { ", fresh" } else { "" })
            }
            Kind::Busy { after } => write!(f, ", ask after {after} ms"),
            Kind::Refused { ran, reason } => write!(f, ", ran {ran:?}: {reason:?}"),
            Kind::Aborted { fate } => write!(f, ", {fate:?}"),
            _ => Ok(()),
        }
    }
}

/// A body in a trace, the first bytes of it.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const SHOWN_MAX: usize = 40;
        let shown = &self.0[..self.0.len().min(SHOWN_MAX)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}
