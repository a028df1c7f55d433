//! The channel from both sides: hostile ones, full ones, sleeping ones.

mod channel;
mod handshake;
mod hostile;
mod long;
mod parts;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::exit;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, fork, setgid, setgroups, setuid};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::bell::Bell;
use super::queues::Queues;
use super::shm::Shm;
use super::{Channel, noted};

/// Both sides of a channel: the daemon's, then the process's.
type Sides = (Box<dyn Channel>, Box<dyn Channel>);

fn shm() -> Sides {
    let (daemon, memory) = Shm::make().unwrap();
    (Box::new(daemon), Box::new(Shm::open(&memory).unwrap()))
}

fn sysv(state: &Path) -> Sides {
    noted::clean(state).unwrap();
    let me = Uid::effective().as_raw();
    let (daemon, memory, names) = Queues::make(state, me).unwrap();
    (Box::new(daemon), Box::new(Queues::open(&memory, names).unwrap()))
}

/// Channels of each kind.
fn each(test: impl Fn(Sides)) {
    let state = tempfile::tempdir().unwrap();
    test(shm());
    test(sysv(state.path()));
}

fn bells() -> (Bell, Bell) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let (one, other): (OwnedFd, OwnedFd) = pair;
    (Bell::new(one), Bell::new(other))
}

/// Another user than the one who runs the tests.
const NOBODY: u32 = 65534;

/// Runs this in a child that is another user, and says whether it held. `None` if only root could.
#[allow(unsafe_code)]
fn as_nobody(holds: impl FnOnce() -> io::Result<bool>) -> Option<bool> {
    if !Uid::effective().is_root() {
        println!("skipped: only root can become another user");
        return None;
    }
    // SAFETY: the child of a process with threads makes system calls and little else, in functions
    // that take no lock that another thread may hold but the allocator's, which libc keeps whole.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let become_nobody = || {
                setgroups(&[])?;
                setgid(Gid::from_raw(NOBODY))?;
                setuid(Uid::from_raw(NOBODY))
            };
            let held = become_nobody().is_ok() && holds().unwrap_or(false);
            exit(if held { 0 } else { 1 })
        }
        ForkResult::Parent { child } => {
            Some(matches!(waitpid(child, None).unwrap(), WaitStatus::Exited(_, 0)))
        }
    }
}

/// Numbers below another, which look random.
fn noise() -> impl FnMut(u64) -> u64 {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise % below
    }
}
