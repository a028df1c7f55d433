//! Network namespaces of the bench's own, where nobody else sends and all settings are known.
//!
//! Invariant: a namespace is held by a descriptor and by the processes in it, never by a name, so it
//! vanishes with them, however they end.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{getegid, geteuid};

use crate::Result;

/// A network namespace.
pub(super) struct Space(File);

/// This process, and those that it starts, are in a network of their own from here on and may make
/// others, and no System V queue of theirs is left behind. It must have one thread only.
///
/// Root may; anybody else may as the root of a user namespace, where the system allows these. An error
/// says why not, and nothing has changed.
pub(super) fn become_able() -> std::result::Result<(), String> {
    run("ip", &["-V"]).map_err(|error| error.to_string())?;
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC;
    if unshare(own).is_ok() {
        return Ok(());
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | own)
        .map_err(|error| format!("this user may not make namespaces ({error})"))?;
    let map = |file: &str, map: &str| {
        fs::write(format!("/proc/self/{file}"), map).map_err(|error| format!("{file}: {error}"))
    };
    map("setgroups", "deny")?;
    map("uid_map", &format!("0 {user} 1"))?;
    map("gid_map", &format!("0 {group} 1"))
}

impl Space {
    /// Where this thread is.
    pub(super) fn here() -> io::Result<Space> {
        Ok(Space(File::open("/proc/thread-self/ns/net")?))
    }

    /// One that another process holds.
    pub(super) fn at(path: &str) -> io::Result<Space> {
        Ok(Space(File::open(path)?))
    }

    /// A new one, with its loopback up and what all contenders may use allowed.
    pub(super) fn new() -> Result<Space> {
        let back = Space::here()?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        let made = Space::here();
        back.enter()?;
        let space = Space(made?.0);
        space.within(|| run("ip", &["link", "set", "lo", "up"]))?;
        // Nobody speaks by himself. A kernel without IPv6 does not.
        for devices in ["all", "default"] {
            let path = format!("/proc/sys/net/ipv6/conf/{devices}/disable_ipv6");
            let _ = space.within(|| Ok(fs::write(path, "1")?));
        }
        // Fast Open for clients and servers; where it may not be set, it says so itself.
        let _ = space.within(|| Ok(fs::write("/proc/sys/net/ipv4/tcp_fastopen", "3")?));
        Ok(space)
    }

    /// Does it there; processes that are started there stay.
    pub(super) fn within<T>(&self, does: impl FnOnce() -> Result<T>) -> Result<T> {
        let back = Space::here()?;
        self.enter()?;
        let done = does();
        back.enter()?;
        done
    }

    /// Where other processes find it as long as it is here.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }
}

/// Runs one of the tools that set up networks; an error says what it said, or what to install.
pub(super) fn run(tool: &str, words: &[&str]) -> Result<()> {
    let done = match Command::new(tool).args(words).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("`{tool}` is missing: install the package iproute2").into());
        }
        done => done?,
    };
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let first = said.lines().next().unwrap_or_default();
    Err(format!("`{tool} {}`: {first}", words.join(" ")).into())
}
