use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Place, until};

/// A tool that serves until it is dropped.
pub(super) struct Serving {
    child: Child,
    pub(super) url: String,
}

impl Place {
    /// `unavez` at the daemon here.
    fn attached(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unavez"));
        command.args(words).arg(format!("--attach={}", self.socket().display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `unavez serve` of an echo by this name, with one worker.
    pub(super) fn serve(&self, name: &str) -> Serving {
        let mut command = self.attached(&["serve", "--workers", "1", "--name", name]);
        let mut child = command.arg("echo").spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("unavez://"), "{:?}", child.wait_with_output());
        Serving { child, url: url.trim_end().into() }
    }

    fn call(&self, url: &str) -> Output {
        self.attached(&["call", url, "hello", "--timeout", "10s"]).output().unwrap()
    }
}

impl Serving {
    pub(super) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = kill(self.pid(), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// A service and a call from a shell, through one daemon; it is killed and comes back, and both work on
/// without a word.
#[test]
fn tools_are_attached() {
    let place = Place::new();
    let mut daemon = place.start(&[]);
    let service = place.serve("echo");
    let reply = place.call(&service.url);
    assert_eq!((reply.status.code(), &reply.stdout[..]), (Some(0), &b"hello"[..]), "{reply:?}");

    daemon.signal(Signal::SIGKILL);
    let next = place.start(&[]);
    let url = format!("unavez://{}/echo", next.address());
    until(|| place.call(&url).status.code() == Some(0));
}

/// Without a daemon the tool says so in one line, and what to do.
#[test]
fn no_daemon_is_said() {
    let place = Place::new();
    let said = place.call("unavez://127.0.0.1:1/echo");
    let text = String::from_utf8(said.stderr).unwrap();
    assert_eq!((said.status.code(), text.lines().count()), (Some(3), 1), "{text}");
    assert!(text.contains("start `unavezd`") && text.contains("--attach=PATH"), "{text}");
}
