//! What one fragment carries, and what the first one says of the whole.
//!
//! Invariant: as for packets: what is accepted is given back byte for byte.

use std::fmt;

use bytes::Bytes;

use super::super::wire::{CHECKSUM_AT, Form, WireError, checksum, frame};
use super::MESSAGE_LARGEST;

/// The length of the header of a fragment, in bytes.
pub const FRAGMENT_HEADER: usize = 28;

/// How long the checksum is that follows the message.
pub(crate) const TRAILER: u32 = 4;
const WHOLE_LEN: usize = 4;
const ASKS: u16 = 1;

/// A piece of a large message. It is a datagram of its own, or shares one with packets. Its checksum is
/// over its header: what is in it is checked with the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<B = Bytes> {
    /// Which message.
    pub tag: u64,
    /// Counts what is sent of this message, copies included, from 1.
    pub serial: u32,
    /// Where in the message it begins. The four bytes behind its end are its CRC-32C.
    pub offset: u32,
    /// The sender wants to know what has come.
    pub asks: bool,
    /// What is there.
    pub body: B,
}

/// What a REQUEST or REPLY that carries only the beginning of its message says of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole {
    /// How many bytes the message has.
    pub(crate) len: u32,
}

impl<B: AsRef<[u8]>> Fragment<B> {
    /// Its header.
    pub fn header(&self) -> [u8; FRAGMENT_HEADER] {
        let body = self.body.as_ref();
        let mut bytes = [0; FRAGMENT_HEADER];
        let flags = if self.asks { ASKS } else { 0 };
        frame(&mut bytes, Form::Fragment, FRAGMENT_HEADER + body.len());
        bytes[6..8].copy_from_slice(&flags.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.tag.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.serial.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.offset.to_be_bytes());
        let sum = crc32c::crc32c(&bytes);
        bytes[CHECKSUM_AT..][..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// How many bytes it has when it travels.
    pub fn encoded_len(&self) -> usize {
        FRAGMENT_HEADER + self.body.as_ref().len()
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header());
        out.extend_from_slice(self.body.as_ref());
    }
}

impl<'a> Fragment<&'a [u8]> {
    /// What these bytes, of which the frame was checked, are.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Fragment<&'a [u8]>, WireError> {
        if bytes.len() <= FRAGMENT_HEADER {
            return Err(WireError::Length);
        }
        if checksum(&bytes[..FRAGMENT_HEADER]) != bytes[CHECKSUM_AT..][..4] {
            return Err(WireError::Checksum);
        }
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
        let (high, low) = (u64::from(number(12)), u64::from(number(16)));
        let fragment = Fragment {
            tag: high << 32 | low,
            serial: number(20),
            offset: number(24),
            asks: bytes[7] == ASKS as u8,
            body: &bytes[FRAGMENT_HEADER..],
        };
        let end = fragment.offset as usize + fragment.body.len();
        let possible = bytes[6] == 0
            && bytes[7] <= ASKS as u8
            && fragment.serial > 0
            && end <= MESSAGE_LARGEST + TRAILER as usize;
        possible.then_some(fragment).ok_or(WireError::Header)
    }
}

/// The line of a trace.
impl<B: AsRef<[u8]>> fmt::Display for Fragment<B> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (from, to) = (self.offset, self.offset as usize + self.body.as_ref().len());
        let asks = if self.asks { ", asks" } else { "" };
        write!(f, "FRAGMENT {:04x} {from}..{to}{asks}", self.tag >> 48)
    }
}

impl Whole {
    /// The body of the packet that begins this message.
    pub(crate) fn first(self, beginning: &[u8]) -> Bytes {
        [&self.len.to_be_bytes(), beginning].concat().into()
    }

    /// What such a body says, and how the message begins.
    pub(crate) fn of(body: &[u8]) -> Option<(Whole, &[u8])> {
        let (len, beginning) = body.split_at_checked(WHOLE_LEN)?;
        let len = u32::from_be_bytes(len.try_into().expect("four"));
        let possible = beginning.len() < len as usize
            && beginning.len() <= super::FIRST
            && len as usize <= MESSAGE_LARGEST;
        possible.then_some((Whole { len }, beginning))
    }

    /// How many bytes a packet carries besides.
    pub(crate) const LEN: usize = WHOLE_LEN;
}
