//! What one datagram carries: a header whose size its kind fixes, the body, and a checksum over both.
//!
//! Invariant: what `decode` accepts, `encode` gives back byte for byte.

use std::fmt;

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;

/// The largest datagram, in bytes: it passes every path that QUIC asks for (RFC 9000, section 14) without IP cutting it.
pub const DATAGRAM_MAX: usize = 1200;
/// The largest body, in bytes: what header and checksum leave of a datagram.
pub const BODY_MAX: usize = DATAGRAM_MAX - HEADER_MAX - CHECKSUM_LEN;

const MAGIC: [u8; 2] = *b"UV";
const VERSION: u8 = 4;
/// Of the kind that has the longest.
const HEADER_MAX: usize = 39;
const CHECKSUM_LEN: usize = 4;
const CODEC: Configuration<BigEndian, Fixint, Limit<DATAGRAM_MAX>> =
    bincode::config::standard().with_big_endian().with_fixed_int_encoding().with_limit();

/// One datagram, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What it is for.
    pub kind: Kind,
    /// Which life of the client it is from or for.
    pub client: Epoch,
    /// Which life of the server it is for or from.
    pub server: Epoch,
    /// Which call of this client it is about, from 1.
    pub seq: u64,
    /// What the processes said, opaque here; at most [`BODY_MAX`] bytes.
    pub body: Vec<u8>,
}

/// What a packet is for, with all that only this kind carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// From client to server: run this.
    Request {
        /// How long the client will still send it, in ms: a minute at most, so nobody can have a
        /// reply kept for longer.
        patience: u16,
        /// How long it waits until it sends the next copy, in ms.
        retransmit_after: u16,
    },
    /// From server to client: what the service answered.
    Reply,
    /// From server to client: the request named another life of the server, and was refused.
    Stale {
        /// The life that refused it.
        present: Epoch,
    },
    /// From server to client: the service has it, do not send it again.
    Working,
    /// From client to server: is this call still being served?
    Heartbeat,
    /// From server to client: of this call nothing is known any more.
    NoCall,
}

/// Why some bytes are not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// More than [`DATAGRAM_MAX`] bytes.
    TooLong,
    /// Too few bytes for a checksum.
    TooShort,
    /// Damaged on the way, or never a packet.
    Checksum,
    /// Not this protocol, not this version, or of no known kind.
    Header,
}

#[derive(Serialize, Deserialize)]
struct Header {
    magic: [u8; 2],
    version: u8,
    kind: Kind,
    client: Epoch,
    server: Epoch,
    seq: u64,
}

impl Packet {
    /// The bytes of the datagram.
    pub fn encode(&self) -> Vec<u8> {
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            kind: self.kind,
            client: self.client,
            server: self.server,
            seq: self.seq,
        };
        let mut datagram = bincode::serde::encode_to_vec(&header, CODEC)
            .expect("a header is far shorter than the limit");
        datagram.extend_from_slice(&self.body);
        let sum = checksum(&datagram);
        datagram.extend_from_slice(&sum.to_be_bytes());
        datagram
    }

    /// The packet in a datagram that came from anybody.
    ///
    /// # Errors
    /// Says why the bytes are no packet; nothing else can come of them.
    pub fn decode(datagram: &[u8]) -> Result<Packet, WireError> {
        if datagram.len() > DATAGRAM_MAX {
            return Err(WireError::TooLong);
        }
        let (packet, sum) = datagram.split_last_chunk().ok_or(WireError::TooShort)?;
        if checksum(packet) != u32::from_be_bytes(*sum) {
            return Err(WireError::Checksum);
        }
        let (header, used): (Header, usize) =
            bincode::serde::decode_from_slice(packet, CODEC).map_err(|_| WireError::Header)?;
        if (header.magic, header.version) != (MAGIC, VERSION) {
            return Err(WireError::Header);
        }
        let Header { kind, client, server, seq, .. } = header;
        Ok(Packet { kind, client, server, seq, body: packet[used..].to_vec() })
    }
}

/// CRC-32 (IEEE 802.3): it finds every change within 32 bits in a row, so every change of one byte.
pub fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

/// The line of a trace: kind, call, life of the server, body. An epoch's random half is left out.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let body = self.body.escape_ascii();
        let call = format_args!("e{}.{}", self.client.counter, self.seq);
        let server = self.server.counter;
        match self.kind {
            Kind::Request { patience, .. } => {
                write!(f, "REQUEST {call} to e{server} \"{body}\", patience {patience} ms")
            }
            Kind::Working => write!(f, "WORKING {call} from e{server}"),
            Kind::Heartbeat => write!(f, "HEARTBEAT {call} to e{server}"),
            Kind::NoCall => write!(f, "NO_CALL {call} from e{server}"),
            Kind::Reply => write!(f, "REPLY {call} from e{server} \"{body}\""),
            Kind::Stale { present } => {
                write!(f, "STALE {call} to e{server}, this is e{}", present.counter)
            }
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            WireError::TooLong => "longer than a datagram may be",
            WireError::TooShort => "too short",
            WireError::Checksum => "wrong checksum",
            WireError::Header => "unknown protocol, version or kind",
        })
    }
}

impl std::error::Error for WireError {}
