//! What one packet carries: a header of a size that its kind fixes, and the body.
//!
//! Invariant: what `decode` accepts, `encode` gives back byte for byte; nothing is allocated before
//! lengths and checksum were checked.

use std::fmt;

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ids::{CallId, ClientId, ServerId};
use super::kind::{Flags, Kind};

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
