//! What one packet carries: a header of a size that its kind fixes, and the body.
//!
//! Invariant: what `decode` accepts, `encode` gives back byte for byte; nothing is allocated before
//! lengths and checksum were checked.

use std::fmt;

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use bincode::{Decode, Encode};
use bytes::Bytes;

use super::fragments::{DATAGRAM_LARGEST, Half, Ranges, Whole, tag};
use super::ids::{CallId, ClientId, ServerId};
use super::kind::{Flags, Kind};

/// The largest datagram, in bytes, that every path carries without IP cutting it, if QUIC passes (RFC
/// 9000, section 14): larger ones only where it is known (R40).
pub const DATAGRAM_MAX: usize = 1200;
/// The longest header, in bytes: a REQUEST's.
pub const HEADER_MAX: usize = 128;
/// The largest body, in bytes, that fits such a datagram with the longest header: larger messages are
/// cut into fragments.
pub const BODY_MAX: usize = DATAGRAM_MAX - HEADER_MAX;
/// A patience that never ends, in a REQUEST.
pub const UNLIMITED: u32 = u32::MAX;

const MAGIC: [u8; 2] = *b"UV";
const VERSION: u8 = 1;
/// Magic, version, form, length.
const PREFIX_LEN: usize = 6;
pub(super) const CHECKSUM_AT: usize = 8;
/// What all forms begin with: magic, version, form, length, flags, checksum.
const FRAME_LEN: usize = 12;
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
    /// More bytes than it may have, or fewer than a header has.
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

/// How what follows is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Packet = 0,
    Fragment = 1,
}

#[derive(Encode, Decode)]
struct Header {
    magic: [u8; 2],
    version: u8,
    form: u8,
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

    /// How the fragments of the message are called that it begins, if it is a REQUEST or a REPLY.
    pub fn tag(&self) -> u64 {
        let half = if self.kind.is_to_server() { Half::Request } else { Half::Reply };
        tag(self.call(), self.server, half)
    }

    /// How many bytes the message has that it carries, or begins; and those that it carries.
    pub fn whole(&self) -> (usize, &[u8]) {
        let whole = Whole::of(&self.body).filter(|_| self.flags.has(Flags::BEGINS));
        whole.map_or((self.body.len(), &self.body), |(whole, first)| (whole.len as usize, first))
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_header(out);
        out.extend_from_slice(&self.body);
    }

