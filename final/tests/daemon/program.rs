//! The program of the book's chapter on the daemon, as a process: this test program once more.

#[path = "../../examples/unavez-anywhere.rs"]
#[allow(dead_code)]
mod anywhere;

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio, exit};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Place;

/// What it is told to do.
const WORDS: &str = "UNAVEZ_TEST_WORDS";

/// It runs; it is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    says: BufReader<ChildStderr>,
}

impl Program {
    /// At the daemon's site, or at one of its own.
    pub(super) fn start(place: &Place, attached: bool, words: &str) -> Program {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "program::is_the_program", "--nocapture"]).env(WORDS, words);
        command.env("UNAVEZ_SOCKET", place.socket()).stdin(Stdio::null()).stdout(Stdio::null());
        command.env_remove("UNAVEZ_ATTACH");
        if attached {
            command.env("UNAVEZ_ATTACH", "1");
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let says = BufReader::new(child.stderr.take().unwrap());
        Program { child, says }
    }

    /// The next line that it prints; empty at its end.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No test of its own: what the process does.
#[test]
fn is_the_program() {
    let Ok(words) = env::var(WORDS) else { return };
    let words: Vec<&str> = words.split(' ').collect();
    // The standard output is the test harness's.
    if let Err(error) = anywhere::run(&words, &mut std::io::stderr()) {
        eprintln!("{error}");
    }
    exit(0);
}
