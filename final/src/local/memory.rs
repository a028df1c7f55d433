//! Memory that two processes see.
//!
//! Invariant: it is there, of this length, as long as the value is, whatever the other side does with
//! its descriptor; and nobody here reads or writes it but by atomic words.

#![allow(unsafe_code)]

use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::thread::futex::{self, Flags};

const WORD: usize = size_of::<AtomicU64>();

/// A part of this process's memory that another process sees, too.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: it is nothing but atomic words, and unmapped once, by whoever drops it.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// So many words, all zero, and the descriptor by which another process gets them.
    pub(crate) fn make(words: usize) -> io::Result<(Memory, OwnedFd)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = memfd_create("unavez", flags)?;
        ftruncate(&descriptor, (words * WORD) as u64)?;
        // A file that got shorter would end whoever looks at it.
        fcntl_add_seals(&descriptor, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Memory::map(&descriptor, words)?, descriptor))
    }

    /// What another process made.
    pub(crate) fn open(descriptor: &OwnedFd, words: usize) -> io::Result<Memory> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no memory of this length");
        if !fcntl_get_seals(descriptor)?.contains(SealFlags::SHRINK) {
            return Err(wrong());
        }
        let length = usize::try_from(fstat(descriptor)?.st_size).map_err(|_| wrong())?;
        if words.checked_mul(WORD) != Some(length) {
            return Err(wrong());
        }
        Memory::map(descriptor, words)
    }

    /// Sleeps as long as this word is this and nobody wakes whoever sleeps on it, or so long. A signal,
    /// or the kernel as it likes, makes it less.
    pub(crate) fn sleep(&self, index: usize, value: u64, so_long: Option<Duration>) {
        let so_long = so_long.and_then(|time| Timespec::try_from(time).ok());
        let _ = futex::wait(self.half(index), Flags::empty(), value as u32, so_long.as_ref());
    }

    /// Wakes one, or all, of those who sleep on this word, on either side.
    pub(crate) fn wake(&self, index: usize, all: bool) {
        let most = if all { i32::MAX as u32 } else { 1 };
        let _ = futex::wake(self.half(index), Flags::empty(), most);
    }

    /// The half of the word where its low bits are: what the kernel can sleep on.
    fn half(&self, index: usize) -> &AtomicU32 {
        let low = usize::from(cfg!(target_endian = "big"));
        let word: *const AtomicU64 = &raw const self[index];
        // SAFETY: each half of an aligned word is an aligned half word that lives as long, and it is
        // only handed to the kernel, which compares it atomically.
        unsafe { &*word.cast::<AtomicU32>().add(low) }
    }

    fn map(descriptor: &OwnedFd, words: usize) -> io::Result<Memory> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses where; no memory in use is replaced.
        let start = unsafe {
            mmap(ptr::null_mut(), words * WORD, access, MapFlags::SHARED, descriptor, 0)?
        };
        let start = NonNull::new(start.cast()).expect("nothing is mapped at address 0");
        Ok(Memory { start, words })
    }
}

impl Deref for Memory {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: so many words are mapped there, page-aligned, until this is dropped. The file cannot
        // shrink (it is sealed), so all of them are there; any bytes are a valid word; and they are
        // changed by atomic operations only, here, while another process may do what it wants: to this
        // one that is a change by another thread.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `map`, and nothing borrows it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.words * WORD) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// One side writes, the other reads.
    #[test]
    fn both_see_the_same_words() {
        let (one, descriptor) = Memory::make(1024).unwrap();
        let other = Memory::open(&descriptor, 1024).unwrap();
        one[1023].store(7, Ordering::Relaxed);
        assert_eq!(other[1023].load(Ordering::Relaxed), 7);
    }

    /// A hostile process cuts the file, or lets it grow: the kernel does not let it.
    #[test]
    fn its_length_is_sealed() {
        let (_memory, descriptor) = Memory::make(1024).unwrap();
        assert!(ftruncate(&descriptor, 0).is_err());
        assert!(ftruncate(&descriptor, 1 << 20).is_err());
        assert!(fcntl_add_seals(&descriptor, SealFlags::WRITE).is_err());
    }

    /// A file of another length, or one that could be cut, is not mapped.
    #[test]
    fn other_files_are_refused() {
        let (_memory, descriptor) = Memory::make(1024).unwrap();
        assert!(Memory::open(&descriptor, 1025).is_err());
        assert!(Memory::open(&descriptor, usize::MAX).is_err());
        let unsealed = memfd_create("unavez", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&unsealed, 8192).unwrap();
        assert!(Memory::open(&unsealed, 1024).is_err());
    }
}
