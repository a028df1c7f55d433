//! What has come: the messages that one system call read, and the datagrams in them.
//!
//! Invariant: each datagram is given away once, in the order in which the kernel had them.

use std::net::SocketAddr;

use super::many::{Came, READ_MAX};

/// More than any datagram has, and any message into which the kernel joined some.
const MESSAGE_MAX: usize = 64 << 10;

/// What one system call read.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// One room after the other; what was never used costs no memory.
    rooms: Box<[u8]>,
    came: [Option<Came>; READ_MAX],
    /// So many messages were read.
    count: usize,
    /// The message whose datagrams are next, and how much of it was given away.
    next: usize,
    at: usize,
}

impl Incoming {
    pub(crate) fn new() -> Box<Incoming> {
        let rooms = vec![0; READ_MAX * MESSAGE_MAX].into_boxed_slice();
        Box::new(Incoming { rooms, came: [None; READ_MAX], count: 0, next: 0, at: 0 })
    }

    /// Takes what `read` brings: it fills these rooms from the first on, and says what came and how much
    /// that is.
    pub(super) fn fill<E>(
        &mut self,
        read: impl FnOnce(&mut [u8], &mut [Option<Came>; READ_MAX]) -> Result<usize, E>,
    ) -> Result<(), E> {
        (self.count, self.next, self.at) = (0, 0, 0);
        self.count = read(&mut self.rooms, &mut self.came)?.min(READ_MAX);
        Ok(())
    }

    /// Of what was read only this is kept.
    pub(super) fn retain(&mut self, wanted: impl Fn(&Came) -> bool) {
        for came in &mut self.came[..self.count] {
            *came = came.filter(&wanted);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.came[self.next..self.count].iter().all(Option::is_none)
    }

    /// Whether a message may be several datagrams that the kernel joined.
    pub(super) fn is_long(&self, than: usize) -> bool {
        self.came[..self.count]
            .iter()
            .flatten()
            .any(|came| came.segment.is_some() || came.len > than)
    }

    /// The next datagram, if one is left.
    pub(crate) fn next(&mut self) -> Option<(SocketAddr, &[u8])> {
        loop {
            let came = self.came[..self.count].get(self.next)?;
            let start = self.next * MESSAGE_MAX + self.at;
            let Some(Came { from, len, segment }) = *came else {
                (self.next, self.at) = (self.next + 1, 0);
                continue;
            };
            let left = len - self.at;
            let datagram = segment.map_or(left, |segment| segment.min(left));
            self.at += datagram;
            if self.at == len {
                (self.next, self.at) = (self.next + 1, 0);
            }
            return Some((from, &self.rooms[start..start + datagram]));
        }
    }
}

/// The rooms, each for one message.
pub(super) fn rooms(all: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    all.chunks_exact_mut(MESSAGE_MAX)
}
