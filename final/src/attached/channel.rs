//! The way to a daemon that is there.
//!
//! Invariant: whoever is written to and sleeps is rung.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Line;
use crate::local::Broken;
use crate::local::bell::Heard;
use crate::local::hello::Terms;
use crate::local::message::Up;
use crate::local::outbox::Outbox;
use crate::local::parts::{Came, Parts};
use crate::local::room::Room;

/// One attachment.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) outbox: Outbox,
    /// What it has said by half.
    parts: Parts,
    pub(super) line: Arc<Line>,
    /// It was told that it must ring.
    pub(super) asleep: bool,
    /// It has said that it stops: what it ends from now on it ends for that.
    pub(super) stops: bool,
    /// It reads no more, and has said its last word.
    pub(super) is_left: bool,
    /// It cannot be used any more. What the daemon has taken is known when it has hung up, too.
    is_broken: bool,
}

impl Channel {
    pub(super) fn new(mut outbox: Outbox, line: Arc<Line>, terms: &Terms) -> Channel {
        let most = usize::try_from(terms.long_bytes_max).unwrap_or(usize::MAX);
        outbox.allow(most);
        Channel {
            outbox,
            parts: Parts::new(0, terms.message_max as usize, most),
            line,
            asleep: false,
            stops: false,
            is_left: false,
            is_broken: false,
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Nothing more is said or heard; the daemon hears that.
    pub(super) fn break_off(&mut self, broken: Broken) {
        if !std::mem::replace(&mut self.is_broken, true) {
            tracing::warn!(target: "unavez", "the channel to the daemon is broken: {broken}");
            self.line.say_end();
        }
    }

    /// Says something; the number of the message. `None` if it is broken: after one that failed nothing
    /// may follow, for the daemon counts only what it takes.
    pub(super) fn say(&mut self, up: &Up, body: Bytes, buffer: &mut Vec<u8>) -> Option<u64> {
        if self.is_broken {
            return None;
        }
        up.encode(&[], buffer);
        let said = self.outbox.push_all(buffer, body, up.order());
        self.ring_if(said);
        Some(self.outbox.pushed())
    }

    pub(super) fn receive<'a>(
        &mut self,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<Came<'a>>, Broken> {
        let came = self.outbox.channel().try_receive(buffer)?;
        let freed = self.outbox.channel().freed();
        self.ring_if(Ok(freed));
        match came {
            // The daemon is believed; what it says by half is bounded all the same.
            true => self.parts.take(buffer, &mut Room::new(usize::MAX)).map(Some),
            false => Ok(None),
        }
    }

    /// It has rung, or may have room: it gets what waits for it.
    pub(super) fn wake(&mut self) {
        if self.is_broken {
            return;
        }
        if std::mem::take(&mut self.asleep) {
            self.outbox.channel().woke();
        }
        if self.outbox.waiting() > 0 {
            let said = self.outbox.flush();
            self.ring_if(said);
        }
    }

    /// Says what waits, as long as the daemon takes it, and so long at most.
    pub(super) fn say_rest(&mut self, so_long: Duration) {
        let until = Instant::now() + so_long;
        while !self.is_broken && self.outbox.waiting() > 0 {
            // There is no room: it rings when there is.
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.line.sleep(Some(left)) == Heard::End {
                return;
            }
            let said = self.outbox.flush();
            self.ring_if(said);
        }
    }

    /// Takes back what it has said, unless all of it has left: the daemon never acts on it.
    pub(super) fn take_back(&mut self, number: u64) -> bool {
        let taken = if self.is_broken { None } else { self.outbox.take_back(number) };
        let is_taken = taken.is_some();
        self.ring_if(taken.unwrap_or(Ok(false)));
        is_taken
    }

    pub(super) fn ring_if(&mut self, ring: Result<bool, Broken>) {
        match ring {
            Ok(true) => self.line.ring(),
            Ok(false) => {}
            Err(broken) => self.break_off(broken),
        }
    }
}
