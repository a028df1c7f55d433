//! What is said through the socket before there is a channel: one message each way.
//!
//! Invariant: whoever says anything but a whole hello of this version is told why not, if it can
//! understand that at all, and gets nothing.

use std::net::SocketAddr;
use std::time::Duration;

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Kind;
use super::queues::Names;
use crate::protocol::{Epoch, SiteId};

/// Longer ones are none.
pub(crate) const HELLO_MAX: usize = 256;
const MAGIC: [u8; 4] = *b"UVld";
/// Raised with whatever either side may say that the other could not read before.
const VERSION: u16 = 3;
const CODEC: Configuration<BigEndian, Fixint, Limit<HELLO_MAX>> =
    bincode::config::standard().with_big_endian().with_fixed_int_encoding().with_limit();

/// A process wants to be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) kind: Kind,
}

/// The daemon's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Greeting {
    /// With it come the descriptors of the memory and of the eventfd by which the process rings.
    Welcome(Welcome),
    Refused(Refusal),
}

/// What a process needs to know of its site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) site: SiteId,
    pub(crate) epoch: Epoch,
    /// Where others reach it.
    pub(crate) address: SocketAddr,
    /// The process's number at the site.
    pub(crate) process: u64,
    /// The queues, if these are the channel: up, then down.
    pub(crate) queues: Option<Names>,
    pub(crate) terms: Terms,
}

/// What holds for each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// How many of its calls are open at most; more are refused.
    pub(crate) calls_max: u32,
    /// How many requests it has in hand and may still be handed, together, at most. A process that
    /// wants more breaks the channel.
    pub(crate) takes_max: u32,
    /// See [`crate::protocol::Config`].
    pub(crate) patience_default: Duration,
    /// How long the body of a request or of a reply is at most.
    pub(crate) message_max: u32,
    /// How many bytes of long messages are under way at once, in each direction; one message in any
    /// case. A process that sends more breaks the channel.
    pub(crate) long_bytes_max: u64,
}

/// Why the daemon does not attach a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The library and the daemon are of different releases.
    #[error("the daemon speaks version {daemon} of the local protocol, not {asked}")]
    Version {
        /// What it speaks.
        daemon: u16,
        /// What it was asked in.
        asked: u16,
    },
    /// It was not understood.
    #[error("that is no hello")]
    Malformed,
    /// It was not told to serve this user.
    #[error("the daemon does not serve user {user}; see its options --allow-user, --allow-group")]
    NotAllowed {
        /// As the kernel numbers them.
        user: u32,
    },
    /// No place is free.
    #[error("the daemon has as many processes as it may; see its option --processes-max")]
    TooManyProcesses,
    /// The machine, or its limits, have no more.
    #[error("the daemon has no descriptors or memory left for another process")]
    NoRoom,
    /// System V queues were asked for.
    #[error("no room for another System V queue; see /proc/sys/kernel/msgmni")]
    NoQueues,
    /// It says nothing for too long.
    #[error("the daemon waited too long for a hello")]
    TooLate,
    /// It will be gone in a moment.
    #[error("the daemon stops")]
    Stopping,
}

/// The same in all versions.
#[derive(Serialize, Deserialize)]
struct Prefix {
    magic: [u8; 4],
    version: u16,
}

impl Hello {
    pub(crate) fn encode(self) -> Vec<u8> {
        encode(&self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Hello, Refusal> {
        decode(bytes)
    }
}

impl Greeting {
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Greeting, Refusal> {
        decode(bytes)
    }
}

fn encode(what: &impl Serialize) -> Vec<u8> {
    let prefix = Prefix { magic: MAGIC, version: VERSION };
    bincode::serde::encode_to_vec((prefix, what), CODEC).expect("it is plain data")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let malformed = |_| Refusal::Malformed;
    let (prefix, used): (Prefix, usize) =
        bincode::serde::decode_from_slice(bytes, CODEC).map_err(malformed)?;
    if prefix.magic != MAGIC {
        return Err(Refusal::Malformed);
    }
    if prefix.version != VERSION {
        return Err(Refusal::Version { daemon: VERSION, asked: prefix.version });
    }
    let rest = &bytes[used..];
    let (what, used) = bincode::serde::decode_from_slice(rest, CODEC).map_err(malformed)?;
    (used == rest.len()).then_some(what).ok_or(Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::super::noted::Name;
    use super::*;
    use crate::protocol::{NotExecuted, SendError, Unknown};

    fn greetings() -> Vec<Greeting> {
        let name = Name { id: i32::MAX, key: u32::MAX };
        let terms = Terms {
            calls_max: 1,
            takes_max: 2,
            patience_default: Duration::MAX,
            message_max: 1072,
            long_bytes_max: u64::MAX,
        };
        let welcome = Welcome {
            site: SiteId(7),
            epoch: Epoch { counter: 1, random: 2 },
            address: "[2001:db8::1]:7373".parse().unwrap(),
            process: 1,
            queues: Some([name; 2]),
            terms,
        };
        let version = Refusal::Version { daemon: 2, asked: 1 };
        vec![Greeting::Welcome(welcome), Greeting::Refused(version)]
    }

    /// Both sides understand each other, and what they say fits.
    #[test]
    fn what_is_said_is_heard() {
        for kind in [Kind::Shm, Kind::Sysv] {
            assert_eq!(Hello::decode(&Hello { kind }.encode()), Ok(Hello { kind }));
        }
        for greeting in greetings() {
            let bytes = greeting.encode();
            assert!(bytes.len() <= HELLO_MAX, "{} bytes", bytes.len());
            assert_eq!(Greeting::decode(&bytes), Ok(greeting));
        }
    }

    /// Cut, garbled or longer: refused, and said so.
    #[test]
    fn what_is_no_hello_is_refused() {
        let whole = Hello { kind: Kind::Shm }.encode();
        for end in 0..whole.len() {
            assert_eq!(Hello::decode(&whole[..end]), Err(Refusal::Malformed));
        }
        assert_eq!(Hello::decode(&[&whole[..], &[0]].concat()), Err(Refusal::Malformed));
        assert_eq!(Hello::decode(&[0xff; HELLO_MAX]), Err(Refusal::Malformed));
        for at in 0..whole.len() {
            let mut garbled = whole.clone();
            garbled[at] ^= 0x40;
            assert!(Hello::decode(&garbled).is_err());
        }
    }

    /// A program that does not know a reason cannot read the end of the call: whoever adds one raises the
    /// version.
    #[test]
    fn reasons_belong_to_a_version() {
        fn known<T: DeserializeOwned>() -> usize {
            let reads = |number: &u32| {
                let bytes = number.to_be_bytes();
                bincode::serde::decode_from_slice::<T, _>(&bytes, CODEC).is_ok()
            };
            (0..100).take_while(reads).count()
        }
        let known = [known::<NotExecuted>(), known::<Unknown>(), known::<SendError>()];
        assert_eq!((VERSION, known), (3, [12, 8, 6]));
    }

    /// A process of a later version hears which one the daemon speaks.
    #[test]
    fn another_version_is_named() {
        let mut later = Hello { kind: Kind::Shm }.encode();
        later[5] = 9;
        let refusal = Hello::decode(&later).unwrap_err();
        assert_eq!(refusal, Refusal::Version { daemon: VERSION, asked: 9 });
    }
}
