//! What a site itself answers, on its port 0 (R10): idempotent, and nothing is kept of it.

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ids::{ServerId, SiteId};
use super::note::Counters;
use super::site::Entries;
use super::wire::BODY_MAX;

const CODEC: Configuration<BigEndian, Fixint, Limit<BODY_MAX>> =
    bincode::config::standard().with_big_endian().with_fixed_int_encoding().with_limit();

/// The body of a request to port 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiteRequest {
    /// Who serves under this name?
    Resolve(String),
    /// Send this back.
    Ping(Vec<u8>),
    /// How often has each thing happened?
    Counters,
}

/// The body of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiteReply {
    /// This server, or nobody.
    Resolved(Option<ServerId>),
    /// What was sent.
    Pong(Vec<u8>),
    /// This often.
    Counters {
        /// Of which site.
        site: SiteId,
        /// In the order of [`super::Note::ALL`].
        counters: Counters,
        /// How full its tables are.
        entries: Entries,
    },
    /// The request was none of [`SiteRequest`].
    Malformed,
}

impl SiteRequest {
    /// As it travels.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// What somebody sent.
    pub fn decode(body: &[u8]) -> Option<SiteRequest> {
        decode(body)
    }
}

impl SiteReply {
    /// As it travels.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// What somebody sent.
    pub fn decode(body: &[u8]) -> Option<SiteReply> {
        decode(body)
    }
}

fn encode(message: &impl Serialize) -> Bytes {
    bincode::serde::encode_to_vec(message, CODEC).expect("it goes into memory").into()
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let (message, used) = bincode::serde::decode_from_slice(body, CODEC).ok()?;
    (used == body.len()).then_some(message)
}
