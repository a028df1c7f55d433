//! What processes and their daemon say to each other: a header, and the body.
//!
//! Invariant: what does not decode whole is no message; nothing is allocated beyond
//! [`super::MESSAGE_MAX`]. Every name in a message (call, port, serial) is the process's own affair: the
//! daemon looks it up among what is that process's, and nowhere else.

use std::time::Duration;

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::outbox::Order;
use super::seen::{PortRow, ProcessInfo};
use super::{Broken, HEADER_MAX, MESSAGE_MAX};
use crate::protocol::{
    BODY_MAX, CallId, Counters, Entries, Flags, NotExecuted, SendError, ServerPort, SiteId, Target,
    Time, Unknown,
};

const CODEC: Configuration<BigEndian, Fixint, Limit<MESSAGE_MAX>> =
    bincode::config::standard().with_big_endian().with_fixed_int_encoding().with_limit();

/// From a process to its daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Up {
    /// Ask this of a server; the body is the request. Always answered, by [`Down::End`].
    Ask {
        /// The process's own name for the call, used for no other one that is open.
        call: u64,
        target: Target,
        flags: Flags,
        patience_ends: PatienceEnds,
        max_reply: u32,
    },
    /// Call it off; it ends by [`Down::End`] as always. Nothing happens if it has ended.
    Cancel { call: u64 },
    /// Open a port. Answered with [`Answer::Opened`].
    OpenPort { serial: u64 },
    /// Close it: requests handed over and not answered end as by the death of the process (R28).
    ClosePort { port: ServerPort },
    /// Hand over no more there. Answered when no more come.
    Finish { serial: u64, port: ServerPort },
    /// Register a name for a port. Answered.
    Register { serial: u64, port: ServerPort, name: String },
    /// One more request may be handed over there. It stays so until one is.
    Take { port: ServerPort },
    /// The reply to a request that was handed over; the body is the reply. Answered only if it is
    /// refused: the process knows what it has in hand.
    Reply {
        serial: u64,
        port: ServerPort,
        call: CallId,
        /// One more request may be handed over in its place.
        renew: bool,
    },
    /// The same, but the reply is longer than any may be, and stays where it is (R32).
    TooLong { serial: u64, port: ServerPort, call: CallId, renew: bool },
    /// Say what is seen of the site. Answered with [`Answer::Seen`].
    Look { serial: u64, what: What },
}

/// From the daemon to a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Down {
    /// A call has ended. The body is the reply, if there is one.
    End { call: u64, ended: Ended },
    /// Serve this; the body is the request. From here on it counts as run (R20).
    Request { port: ServerPort, call: CallId, flags: Flags, patience_ends: PatienceEnds },
    /// This request, handed over before, is not wanted any more (R30, R38).
    Cancelled { port: ServerPort, call: CallId },
    /// What was asked for under this number was done, or not.
    Answer { serial: u64, answer: Answer },
    /// The daemon stops: every call ends next, and not because somebody called it off.
    Stopping,
    /// Every call has ended. The daemon reads no more, and is gone next.
    Stopped,
}

/// When the caller's patience ends, by the clock that counts the machine's sleep (R14), in ns: both
/// sides have the same clock. `None` is never.
pub(crate) type PatienceEnds = Option<u64>;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    /// The body says how it was answered.
    Reply,
    /// Nothing was sent.
    NotSent(SendError),
    NotExecuted(NotExecuted),
    Unknown(Unknown),
}

/// What became of what a process asked of its daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    /// No more requests come there.
    Finished,
    Opened(ServerPort),
    /// The body is a [`Seen`].
    Seen,
    Refused(SendError),
}

/// What a process wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    Counters,
    Entries,
    /// The first ones.
    RoundTrips,
    /// Those with sites of greater numbers.
    MoreRoundTrips {
        after: SiteId,
    },
    /// Those of greater numbers than this, without the one that asks.
    Processes {
        after: u64,
    },
    /// From this port's name of this number on.
    Ports {
        from: ServerPort,
        name: u32,
    },
    /// Every call from now on, as lines. Answered with [`Seen::Watching`], then once for each line.
    Trace,
}

/// What it sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seen {
    Counters(Counters),
    Entries(Entries),
    /// As many as fit a message: if there are [`ROUND_TRIPS_MAX`], there may be more.
    RoundTrips(Vec<(SiteId, Duration, Duration)>),
    Processes {
        processes: Vec<ProcessInfo>,
        more: bool,
    },
    Ports {
        ports: Vec<PortRow>,
        more: bool,
    },
    /// Lines will come.
    Watching,
    /// A line of the trace, or a part of one that has more, and when it was.
    Line {
        at: Time,
        text: String,
        more: bool,
    },
    /// It is for root and the daemon's own user to see.
    NotAllowed {
        user: u32,
        owner: u32,
    },
}

/// No site has longer names; the library refuses these before they are said.
pub(crate) const NAME_MAX: usize = BODY_MAX - 12;
/// Round trips with this many sites fit a message.
pub(crate) const ROUND_TRIPS_MAX: usize = 32;
/// A part of a line that has so many bytes fits a message.
pub(crate) const LINE_MAX: usize = 2048;
const NOT_ONE: Broken = Broken("what it said is no message");

