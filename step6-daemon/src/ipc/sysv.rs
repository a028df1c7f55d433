//! System V message queues (§4) with a safe face, and the one other call that nix lacks.
//!
//! Invariant: all unsafe code of the crate is here, and no function here can be misused to break memory.

#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_long, c_void};

/// The largest message, in bytes: the kernel's default limit (`/proc/sys/kernel/msgmax`).
pub const MESSAGE_MAX: usize = 8192;

/// For its owner alone: with any more, another user could read and forge.
const MODE: c_int = 0o600;
/// All messages are of one type; the kernel wants it above 0.
const TYPE: c_long = 1;

/// The kernel's name for a queue. It may have been removed, and then every use is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Queue {
    id: i32,
}

/// What the kernel says of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The key that it was made with.
    pub key: u32,
    /// The user who owns it.
    pub owner: u32,
    /// Who may do what, as for a file.
    pub mode: u32,
    /// How many bytes it holds at most.
    pub bytes_max: usize,
    /// How many messages lie in it.
    pub messages: usize,
}

/// As the kernel wants a message: its type, then its bytes.
#[repr(C)]
struct Message {
    kind: c_long,
    bytes: [u8; MESSAGE_MAX],
}

impl Queue {
    /// Makes a queue with this key, which only this user can use.
    ///
    /// # Errors
    /// The key is taken, or the kernel has no room for another queue.
    pub fn make(key: u32) -> io::Result<Queue> {
        // SAFETY: msgget takes and gives numbers.
        let id = unsafe { libc::msgget(key as i32, libc::IPC_CREAT | libc::IPC_EXCL | MODE) };
        match check(id) {
            Ok(id) => Ok(Queue { id }),
            // The kernel says it as if a disk were full.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                Err(io::Error::other("no room for another queue (/proc/sys/kernel/msgmni)"))
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the queue with this key.
    ///
    /// # Errors
    /// There is none, or it is another user's.
    pub fn find(key: u32) -> io::Result<Queue> {
        // SAFETY: msgget takes and gives numbers.
        check(unsafe { libc::msgget(key as i32, 0) }).map(|id| Queue { id })
    }

    /// The queue of this number.
    pub fn of_id(id: i32) -> Queue {
        Queue { id }
    }

    /// Its number, as in `/proc/sysvipc/msg`.
    pub fn id(self) -> i32 {
        self.id
    }

    /// Puts a message in; blocks while the queue is full.
    ///
    /// # Errors
    /// The queue is gone, or the message is longer than [`MESSAGE_MAX`].
    pub fn send(self, bytes: &[u8]) -> io::Result<()> {
        retry(|| self.put(bytes, 0))
    }

    /// Puts a message in, or says with [`io::ErrorKind::WouldBlock`] that the queue is full.
    ///
    /// # Errors
    /// As [`Queue::send`], and that one.
    pub fn try_send(self, bytes: &[u8]) -> io::Result<()> {
        retry(|| self.put(bytes, libc::IPC_NOWAIT))
    }

    /// Takes the first message out; blocks until there is one. One that is too long comes cut.
    ///
    /// # Errors
    /// The queue is gone.
    pub fn receive(self) -> io::Result<Vec<u8>> {
        retry(|| self.take(0))
    }

    /// What the kernel says of it.
    ///
    /// # Errors
    /// The queue is gone.
    pub fn status(self) -> io::Result<Status> {
        // SAFETY: all-zero bytes are a valid msqid_ds, which is numbers only.
        let mut status: libc::msqid_ds = unsafe { std::mem::zeroed() };
        // SAFETY: IPC_STAT writes one msqid_ds, and `status` is one.
        check(unsafe { libc::msgctl(self.id, libc::IPC_STAT, &mut status) })?;
        Ok(Status {
            key: status.msg_perm.__key as u32,
            owner: status.msg_perm.uid,
            mode: status.msg_perm.mode.into(),
            bytes_max: status.msg_qbytes as usize,
            messages: status.msg_qnum as usize,
        })
    }

    /// Removes it; whoever waits at it gets an error.
    ///
    /// # Errors
    /// It is gone already.
    pub fn remove(self) -> io::Result<()> {
        // SAFETY: IPC_RMID does not look at the pointer.
        check(unsafe { libc::msgctl(self.id, libc::IPC_RMID, ptr::null_mut()) }).map(drop)
    }

    fn put(self, bytes: &[u8], flags: c_int) -> io::Result<()> {
        let mut message = Message { kind: TYPE, bytes: [0; MESSAGE_MAX] };
        let room = message.bytes.get_mut(..bytes.len());
        room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(bytes);
        let from: *const c_void = (&raw const message).cast();
        // SAFETY: `from` is a type and at least `bytes.len()` bytes, and the kernel only reads them.
        check(unsafe { libc::msgsnd(self.id, from, bytes.len(), flags) }).map(drop)
    }

    fn take(self, flags: c_int) -> io::Result<Vec<u8>> {
        let mut message = Message { kind: 0, bytes: [0; MESSAGE_MAX] };
        let to: *mut c_void = (&raw mut message).cast();
        // Not cut, a message over the limit would be refused again and again, and never leave.
        let flags = flags | libc::MSG_NOERROR;
        // SAFETY: `to` has room for a type and MESSAGE_MAX bytes, and the kernel writes no more.
        let length = unsafe { libc::msgrcv(self.id, to, MESSAGE_MAX, 0, flags) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        Ok(message.bytes[..length].to_vec())
    }
}

/// A descriptor that becomes readable when this process ends.
///
/// # Errors
/// There is no such process.
pub fn open_process(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: pidfd_open takes and gives numbers.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let descriptor = check(descriptor as c_int)?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Whether the kernel takes messages of this length, and its queues hold one.
///
/// # Errors
/// It does not, or it does not say so in `/proc`.
pub fn check_limits(length: usize) -> io::Result<()> {
    for limit in ["/proc/sys/kernel/msgmax", "/proc/sys/kernel/msgmnb"] {
        let most = fs::read_to_string(limit)?.trim().parse::<usize>().map_err(io::Error::other)?;
        if most < length {
            let error = format!("{limit} is {most}, and messages have up to {length} bytes");
            return Err(io::Error::other(error));
        }
    }
    Ok(())
}

fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A signal is no reason to give up.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
