//! Messages that are longer than the channel takes: they go over in parts.
//!
//! A long message, its header and its body, is cut in order. Each part says which message it is of and
//! how long that is, and the parts of several messages take turns ([`super::outbox`]). Nothing comes of
//! a message before its last part has come: so a request half of which came was never asked, and half a
//! reply is none. A part without bytes calls its message off.
//!
//! How often a long body is copied on its way: into the channel from where it lies; out of it, part by
//! part, into a buffer that stays in the nearest cache; and from there to where it is whole, behind its
//! header. The buffer takes less than a tenth of the time: most of it goes into memory that is new.
//! (System V queues: once more on each side, for the kernel.)
//!
//! Invariant: what the other side claims is counted before anything is allocated for it: no message is
//! longer than may be, no more of them are begun at once than [`LONG_MAX`], nor have more bytes than
//! was agreed. What breaks that breaks the channel.

use std::ops::Range;

use bytes::Bytes;

use super::room::Room;
use super::{Broken, HEADER_MAX, MESSAGE_MAX};

/// How many long messages are under way at once, in each direction: enough that one that is ten times
/// as long as another does not keep it back.
pub(crate) const LONG_MAX: usize = 16;

/// How many bytes count of a message with this body, where long ones are counted.
pub(crate) fn long_bytes(body: &Bytes) -> usize {
    let longest = body.len() + HEADER_MAX;
    if longest > MESSAGE_MAX { longest } else { 0 }
}

/// What stands before each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Names the message, as long as it is under way.
    pub(crate) number: u64,
    /// How long it is when it is whole.
    pub(crate) total: u32,
}

/// What of a part is what.
const MARK_AT: Range<usize> = 0..4;
const TOTAL_AT: Range<usize> = 4..8;
const NUMBER_AT: Range<usize> = 8..16;
const BYTES_AT: usize = 16;
/// Other messages begin with the number of their kind.
const MARK: [u8; 4] = [0xff; 4];

/// Messages of which not all parts have come.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Whose they are.
    user: u32,
    halves: Vec<Half>,
    /// How long a message may be.
    longest: usize,
    /// How many bytes those that are under way may have, when they are whole.
    most: usize,
    /// How many they have.
    claimed: usize,
}

/// One of them.
#[derive(Debug)]
struct Half {
    part: Part,
    /// What has come; `None` if there was no room for it.
    bytes: Option<Vec<u8>>,
    left: usize,
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came<'a> {
    /// A message.
    Whole(Message<'a>),
    /// A part, and others will.
    Part,
    /// The first part of a message for which there is no room. The others will not be shown.
    Refused(&'a [u8]),
}

/// A message that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// It fitted the channel.
    Short(&'a [u8]),
    /// It came in parts.
    Long(Bytes),
}

const GARBLED: Broken = Broken("a part belongs to no message that may be");

impl Part {
    /// Into the buffer, which is cleared first.
    pub(crate) fn encode(self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&MARK);
        buffer.extend_from_slice(&self.total.to_be_bytes());
        buffer.extend_from_slice(&self.number.to_be_bytes());
    }

    /// `None` if it is another message.
    fn decode(message: &[u8]) -> Option<(Part, &[u8])> {
        let (head, bytes) = message.split_at_checked(BYTES_AT)?;
        if head[MARK_AT] != MARK {
            return None;
        }
        let total = u32::from_be_bytes(head[TOTAL_AT].try_into().ok()?);
        let number = u64::from_be_bytes(head[NUMBER_AT].try_into().ok()?);
        Some((Part { number, total }, bytes))
    }
}

impl Parts {
    /// Of messages of a user, with bodies that are so long at most. So many bytes may be under way at
    /// once, and one message in any case.
    pub(crate) fn new(user: u32, body_max: usize, most: usize) -> Parts {
        let longest = HEADER_MAX.saturating_add(body_max);
        Parts { user, halves: Vec::new(), longest, most: most.max(longest), claimed: 0 }
    }

    /// How many bytes those have that are under way.
    pub(crate) fn claimed(&self) -> usize {
        self.claimed
    }

    /// Something came.
    pub(crate) fn take<'a>(
        &mut self,
        message: &'a [u8],
        room: &mut Room,
    ) -> Result<Came<'a>, Broken> {
        let Some((part, bytes)) = Part::decode(message) else {
            return Ok(Came::Whole(Message::Short(message)));
        };
        let Some(at) = self.halves.iter().position(|half| half.part.number == part.number) else {
            return self.begin(part, bytes, room);
        };
        let half = &mut self.halves[at];
        if half.part != part || half.left < bytes.len() {
            return Err(GARBLED);
        }
        half.left -= bytes.len();
        half.bytes.iter_mut().for_each(|whole| whole.extend_from_slice(bytes));
        if half.left > 0 && !bytes.is_empty() {
            return Ok(Came::Part);
        }
        let half = self.halves.swap_remove(at);
        let Some(whole) = half.bytes else { return Ok(Came::Part) };
        self.claimed -= part.total as usize;
        room.give(self.user, part.total as usize);
        match half.left {
            0 => Ok(Came::Whole(Message::Long(whole.into()))),
            _ => Ok(Came::Part),
        }
    }

    fn begin<'a>(
        &mut self,
        part: Part,
        bytes: &'a [u8],
        room: &mut Room,
    ) -> Result<Came<'a>, Broken> {
        let total = part.total as usize;
        let may_be = (MESSAGE_MAX + 1..=self.longest).contains(&total)
            && self.halves.len() < LONG_MAX
            && total <= self.most - self.claimed
            && !bytes.is_empty();
        if !may_be {
            return Err(GARBLED);
        }
        let left = total.checked_sub(bytes.len()).ok_or(GARBLED)?;
        let whole = room.take(self.user, total).then(|| {
            let mut whole = Vec::new();
            let reserved = whole.try_reserve_exact(total);
            reserved.map(|()| whole).map_err(|_| room.give(self.user, total)).ok()
        });
        let Some(mut whole) = whole.flatten() else {
            self.halves.push(Half { part, bytes: None, left });
            return Ok(Came::Refused(bytes));
        };
        whole.extend_from_slice(bytes);
        self.claimed += total;
        self.halves.push(Half { part, bytes: Some(whole), left });
        Ok(Came::Part)
    }
}

impl Message<'_> {
    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Message::Short(bytes) => bytes,
            Message::Long(bytes) => bytes,
        }
    }

    /// The last bytes of it, to be kept.
    pub(crate) fn last(&self, len: usize) -> Bytes {
        match self {
            Message::Short(bytes) => Bytes::copy_from_slice(&bytes[bytes.len() - len..]),
            Message::Long(bytes) => bytes.slice(bytes.len() - len..),
        }
    }
}
