//! The daemon as a program: how it starts, what it leaves behind, what it does when it is idle, what the
//! tools show of it, and what users see of each other.

mod attach;
mod chapter;
#[path = "../cli/exposition.rs"]
mod exposition;
mod hostile;
mod idle;
mod life;
mod lives;
mod program;
mod tools;
mod users;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A directory for a daemon, one life after the other.
struct Place(TempDir);

/// A daemon that runs; it is stopped when it is dropped.
struct Daemon {
    child: Child,
    line: String,
    _stdout: BufReader<ChildStdout>,
}

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("run").join("unavezd.sock")
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn command(&self, flags: &[&str]) -> Command {
        self.command_at(&self.socket(), flags)
    }

    fn command_at(&self, socket: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unavezd"));
        command.arg("--state").arg(self.state()).arg("--socket").arg(socket);
        command.args(["--listen", "127.0.0.1:0"]).args(flags).stdin(Stdio::null());
        command
    }

    fn start(&self, flags: &[&str]) -> Daemon {
        let mut child = self.command(flags).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdout, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        stdout.read_line(&mut line).unwrap();
        Daemon { child, line, _stdout: stdout }
    }

    fn fails(&self, flags: &[&str]) -> String {
        fails(self.command(flags))
    }

    /// Another process, that says hello and nothing else; through queues, if it is odd.
    fn attach(&self, number: u8) -> OwnedFd {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        connect(&socket, &SocketAddrUnix::new(self.socket()).unwrap()).unwrap();
        let hello = [&b"UVld\0\x03\0\0\0"[..], &[number % 2]].concat();
        send(&socket, &hello, SendFlags::NOSIGNAL).unwrap();
        let mut greeting = [0; 300];
        let (len, _) = recv(&socket, &mut greeting, RecvFlags::empty()).unwrap();
        assert_eq!(greeting[6..10], [0; 4], "welcome: {:?}", &greeting[..len]);
        socket
    }
}

/// A daemon that does not start: what it says.
fn fails(mut command: Command) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{said}");
    said
}

impl Daemon {
    fn address(&self) -> SocketAddr {
        let rest = self.line.strip_prefix("unavezd: ").expect("it says where it listens");
        rest.split(',').next().unwrap().parse().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn signal(&mut self, signal: Signal) -> ExitStatus {
        kill(self.pid(), signal).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It removes its queues.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(self.pid(), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "it does not come to hold");
        thread::sleep(Duration::from_millis(5));
    }
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}
