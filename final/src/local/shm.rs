//! A channel of two rings in shared memory.
//!
//! Invariant: each side writes one of them and reads the other, under a lock of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::control::{CONTROL_LEN, Lane, Words};
use super::memory::Memory;
use super::ring::{Place, Reader, Writer};
use super::sync::AtomicU64;
use super::{Broken, Channel, Unsent, Way};

/// How many words a ring has: 64 KiB, some fifty of the longest messages and some hundreds of short
/// ones. More would not be faster, as it must stay in the processor's cache; what does not fit waits
/// with its sender.
const RING_LEN: usize = 8192;
/// How many words the memory of an attachment has.
pub(crate) const SHM_LEN: usize = CONTROL_LEN + 2 * RING_LEN;

/// One side of it.
#[derive(Debug)]
pub(crate) struct Shm {
    writer: Writer<Arc<Memory>>,
    reader: Reader<Arc<Memory>>,
}

impl Shm {
    /// The daemon's side, and what the process gets.
    pub(crate) fn make() -> io::Result<(Shm, OwnedFd)> {
        let (memory, descriptor) = Memory::make(SHM_LEN)?;
        Ok((Shm::new(memory, Way::Down), descriptor))
    }

    /// The process's side.
    pub(crate) fn open(descriptor: &OwnedFd) -> io::Result<Shm> {
        Ok(Shm::new(Memory::open(descriptor, SHM_LEN)?, Way::Up))
    }

    fn new(memory: Memory, sends: Way) -> Shm {
        let memory = Arc::new(memory);
        let receives = if sends == Way::Up { Way::Down } else { Way::Up };
        let lane = |way| Lane::new(Arc::clone(&memory), way);
        let place = |way| Place {
            start: if way == Way::Up { CONTROL_LEN } else { CONTROL_LEN + RING_LEN },
            len: RING_LEN,
        };
        Shm {
            writer: Writer::new(lane(sends), place(sends)),
            reader: Reader::new(lane(receives), place(receives)),
        }
    }
}

impl Words for Arc<Memory> {
    fn words(&self) -> &[AtomicU64] {
        self
    }

    fn sleep(&self, index: usize, value: u64, so_long: Option<Duration>) {
        Memory::sleep(self, index, value, so_long);
    }

    fn wake(&self, index: usize, all: bool) {
        Memory::wake(self, index, all);
    }
}

impl Channel for Shm {
    fn try_send(&mut self, head: &[u8], body: &[u8]) -> Result<bool, Unsent> {
        self.writer.try_send(head, body)
    }

    fn try_receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Broken> {
        self.reader.try_receive(buffer)
    }

    fn freed(&mut self) -> bool {
        self.reader.freed()
    }

    fn may_sleep(&mut self) -> Result<bool, Broken> {
        self.reader.may_sleep()
    }

    fn may_sleep_on_word(&mut self) -> Result<bool, Broken> {
        self.reader.may_sleep_on_word()
    }

    fn lane(&self) -> Lane<Arc<Memory>> {
        self.reader.lane()
    }

    fn woke(&mut self) {
        self.reader.woke();
    }

    fn taken(&self) -> u64 {
        self.writer.taken()
    }
}