impl Up {
    /// Into the buffer, which is cleared first.
    pub(crate) fn encode(&self, body: &[u8], buffer: &mut Vec<u8>) {
        encode(self, body, buffer);
    }

    pub(crate) fn decode(message: &[u8]) -> Result<(Up, &[u8]), Broken> {
        let (up, body) = decode::<Up>(message)?;
        let has_body = matches!(up, Up::Ask { .. } | Up::Reply { .. });
        let known = match &up {
            Up::Ask { flags, .. } => Flags(flags.0 & !FLAGS.0) == Flags::NONE,
            _ => true,
        };
        (known && (has_body || body.is_empty())).then_some((up, body)).ok_or(NOT_ONE)
    }

    /// What it may not overtake. A port is closed when its replies have been said, and its names are
    /// free after that.
    pub(crate) fn order(&self) -> Order {
        match self {
            Up::Ask { flags, .. } if flags.has(Flags::ORDERED) => Order::Ordered,
            Up::OpenPort { .. } | Up::Register { .. } => Order::Ordered,
            Up::ClosePort { .. } | Up::Finish { .. } => Order::Last,
            _ => Order::Free,
        }
    }
}

/// All that a process may ask for.
const FLAGS: Flags = Flags(Flags::IDEMPOTENT.0 | Flags::ORDERED.0 | Flags::CERTAIN.0);

impl Down {
    /// Into the buffer, which is cleared first.
    pub(crate) fn encode(&self, body: &[u8], buffer: &mut Vec<u8>) {
        encode(self, body, buffer);
    }

    pub(crate) fn decode(message: &[u8]) -> Result<(Down, &[u8]), Broken> {
        decode(message)
    }

    /// What it may not overtake: what is called off was handed over before (R33, R38).
    pub(crate) fn order(&self) -> Order {
        match self {
            Down::Request { flags, .. } if flags.has(Flags::ORDERED) => Order::Ordered,
            Down::Cancelled { .. } | Down::Stopped => Order::Last,
            Down::Answer { answer: Answer::Finished, .. } => Order::Last,
            _ => Order::Free,
        }
    }
}

