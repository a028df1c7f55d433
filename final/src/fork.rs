//! Whether this process is still the one that it was: after `fork` the child shares the parent's
//! socket, but has none of its threads.
//!
//! Invariant: the generation changes only in a child of `fork`, before it runs anything else. (A child
//! made by the bare system call is not seen.)

#![allow(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);
static WATCH: Once = Once::new();

/// How many forks lie between the first process that asked and this one. No system call: asked on
/// every operation.
pub(crate) fn generation() -> u64 {
    WATCH.call_once(|| {
        // SAFETY: the handler is a function without arguments that only adds to an atomic, which a
        // child of `fork` may do. Without memory for it the kernel's answer is an error, and forks
        // stay unseen.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    FORKS.load(Ordering::Relaxed)
}

unsafe extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