    /// Appends its bytes without the body, which follows them.
    pub(crate) fn encode_header(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            form: Form::Packet as u8,
            length: self.encoded_len() as u16,
            flags: self.flags,
            checksum: 0,
            attempt: self.attempt,
            client: self.client,
            server: self.server,
            seq: self.seq,
            kind: self.kind,
        };
        out.resize(start + self.kind.header_len(), 0);
        bincode::encode_into_slice(&header, &mut out[start..], CODEC)
            .expect("a header is no longer than its kind says");
        let sum = crc32c::crc32c_append(crc32c::crc32c(&out[start..]), &self.body);
        out[start + CHECKSUM_AT..][..4].copy_from_slice(&sum.to_be_bytes());
    }

    /// The first packet in these bytes, which came from anybody, and how many of them it has.
    ///
    /// # Errors
    /// Says why they are no packet; then what follows is none either.
    pub fn decode(bytes: &[u8]) -> Result<(Packet, usize), WireError> {
        let (form, bytes) = unframe(bytes)?;
        match form {
            Form::Packet => Ok((Packet::read(bytes)?, bytes.len())),
            Form::Fragment => Err(WireError::Header),
        }
    }

    /// What these bytes, of which the frame was checked, are.
    pub(super) fn read(bytes: &[u8]) -> Result<Packet, WireError> {
        if bytes.len() < HEADER_MIN {
            return Err(WireError::Length);
        }
        if checksum(bytes) != bytes[CHECKSUM_AT..][..4] {
            return Err(WireError::Checksum);
        }
        let (header, used): (Header, usize) =
            bincode::decode_from_slice(bytes, CODEC).map_err(|_| WireError::Header)?;
        let Header { flags, attempt, client, server, seq, kind, .. } = header;
        let body = Bytes::copy_from_slice(&bytes[used..]);
        let packet = Packet { flags, attempt, client, server, seq, kind, body };
        packet.is_possible().then_some(packet).ok_or(WireError::Header)
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
            }
            Kind::Heartbeat { floor, .. } | Kind::Abort { floor, .. } => {
                (1..=self.seq).contains(&floor) && self.attempt == 0
            }
            Kind::Fetch { floor, .. } => {
                (1..=self.seq).contains(&floor)
                    && self.attempt == 0
                    && Ranges::decode(&self.body).is_some()
            }
            Kind::Credit { .. } => Ranges::decode(&self.body).is_some(),
            _ => true,
        };
        let says = matches!(self.kind, Kind::Request { .. } | Kind::Reply { .. });
        let begins = !self.flags.has(Flags::BEGINS) || says && Whole::of(&self.body).is_some();
        let has_body = says || matches!(self.kind, Kind::Credit { .. } | Kind::Fetch { .. });
        fields
            && begins
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
        let (whole, beginning) = self.whole();
        let body = Shown(beginning, whole);
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
            Kind::Credit { credit } | Kind::Fetch { credit, .. } => {
                let has = Ranges::decode(&self.body).map_or(0, |ranges| ranges.prefix());
                let stalled = if credit.stalled { ", nothing comes" } else { "" };
                write!(f, ", has {has}, up to {}{stalled}", credit.granted)
            }
            _ => Ok(()),
        }
    }
}

/// A body in a trace, the first bytes of it, and how many there are.
struct Shown<'a>(&'a [u8], usize);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const SHOWN_MAX: usize = 40;
        let shown = &self.0[..self.0.len().min(SHOWN_MAX)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.1 {
            write!(f, "… ({} bytes)", self.1)?;
        }
        Ok(())
    }
}

/// Writes what all forms begin with, but for flags and checksum.
pub(super) fn frame(bytes: &mut [u8], form: Form, length: usize) {
    bytes[..2].copy_from_slice(&MAGIC);
    (bytes[2], bytes[3]) = (VERSION, form as u8);
    bytes[4..PREFIX_LEN].copy_from_slice(&(length as u16).to_be_bytes());
}

/// The form of what comes first in these bytes, and what belongs to it.
pub(super) fn unframe(bytes: &[u8]) -> Result<(Form, &[u8]), WireError> {
    if bytes.len() < FRAME_LEN || bytes.len() > DATAGRAM_LARGEST {
        return Err(WireError::Length);
    }
    if bytes[..2] != MAGIC || bytes[2] != VERSION {
        return Err(WireError::Version);
    }
    let form = match bytes[3] {
        0 => Form::Packet,
        1 => Form::Fragment,
        _ => return Err(WireError::Header),
    };
    let length = usize::from(u16::from_be_bytes([bytes[PREFIX_LEN - 2], bytes[PREFIX_LEN - 1]]));
    let bytes = bytes.get(..length).filter(|it| it.len() >= FRAME_LEN);
    Ok((form, bytes.ok_or(WireError::Length)?))
}

/// The checksum of a packet or a fragment, which are longer than this, over all of it but the checksum.
pub(super) fn checksum(bytes: &[u8]) -> [u8; 4] {
    // In two pieces of whole words: it is reckoned by the word.
    let (begin, rest) = bytes.split_at(CHECKSUM_AT + 8);
    let mut unsummed = [0; CHECKSUM_AT + 8];
    unsummed.copy_from_slice(begin);
    unsummed[CHECKSUM_AT..][..4].fill(0);
    crc32c::crc32c_append(crc32c::crc32c(&unsummed), rest).to_be_bytes()
}
