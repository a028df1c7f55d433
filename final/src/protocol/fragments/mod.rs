//! Messages larger than a datagram (PROTOCOL §8): cut here, sent as fast as the path takes them, asked
//! for again where they are missing, joined there.
//!
//! The first fragment travels in the REQUEST or the REPLY itself; all others as [`Fragment`]s, which
//! name their message by a tag that only the two sides can compute. The receiver says what it has and how
//! far the sender may go on: the server in CREDIT, the client in FETCH. When nothing comes, it is in both
//! directions the client who goes on asking (R41).
//!
//! Invariant: a message is handed over whole and right, or not at all; until then nothing is recorded
//! of it (R40).

mod building;
mod outbound;
mod path;
mod ranges;
mod sending;
mod slow_start;
mod wire;

use std::hash::{Hash, Hasher};

use bytes::Bytes;
use siphasher::sip::SipHasher24;

use super::ids::{CallId, ServerId};
use super::kind::Flags;
use super::wire::{BODY_MAX, DATAGRAM_MAX};

pub(crate) use building::Building;
pub(crate) use outbound::Outbound;
pub(crate) use ranges::{RANGES_LEN, Ranges};
pub(crate) use wire::Whole;
pub use wire::{FRAGMENT_HEADER, Fragment};

/// The largest datagram that UDP carries over IPv4, in bytes.
pub const DATAGRAM_LARGEST: usize = 65_507;
/// The largest message that can be carried, in bytes.
pub const MESSAGE_LARGEST: usize = 1 << 30;
/// How many datagrams leave before the other side has said that it takes them (RFC 6928, section 2).
pub(crate) const FIRST_WINDOW: usize = 10;

/// Which of the two messages of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Half {
    Request,
    Reply,
}

/// How many bytes of a large message its first packet carries.
const FIRST: usize = BODY_MAX - Whole::LEN;
/// So far its sender may go before it has heard of a credit.
const FIRST_GRANTED: u32 = (FIRST + FIRST_WINDOW * DATAGRAM_MAX) as u32;

/// Whether all of it leaves at once: then what it is answered with says that it has arrived, and only
/// what is missing is worth a word.
pub(crate) fn fits_first_window(len: u32) -> bool {
    len as usize <= FIRST + (FIRST_WINDOW - 2) * (DATAGRAM_MAX - FRAGMENT_HEADER)
}

/// Whether a message does not fit a packet that every path carries.
pub(crate) fn is_large(body: &[u8]) -> bool {
    body.len() > BODY_MAX
}

/// What the packet carries that a message begins with, and the flag that says whether that is all, where
/// packets may carry so many bytes.
pub(crate) fn first_packet(body: &Bytes, longest: usize) -> (Flags, Bytes) {
    match body.len() > longest {
        true => (Flags::BEGINS, Whole { len: body.len() as u32 }.first(&body[..FIRST])),
        false => (Flags::NONE, body.clone()),
    }
}

/// What of a request tells it from others (R31): all of it, of a large one how long it is and how it
/// begins.
pub(crate) fn told_apart_by(body: &[u8], hasher: &mut impl Hasher) {
    if is_large(body) {
        hasher.write_u32(body.len() as u32);
        return hasher.write(&body[..FIRST]);
    }
    hasher.write(body);
}

/// Names one message in its fragments: both sides compute it from what the first one says. The client
/// port is the key, so that nobody else can (R8).
pub(crate) fn tag(call: CallId, server: ServerId, half: Half) -> u64 {
    let epoch = call.client.epoch;
    let other_key = u64::from(epoch.counter) << 32 | u64::from(epoch.random);
    let mut hasher = SipHasher24::new_with_keys(call.client.port.0, other_key);
    (call.client.site, call.seq, server, half == Half::Reply).hash(&mut hasher);
    hasher.finish()
}
