//! A channel, and what did not fit into it yet.
//!
//! Invariant: messages leave in the order in which they were pushed, each once. How many wait is for
//! whoever pushes to bound; none is ever dropped (R19).

use std::collections::VecDeque;

use super::{Broken, Channel, Unsent};

/// One side of an attachment.
#[derive(Debug)]
pub(crate) struct Outbox {
    channel: Box<dyn Channel>,
    waiting: VecDeque<Box<[u8]>>,
    pushed: u64,
}

impl Outbox {
    pub(crate) fn new(channel: Box<dyn Channel>) -> Outbox {
        Outbox { channel, waiting: VecDeque::new(), pushed: 0 }
    }

    /// Sends a message, now or as soon as there is room. `true`: the other side's bell must be rung.
    pub(crate) fn push(&mut self, message: &[u8]) -> Result<bool, Broken> {
        self.pushed += 1;
        if self.waiting.is_empty() {
            match self.channel.try_send(message, &[]) {
                Ok(ring) => return Ok(ring),
                Err(Unsent::Full) => {}
                Err(Unsent::Broken(broken)) => return Err(broken),
            }
        }
        self.waiting.push_back(message.into());
        Ok(false)
    }

    /// Sends what waits, as far as there is room. Called when the bell has rung.
    pub(crate) fn flush(&mut self) -> Result<bool, Broken> {
        let mut ring = false;
        while let Some(message) = self.waiting.front() {
            match self.channel.try_send(message, &[]) {
                Ok(sleeps) => ring |= sleeps,
                Err(Unsent::Full) => break,
                Err(Unsent::Broken(broken)) => return Err(broken),
            }
            self.waiting.pop_front();
        }
        Ok(ring)
    }

    /// How many messages wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many were pushed so far: the number of the last one, from 1. The other side has taken those
    /// up to [`Channel::taken`].
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    pub(crate) fn channel(&mut self) -> &mut dyn Channel {
        &mut *self.channel
    }
}
