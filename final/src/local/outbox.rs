//! A channel, and what did not fit into it yet.
//!
//! A long message leaves in parts ([`super::parts`]), which take turns with those of others and with
//! short messages: nobody waits for a long message to be over.
//!
//! Invariant: each message leaves once, and none before what its [`Order`] says; short ones of the same
//! order leave as they were pushed. How many wait is for whoever pushes to bound; none is ever dropped
//! (R19), but what is taken back.

use std::collections::{BTreeSet, HashSet, VecDeque};

use bytes::{Buf, Bytes};

use super::parts::{LONG_MAX, Part};
use super::{Broken, Channel, MESSAGE_MAX, Unsent};

/// One side of an attachment.
#[derive(Debug)]
pub(crate) struct Outbox {
    channel: Box<dyn Channel>,
    /// Those that fit the channel, and may leave.
    short: VecDeque<Waiting>,
    /// Those that leave in parts: each part is another one's.
    long: VecDeque<Waiting>,
    /// Those that will be among them.
    later: VecDeque<Waiting>,
    /// Those that may not leave before others.
    held: VecDeque<Waiting>,
    /// Others have left since these were looked at.
    is_freed: bool,
    /// All of these, by their numbers.
    numbers: BTreeSet<u64>,
    /// How many bytes of long ones are on their way at once, at most.
    most: usize,
    /// How many bytes all long ones have.
    long_bytes: usize,
    pushed: u64,
    last_ordered: u64,
    /// How many messages the channel has got, parts among them.
    sent: u64,
    log: Option<Log>,
    /// A part's head.
    buffer: Vec<u8>,
}

/// What a message may not overtake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// It overtakes any long message.
    Free,
    /// It overtakes none that is `Ordered` or `Last`.
    Ordered,
    /// It overtakes nothing.
    Last,
}

/// What must have left before.
#[derive(Debug, Clone, Copy)]
enum After {
    Nothing,
    This(u64),
    AllUpTo(u64),
}

/// A message that has not left, or not all of it.
#[derive(Debug)]
struct Waiting {
    number: u64,
    after: After,
    /// It leaves first: if it is gone, the message is begun.
    head: Vec<u8>,
    /// What has not left of the body.
    body: Bytes,
    /// How long the message is.
    total: usize,
}

/// What has left and was not taken, when the other side was last asked: the number of each message among
/// all that the channel got, and its own.
type Log = VecDeque<(u64, u64)>;

impl Outbox {
    pub(crate) fn new(channel: Box<dyn Channel>) -> Outbox {
        Outbox {
            channel,
            short: VecDeque::new(),
            long: VecDeque::new(),
            later: VecDeque::new(),
            held: VecDeque::new(),
            is_freed: false,
            numbers: BTreeSet::new(),
            most: usize::MAX,
            long_bytes: 0,
            pushed: 0,
            last_ordered: 0,
            sent: 0,
            log: None,
            buffer: Vec::new(),
        }
    }

    /// One that knows what was not taken. It believes what the other side says of that.
    pub(crate) fn logged(self) -> Outbox {
        Outbox { log: Some(Log::new()), ..self }
    }

    /// The other side takes so many bytes of long messages at once, and one message in any case.
    pub(crate) fn allow(&mut self, most: usize) {
        self.most = most;
    }

    /// Sends a short message, now or as soon as there is room. `true`: the other side's bell must be
    /// rung.
    pub(crate) fn push(&mut self, message: &[u8]) -> Result<bool, Broken> {
        self.push_all(message, Bytes::new(), Order::Free)
    }

    /// Sends a message of any length: what stands before the body, and that.
    pub(crate) fn push_all(
        &mut self,
        head: &[u8],
        body: Bytes,
        order: Order,
    ) -> Result<bool, Broken> {
        let after = match order {
            Order::Free => After::Nothing,
            Order::Ordered => After::This(self.last_ordered),
            Order::Last => After::AllUpTo(self.pushed),
        };
        self.pushed += 1;
        let (number, total) = (self.pushed, head.len() + body.len());
        if order != Order::Free {
            self.last_ordered = number;
        }
        if total <= MESSAGE_MAX && self.short.is_empty() && self.may_leave(after) {
            match self.channel.try_send(head, &body) {
                Ok(ring) => {
                    self.has_left(Some(number));
                    // It may have got the room that another one has asked for.
                    return Ok(self.flush()? | ring);
                }
                Err(Unsent::Full) => {}
                Err(Unsent::Broken(broken)) => {
                    // It has not left, and never will.
                    self.numbers.insert(number);
                    return Err(broken);
                }
            }
        }
        self.numbers.insert(number);
        let waiting = Waiting { number, after, head: head.into(), body, total };
        if !waiting.is_long() {
            self.line_up(waiting);
            return Ok(false);
        }
        self.long_bytes += total;
        self.line_up(waiting);
        self.flush()
    }

