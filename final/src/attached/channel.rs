//! The way to a daemon that is there.
//!
//! Invariant: whoever is written to and sleeps is rung.

use std::sync::Arc;

use super::Line;
use crate::local::Broken;
use crate::local::message::Up;
use crate::local::outbox::Outbox;

/// One attachment.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) outbox: Outbox,
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
    pub(super) fn new(outbox: Outbox, line: Arc<Line>) -> Channel {
        Channel { outbox, line, asleep: false, stops: false, is_left: false, is_broken: false }
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
    pub(super) fn say(&mut self, up: &Up, body: &[u8], buffer: &mut Vec<u8>) -> Option<u64> {
        if self.is_broken {
            return None;
        }
        up.encode(body, buffer);
        let said = self.outbox.push(buffer);
        self.ring_if(said);
        Some(self.outbox.pushed())
    }

    pub(super) fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Broken> {
        let came = self.outbox.channel().try_receive(buffer)?;
        let freed = self.outbox.channel().freed();
        self.ring_if(Ok(freed));
        Ok(came)
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

    pub(super) fn ring_if(&mut self, ring: Result<bool, Broken>) {
        match ring {
            Ok(true) => self.line.ring(),
            Ok(false) => {}
            Err(broken) => self.break_off(broken),
        }
    }
}
