//! All groups of the process at the other end of a Unix socket.
//!
//! Invariant: they are as they were when it connected, and the kernel says so.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

/// A process has 65,536 at most (`NGROUPS_MAX`); whoever has more than so many is asked for the first
/// of them only, which is its own.
const GROUPS_MAX: usize = 4096;

/// None, if the kernel does not say.
pub(super) fn groups_of(socket: &impl AsFd) -> Vec<u32> {
    let mut groups = vec![0_u32; GROUPS_MAX];
    let mut length = size_of_val(&groups[..]) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes of numbers into `groups`, and how many it wrote
    // into `length`.
    let done = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let count = if done == 0 { length as usize / size_of::<u32>() } else { 0 };
    groups.truncate(count);
    groups
}