    /// Sends what waits, as far as there is room. Called when the bell has rung.
    pub(crate) fn flush(&mut self) -> Result<bool, Broken> {
        let mut ring = false;
        loop {
            self.let_go();
            if self.short.is_empty() && self.long.is_empty() {
                return Ok(ring);
            }
            for send in [Outbox::send_short, Outbox::send_part] {
                match send(self) {
                    Ok(sleeps) => ring |= sleeps,
                    Err(Unsent::Full) => return Ok(ring),
                    Err(Unsent::Broken(broken)) => return Err(broken),
                }
            }
        }
    }

    /// Takes a message back, unless all of it has left: the other side will never have it.
    pub(crate) fn take_back(&mut self, number: u64) -> Option<Result<bool, Broken>> {
        if !self.numbers.contains(&number) {
            return None;
        }
        let begun = |it: &&mut Waiting| it.number == number && it.head.is_empty();
        if let Some(begun) = self.long.iter_mut().find(begun) {
            // Its next part has no bytes: the other side forgets what it has.
            begun.body.clear();
            return Some(self.flush());
        }
        let queues = [&mut self.long, &mut self.later, &mut self.held, &mut self.short];
        let found = queues.into_iter().find_map(|queue| {
            let at = queue.iter().position(|it| it.number == number)?;
            queue.remove(at)
        });
        self.forget(&found?);
        Some(self.flush())
    }

    /// How many messages wait.
    pub(crate) fn waiting(&self) -> usize {
        self.numbers.len()
    }

    /// How many bytes the long ones of these have.
    pub(crate) fn long_bytes(&self) -> usize {
        self.long_bytes
    }

    /// How many were pushed so far: the number of the last one, from 1.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// The numbers of those of which the other side has not taken all: it has never acted on them.
    pub(crate) fn untaken(&self) -> HashSet<u64> {
        let taken = self.channel.taken();
        let log = self.log.iter().flatten().filter(|(sent, _)| *sent > taken);
        self.numbers.iter().copied().chain(log.map(|(_, number)| *number)).collect()
    }

    pub(crate) fn channel(&mut self) -> &mut dyn Channel {
        &mut *self.channel
    }

    // ---- whose turn it is

    fn may_leave(&self, after: After) -> bool {
        match after {
            After::Nothing => true,
            After::This(number) => !self.numbers.contains(&number),
            After::AllUpTo(number) => self.numbers.first().is_none_or(|first| *first > number),
        }
    }

    fn line_up(&mut self, waiting: Waiting) {
        if !self.may_leave(waiting.after) {
            self.held.push_back(waiting);
        } else if waiting.is_long() {
            self.later.push_back(waiting);
        } else {
            self.short.push_back(waiting);
        }
    }

    /// Lets those go that may leave by now.
    fn let_go(&mut self) {
        if std::mem::take(&mut self.is_freed) {
            let held = std::mem::take(&mut self.held);
            held.into_iter().for_each(|waiting| self.line_up(waiting));
        }
        let mut under_way: usize = self.long.iter().map(|it| it.total).sum();
        while self.long.len() < LONG_MAX
            && let Some(next) = self.later.front()
            && (self.long.is_empty() || under_way.saturating_add(next.total) <= self.most)
            && let Some(next) = self.later.pop_front()
        {
            under_way += next.total;
            self.long.push_back(next);
        }
    }

    // ---- what leaves

    fn send_short(&mut self) -> Result<bool, Unsent> {
        let Some(next) = self.short.front() else { return Ok(false) };
        let ring = self.channel.try_send(&next.head, &next.body)?;
        if let Some(gone) = self.short.pop_front() {
            self.forget(&gone);
            self.has_left(Some(gone.number));
        }
        Ok(ring)
    }

    fn send_part(&mut self) -> Result<bool, Unsent> {
        let Some(next) = self.long.front_mut() else { return Ok(false) };
        next.part().encode(&mut self.buffer);
        self.buffer.extend_from_slice(&next.head);
        let len = next.body.len().min(MESSAGE_MAX - self.buffer.len());
        let ring = self.channel.try_send(&self.buffer, &next.body[..len])?;
        next.head.clear();
        next.body.advance(len);
        if !next.body.is_empty() {
            self.has_left(None);
            self.long.rotate_left(1);
        } else if let Some(gone) = self.long.pop_front() {
            self.forget(&gone);
            self.has_left(Some(gone.number));
        }
        Ok(ring)
    }

    /// It waits no more.
    fn forget(&mut self, gone: &Waiting) {
        self.numbers.remove(&gone.number);
        self.is_freed = true;
        if gone.is_long() {
            self.long_bytes -= gone.total;
        }
    }

    /// The channel has got one more, and with it all of this message, if one is named.
    fn has_left(&mut self, number: Option<u64>) {
        self.sent += 1;
        if let (Some(log), Some(number)) = (&mut self.log, number) {
            let taken = self.channel.taken();
            while log.front().is_some_and(|(sent, _)| *sent <= taken) {
                log.pop_front();
            }
            log.push_back((self.sent, number));
        }
    }
}

impl Waiting {
    fn is_long(&self) -> bool {
        self.total > MESSAGE_MAX
    }

    /// None is longer than a part can say, which is 4 GiB.
    fn part(&self) -> Part {
        Part { number: self.number, total: u32::try_from(self.total).unwrap_or(u32::MAX) }
    }
}