impl Seen {
    /// As the body of an answer.
    pub(crate) fn encode(mut self) -> Vec<u8> {
        if let Seen::RoundTrips(round_trips) = &mut self {
            round_trips.truncate(ROUND_TRIPS_MAX);
        }
        bincode::serde::encode_to_vec(&self, CODEC).expect("it is plain data")
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Seen, Broken> {
        let (seen, rest) = decode(body)?;
        rest.is_empty().then_some(seen).ok_or(NOT_ONE)
    }
}

/// As many of these as fit a message, in the same order, and whether there are more.
pub(crate) fn page<T: Serialize>(rows: impl IntoIterator<Item = T>) -> (Vec<T>, bool) {
    let (mut page, mut left) = (Vec::new(), PAGE_MAX);
    for row in rows {
        let row_len =
            bincode::serde::encode_to_vec(&row, CODEC).map_or(usize::MAX, |row| row.len());
        match left.checked_sub(row_len) {
            Some(still) => left = still,
            None => return (page, true),
        }
        page.push(row);
    }
    (page, false)
}

/// How many bytes of rows fit a message.
const PAGE_MAX: usize = MESSAGE_MAX - 64;

/// As both clocks say it.
pub(crate) fn patience_ends(boot: Time, patience: Option<Duration>) -> PatienceEnds {
    let ends = patience.map(|patience| boot.saturating_add(patience).as_nanos());
    ends.map(|ends| u64::try_from(ends).unwrap_or(u64::MAX))
}

/// How long it is until then.
pub(crate) fn patience_left(boot: Time, ends: PatienceEnds) -> Option<Duration> {
    ends.map(|ends| Duration::from_nanos(ends).saturating_sub(boot))
}

fn encode(header: &impl Serialize, body: &[u8], buffer: &mut Vec<u8>) {
    buffer.clear();
    bincode::serde::encode_into_std_write(header, buffer, CODEC)
        .expect("a header is plain data, and memory takes it");
    debug_assert!(buffer.len() <= HEADER_MAX, "a header is no longer than its place");
    buffer.extend_from_slice(body);
}

fn decode<T: DeserializeOwned>(message: &[u8]) -> Result<(T, &[u8]), Broken> {
    let (header, used) = bincode::serde::decode_from_slice(message, CODEC).map_err(|_| NOT_ONE)?;
    Ok((header, &message[used..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ClientId, IpcPort, Note};

    fn all_up() -> Vec<Up> {
        let at = "[2001:db8::1]:7373".parse().unwrap();
        let name = "n".repeat(NAME_MAX);
        let (port, call) = (ServerPort(3), CallId { client: ClientId::default(), seq: 9 });
        let flags = Flags::IDEMPOTENT | Flags::CERTAIN;
        let ask = |target, patience_ends| Up::Ask {
            call: 7,
            target,
            flags,
            patience_ends,
            max_reply: 100,
        };
        vec![
            ask(Target::Port(IpcPort::site_at(at)), None),
            ask(Target::Name { at, name: name.clone() }, Some(u64::MAX)),
            Up::Cancel { call: 7 },
            Up::OpenPort { serial: 1 },
            Up::ClosePort { port },
            Up::Finish { serial: 4, port },
            Up::Register { serial: 2, port, name },
            Up::Take { port },
            Up::Reply { serial: 0, port, call, renew: true },
            Up::TooLong { serial: 0, port, call, renew: true },
            Up::Look { serial: 3, what: What::RoundTrips },
            Up::Look { serial: 4, what: What::MoreRoundTrips { after: SiteId(1) } },
            Up::Look { serial: 5, what: What::Processes { after: 1 } },
            Up::Look { serial: 6, what: What::Ports { from: port, name: 1 } },
            Up::Look { serial: 7, what: What::Trace },
        ]
    }

    /// Every message, with the longest name and, where it has one, a body that is a byte too long.
    #[test]
    fn what_is_said_is_heard() {
        let mut buffer = Vec::new();
        for up in all_up() {
            let has_body = matches!(up, Up::Ask { .. } | Up::Reply { .. });
            let body = vec![5; if has_body { BODY_MAX + 1 } else { 0 }];
            up.encode(&body, &mut buffer);
            assert!(buffer.len() <= MESSAGE_MAX, "{} bytes: {up:?}", buffer.len());
            assert_eq!(Up::decode(&buffer), Ok((up, &body[..])));
        }
    }

    /// Cut anywhere, or with more than it has: no message, and no panic.
    #[test]
    fn what_is_cut_or_longer_is_no_message() {
        let mut buffer = Vec::new();
        for up in all_up() {
            up.encode(&[], &mut buffer);
            for end in 0..buffer.len() {
                assert_eq!(Up::decode(&buffer[..end]), Err(NOT_ONE), "{up:?} cut at {end}");
            }
            buffer.push(0);
            let has_body = matches!(up, Up::Ask { .. } | Up::Reply { .. });
            assert_eq!(Up::decode(&buffer).is_ok(), has_body);
        }
    }

    /// Any byte of any message is any other: it is a message or it is none.
    #[test]
    fn what_is_garbled_does_no_harm() {
        let mut buffer = Vec::new();
        for up in all_up() {
            up.encode(&[], &mut buffer);
            for at in 0..buffer.len() {
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut garbled = buffer.clone();
                    garbled[at] = value;
                    let _ = Up::decode(&garbled);
                    let _ = Down::decode(&garbled);
                    let _ = Seen::decode(&garbled);
                }
            }
        }
        let flags = Flags(0x8000);
        let target = Target::Port(IpcPort::site_at("127.0.0.1:1".parse().unwrap()));
        Up::Ask { call: 1, target, flags, patience_ends: None, max_reply: 0 }
            .encode(&[], &mut buffer);
        assert_eq!(Up::decode(&buffer), Err(NOT_ONE), "unknown flags");
    }

    /// What is seen of a site fits a message, however much that is.
    #[test]
    fn what_is_seen_fits() {
        let trip = (SiteId(u64::MAX), Duration::MAX, Duration::MAX);
        let counters = Counters::default();
        assert_eq!(counters.iter().count(), Note::ALL.len());
        let (processes, more) = page(std::iter::repeat_n(ProcessInfo::default(), 1000));
        assert!(more && processes.len() > 30, "{}", processes.len());
        let row = PortRow { name: Some("n".repeat(NAME_MAX)), ..PortRow::default() };
        let (ports, more) = page(vec![row; 100]);
        assert!(more && ports.len() > 2, "{}", ports.len());
        for seen in [
            Seen::Counters(counters),
            Seen::Entries(Entries::default()),
            Seen::RoundTrips(vec![trip; 1000]),
            Seen::Processes { processes, more: true },
            Seen::Ports { ports, more: true },
            Seen::Watching,
            Seen::Line { at: Time::MAX, text: "x".repeat(LINE_MAX), more: true },
            Seen::NotAllowed { user: u32::MAX, owner: u32::MAX },
        ] {
            let (body, mut buffer) = (seen.clone().encode(), Vec::new());
            Down::Answer { serial: 1, answer: Answer::Seen }.encode(&body, &mut buffer);
            assert!(buffer.len() <= MESSAGE_MAX);
            let (_, body) = Down::decode(&buffer).unwrap();
            let heard = Seen::decode(body).unwrap();
            assert!(heard == seen || matches!(heard, Seen::RoundTrips(it) if it.len() == 32));
        }
    }

    /// A patience goes over as the moment when it ends (R14); none is too long.
    #[test]
    fn patience_is_what_is_left_of_it() {
        let (now, second) = (Duration::from_secs(5), Duration::from_secs(1));
        let ends = patience_ends(now, Some(second));
        assert_eq!(patience_left(now, ends), Some(second));
        assert_eq!(patience_left(now + second * 2, ends), Some(Duration::ZERO));
        assert_eq!(patience_ends(now, Some(Duration::MAX)), Some(u64::MAX));
        assert_eq!(patience_left(now, patience_ends(now, None)), None);
    }
}
