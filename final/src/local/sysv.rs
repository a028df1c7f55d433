//! System V message queues with a safe face: nix and rustix have none.
//!
//! Invariant: no function here can be misused to break memory.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, c_long, c_void};

/// For its owner alone: with any more, another user could read and forge.
const MODE: c_int = 0o600;
/// All messages are of one type; the kernel wants it above 0.
const TYPE: c_long = 1;
/// The longest message that is sent or taken, in bytes, and one more, so that a longer one is seen.
const ROOM: usize = super::MESSAGE_MAX + 1;

/// The kernel's name for a queue. It may have been removed, and then every use is an error; and names
/// come round again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    id: i32,
}

/// What the kernel says of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// The key that it was made with.
    pub(crate) key: u32,
    /// The user who made it.
    pub(crate) maker: u32,
    /// The user who owns it.
    pub(crate) owner: u32,
    /// Who may do what, as for a file.
    pub(crate) mode: u32,
}

/// As the kernel wants a message: its type, then its bytes.
#[repr(C)]
struct Message {
    kind: c_long,
    bytes: [u8; ROOM],
}

impl Queue {
    /// Makes a queue with this key, which only this user can use.
    pub(crate) fn make(key: u32) -> io::Result<Queue> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | MODE;
        // SAFETY: msgget takes and gives numbers.
        check(unsafe { libc::msgget(key as i32, flags) }).map(|id| Queue { id })
    }

    /// Finds the queue with this key.
    pub(crate) fn find(key: u32) -> io::Result<Queue> {
        // SAFETY: msgget takes and gives numbers.
        check(unsafe { libc::msgget(key as i32, 0) }).map(|id| Queue { id })
    }

    /// The queue of this number.
    pub(crate) fn of_id(id: i32) -> Queue {
        Queue { id }
    }

    /// Its number, as in `/proc/sysvipc/msg`.
    pub(crate) fn id(self) -> i32 {
        self.id
    }

    /// Makes this user its owner, who may use it beside its maker.
    pub(crate) fn give(self, user: u32) -> io::Result<()> {
        let mut status = self.stat()?;
        status.msg_perm.uid = user;
        status.msg_perm.mode = MODE as _;
        // SAFETY: IPC_SET reads one msqid_ds, and `status` is one.
        check(unsafe { libc::msgctl(self.id, libc::IPC_SET, &raw mut status) }).map(drop)
    }

    /// Puts a message of two halves in; `false` if there is no room.
    pub(crate) fn try_send(self, head: &[u8], body: &[u8]) -> io::Result<bool> {
        let mut message = MaybeUninit::<Message>::uninit();
        let len = head.len().saturating_add(body.len());
        if len > ROOM {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let to = message.as_mut_ptr();
        // SAFETY: `to` is a whole message, only its bytes may be uninitialised, which are raw bytes
        // here; both halves together are no more than there is room for, and elsewhere.
        unsafe {
            (*to).kind = TYPE;
            let bytes: *mut u8 = (&raw mut (*to).bytes).cast();
            ptr::copy_nonoverlapping(head.as_ptr(), bytes, head.len());
            ptr::copy_nonoverlapping(body.as_ptr(), bytes.add(head.len()), body.len());
        }
        let from: *const c_void = to.cast();
        let sent = retry(|| {
            // SAFETY: `from` is a type and at least `len` bytes that were written above, and the kernel
            // reads no more.
            check(unsafe { libc::msgsnd(self.id, from, len, libc::IPC_NOWAIT) })
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Takes the first message out, into the buffer; `false` if there is none. One that is too long
    /// comes cut, and still is longer than any may be.
    pub(crate) fn try_receive(self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        buffer.clear();
        let mut message = MaybeUninit::<Message>::uninit();
        let to: *mut c_void = message.as_mut_ptr().cast();
        // Not cut, a message over the limit would be refused again and again, and never leave.
        let flags = libc::IPC_NOWAIT | libc::MSG_NOERROR;
        // SAFETY: `to` has room for a type and ROOM bytes, and the kernel writes no more.
        let taken = retry(|| match unsafe { libc::msgrcv(self.id, to, ROOM, 0, flags) } {
            -1 => Err(io::Error::last_os_error()),
            length => Ok(length as usize),
        });
        match taken {
            Ok(length) => {
                let from: *const u8 = (&raw const message).cast::<u8>();
                // SAFETY: the kernel wrote so many bytes behind the type, and at most ROOM.
                let bytes = unsafe {
                    let start = from.add(std::mem::offset_of!(Message, bytes));
                    std::slice::from_raw_parts(start, length)
                };
                buffer.extend_from_slice(bytes);
                Ok(true)
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOMSG) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the kernel says of it.
    pub(crate) fn status(self) -> io::Result<Status> {
        let status = self.stat()?;
        Ok(Status {
            key: status.msg_perm.__key as u32,
            maker: status.msg_perm.cuid,
            owner: status.msg_perm.uid,
            mode: status.msg_perm.mode.into(),
        })
    }

    /// Removes it.
    pub(crate) fn remove(self) -> io::Result<()> {
        // SAFETY: IPC_RMID does not look at the pointer.
        check(unsafe { libc::msgctl(self.id, libc::IPC_RMID, ptr::null_mut()) }).map(drop)
    }

    fn stat(self) -> io::Result<libc::msqid_ds> {
        // SAFETY: all-zero bytes are a valid msqid_ds, which is numbers only.
        let mut status: libc::msqid_ds = unsafe { std::mem::zeroed() };
        // SAFETY: IPC_STAT writes one msqid_ds, and `status` is one.
        check(unsafe { libc::msgctl(self.id, libc::IPC_STAT, &raw mut status) })?;
        Ok(status)
    }
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
