//! The program `unavez` as a person would type it: real processes on loopback.

#[cfg(feature = "bench")]
mod bench;
mod call;
mod demo;
mod exposition;
mod look;
mod pages;
mod serve;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn unavez(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unavez"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
fn run(words: &[&str]) -> Done {
    done(unavez(words).spawn().unwrap())
}

/// Runs it to its end with this as its input.
fn run_with(words: &[&str], input: &[u8]) -> Done {
    let mut child = unavez(words).stdin(Stdio::piped()).spawn().unwrap();
    // It may refuse before it reads.
    let _ = child.stdin.take().unwrap().write_all(input);
    done(child)
}

/// Waits for its end, and sees to it that it comes: what should have ended and serves is killed.
fn done(child: Child) -> Done {
    let pid = Pid::from_raw(child.id() as i32);
    let (ended, wait) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if wait.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    watch.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// What it said, and its exit code.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    /// Exactly this, and nothing on the standard error.
    #[track_caller]
    fn is(&self, code: i32, out: &str) {
        assert_eq!((self.code, &*self.out, &*self.err), (Some(code), out, ""));
    }

    /// One line on the standard error that holds this.
    #[track_caller]
    fn fails(&self, code: i32, part: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(part) && self.err.lines().count() == 1, "{self:?}");
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A server that does not outlive the test.
struct Serving {
    child: Child,
    /// What it printed: where it listens.
    url: String,
}

impl Serving {
    /// `unavez serve` with these words, at a port that is free.
    fn start(words: &[&str]) -> Serving {
        Serving::start_at("127.0.0.1:0", words)
    }

    fn start_at(listen: &str, words: &[&str]) -> Serving {
        Serving::spawn(&mut unavez(&[&["serve", "--listen", listen], words].concat()))
    }

    fn spawn(command: &mut Command) -> Serving {
        let mut serving = Serving { child: command.spawn().unwrap(), url: String::new() };
        let mut out = BufReader::new(serving.child.stdout.as_mut().unwrap());
        out.read_line(&mut serving.url).unwrap();
        serving.url.truncate(serving.url.trim_end().len());
        serving
    }

    /// Where it listens: `127.0.0.1:40000`.
    fn address(&self) -> &str {
        self.url.strip_prefix("unavez://").unwrap().split('/').next().unwrap()
    }

    /// The URL of its site.
    fn site(&self) -> String {
        format!("unavez://{}", self.address())
    }

    fn call(&self, words: &[&str]) -> Done {
        run(&[&["call", &*self.url], words].concat())
    }

    /// Tells it to stop, and waits until it has.
    fn stop(mut self, by: Signal) -> Done {
        signal(&self.child, by);
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Done { code: self.child.wait().unwrap().code(), out, err }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

#[test]
fn mistakes_are_said_in_one_line() {
    // Each command line is wrong in one way: exit code 2, and a line that says what is allowed.
    for (line, part) in [
        ("srve", "allowed: serve, call, ping, stat, ps, trace, demo, "),
        ("serve", "allowed: echo, bank, or -- COMMAND"),
        ("serve ech", "allowed: echo, bank, or -- COMMAND ARGS"),
        ("serve -- nosuchcmd", "nosuchcmd: no such program in $PATH"),
        ("serve -- /etc/passwd", "/etc/passwd: not a program that may be run"),
        ("serve --attach d/sock echo", "is --attach=d/sock meant?"),
        ("call --attach d/sock unavez://127.0.0.1:7373/echo x", "is --attach=d/sock meant?"),
        ("serve --listen 7373 echo", "IP:PORT"),
        ("serve --workers 0 echo", "1..=1024"),
        ("serve --loss 3 echo", "from 0% to 100%"),
        ("serve --message-max 2GiB echo", "at least 1072 bytes and at most 1 GiB"),
        ("call --message-max 64x unavez://127.0.0.1:7373/echo", "64 MiB, 10 MB"),
        ("serve --message-max 1MiB --attach echo", "cannot be used with"),
        ("serve --drop 0 echo", "counted from 1"),
        ("serve --nme x echo", "is --name meant?"),
        ("serve bank --ledger /", "/: "),
        ("serve --state /proc/nowhere echo", "/proc/nowhere"),
        ("call", "<URL>"),
        ("call http://127.0.0.1:7373/echo x", "unavez://HOST:PORT/NAME"),
        ("call 127.0.0.1:7373/echo x", "unavez://HOST:PORT/NAME"),
        ("call unavez://127.0.0.1/echo x", "unavez://HOST:PORT/NAME"),
        ("call unavez://127.0.0.1:7373 x", "the name of the service is missing"),
        ("call unavez://127.0.0.1:0/echo x", "a number from 1 to 65535"),
        ("call unavez://nowhere.invalid:7373/echo x", "nowhere.invalid"),
        ("call unavez://127.0.0.1:7373/echo --file /nowhere", "/nowhere"),
        ("call unavez://127.0.0.1:7373/echo x --file y", "cannot be used with"),
        ("call unavez://127.0.0.1:7373/echo x --timeout 5", "500us, 200ms, 5s"),
        ("call unavez://127.0.0.1:7373/echo x --frobnicate", "--timeout, --idempotent, --ordered"),
        ("ping unavez://127.0.0.1:7373 -c 0", "0 is not in 1.."),
        ("ping unavez://127.0.0.1:7373 -i 0s", "the shortest is 1ms"),
        ("stat unavez://127.0.0.1:seven", "a number from 1 to 65535"),
        ("stat --watch unavez://127.0.0.1:7373", "write the URL first, `stat URL --watch`"),
        ("stat unavez://127.0.0.1:7373 --socket /x", "cannot be used with"),
        ("stat --prometheus --watch", "cannot be used with"),
        ("ps --watch", "allowed: --socket, --json, --help"),
        ("trace --for 5", "500us, 200ms, 5s"),
        ("demo --calls none", "not a whole number"),
        ("demo --kills 1001", "0..=1000"),
        ("completions tcsh", "possible values: bash"),
        ("man /nowhere", "/nowhere"),
    ] {
        let done = run(&line.split(' ').collect::<Vec<_>>());
        done.fails(2, part);
        assert_eq!(done.out, "", "{line}");
    }
    // What is no text is no mistake of the program.
    let done = done(unavez(&["ping"]).arg(OsStr::from_bytes(b"\xff")).spawn().unwrap());
    done.fails(2, "invalid UTF-8");
}
