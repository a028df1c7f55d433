//! What a process tries that wants to see or say what is another's: each attempt, and how it ended.

#![allow(unsafe_code)]

use std::fmt::Write;
use std::fs::{File, OpenOptions, read_dir};
use std::io;
use std::mem::zeroed;
use std::os::fd::BorrowedFd;
use std::ptr::null_mut;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

const ROOM: usize = 8192;

/// As the kernel wants a message.
#[repr(C)]
struct Message {
    kind: c_long,
    bytes: [u8; ROOM],
}

/// The files of a process under `/proc`, and each of its descriptors.
pub(super) fn on_process(pid: i32) -> String {
    let mut said = String::new();
    let of_it = |name: &str| format!("/proc/{pid}/{name}");
    tell(&mut said, "fd", read_dir(of_it("fd")).map(drop));
    tell(&mut said, "map_files", read_dir(of_it("map_files")).map(drop));
    tell(&mut said, "mem", OpenOptions::new().read(true).open(of_it("mem")).map(drop));
    tell(&mut said, "descriptors", take_descriptors(pid));
    said
}

/// A copy of one of them is enough; and why there is none.
fn take_descriptors(pid: i32) -> io::Result<()> {
    let process = pidfd_open(Pid::from_raw(pid).expect("it is one"), PidfdFlags::empty())?;
    let process: BorrowedFd<'_> = rustix::fd::AsFd::as_fd(&process);
    let mut why = Ok(());
    for number in 0..64 {
        match pidfd_getfd(process, number, PidfdGetfdFlags::empty()) {
            Ok(descriptor) => {
                drop(File::from(descriptor));
                return Ok(());
            }
            Err(error) => why = Err(error.into()),
        }
    }
    why
}

/// Everything that can be done with a queue.
pub(super) fn on_queue(queue: c_int) -> String {
    let mut said = look_at_queue(queue);
    let mut message = Message { kind: 1, bytes: [0; ROOM] };
    let to = (&raw mut message).cast();
    // SAFETY: the kernel writes at most ROOM bytes behind the type.
    let got = unsafe { libc::msgrcv(queue, to, ROOM, 0, libc::IPC_NOWAIT) };
    tell(&mut said, "receive", check(got));
    let flags = libc::IPC_NOWAIT | libc::MSG_COPY;
    // SAFETY: as above.
    let got = unsafe { libc::msgrcv(queue, to, ROOM, 0, flags) };
    tell(&mut said, "peek", check(got));
    // SAFETY: the kernel reads the type and six bytes.
    let sent = unsafe { libc::msgsnd(queue, to, 6, libc::IPC_NOWAIT) };
    tell(&mut said, "send", check(sent as isize));
    // SAFETY: all-zero bytes are a valid msqid_ds, which is numbers only.
    let mut status: libc::msqid_ds = unsafe { zeroed() };
    status.msg_perm.mode = 0o666;
    // SAFETY: IPC_SET reads one msqid_ds.
    let set = unsafe { libc::msgctl(queue, libc::IPC_SET, &raw mut status) };
    tell(&mut said, "set", check(set as isize));
    // SAFETY: IPC_RMID does not look at the pointer.
    let removed = unsafe { libc::msgctl(queue, libc::IPC_RMID, null_mut()) };
    tell(&mut said, "remove", check(removed as isize));
    said
}

/// What its owner can do without harm.
pub(super) fn look_at_queue(queue: c_int) -> String {
    let mut said = String::new();
    // SAFETY: all-zero bytes are a valid msqid_ds, which is numbers only.
    let mut status: libc::msqid_ds = unsafe { zeroed() };
    // SAFETY: IPC_STAT writes one msqid_ds.
    let looked = unsafe { libc::msgctl(queue, libc::IPC_STAT, &raw mut status) };
    tell(&mut said, "status", check(looked as isize));
    said
}

fn check(result: isize) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn tell(said: &mut String, what: &str, done: io::Result<()>) {
    let end = match done {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap_or(0))),
    };
    let _ = writeln!(said, "{what}: {end}");
}
