use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, geteuid};
use serde_json::Value;
use unavez::protocol::{IpcPort, SiteRequest};
use unavez::{IpcClient, RawMsg, Site};

use super::{Daemon, LONG, Place, exposition, until};

impl Place {
    pub(super) fn tool(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unavez"));
        command.args(words).arg("--socket").arg(self.socket());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end, which is a good one.
    pub(super) fn shows(&self, words: &[&str]) -> String {
        let (code, out, err) = end(self.tool(words).spawn().unwrap());
        assert_eq!((code, &*err), (Some(0), ""));
        out
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.shows(words)).unwrap()
    }

    /// The processes that are attached, beside the one that asks.
    fn processes(&self) -> Vec<Value> {
        self.json(&["ps", "--json"])["processes"].as_array().unwrap().clone()
    }
}

/// What it said until its end, which is less than a pipe holds.
fn end(mut child: Child) -> (Option<i32>, String, String) {
    until(|| child.try_wait().unwrap().is_some());
    let done = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

/// `unavez trace`, and what it prints.
struct Tracing {
    child: Child,
    lines: Receiver<String>,
}

impl Tracing {
    /// It watches: it has shown one of these calls.
    fn start(place: &Place, caller: &Caller) -> Tracing {
        let mut child = place.tool(&["trace"]).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = mpsc::channel();
        thread::spawn(move || {
            let all = out.lines().map_while(Result::ok);
            all.take_while(|it| line.send(it.clone()).is_ok()).for_each(drop);
        });
        let tracing = Tracing { child, lines };
        until(|| {
            caller.call("first");
            tracing.lines.try_iter().any(|line| line.contains("first"))
        });
        tracing
    }

    /// The next line that has this in it.
    fn line_with(&self, part: &str) -> String {
        let end = Instant::now() + LONG;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(error) => panic!("{part}: {error}"),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits until it ends by itself.
    fn end(mut self) -> (Option<i32>, String) {
        until(|| self.child.try_wait().unwrap().is_some());
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), err)
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A site that asks the daemon for an echo.
struct Caller(IpcClient);

impl Caller {
    fn new(daemon: &Daemon) -> Caller {
        let site = Site::embedded().unwrap();
        Caller(IpcClient::new(&site, IpcPort::site_at(daemon.address())))
    }

    fn call(&self, text: &str) {
        let ping = SiteRequest::Ping(text.into()).encode();
        self.0.call(RawMsg::new(ping).idempotent()).unwrap();
    }
}

/// Two processes are attached, one of them through queues: a line and an object for each, as long as
/// they are there.
#[test]
fn ps_shows_who_is_attached() {
    let place = Place::new();
    let _daemon = place.start(&["--log", "error"]);
    let attached = [place.attach(0), place.attach(1)];
    until(|| place.processes().len() == 2);
    let (pid, user) = (std::process::id(), geteuid().as_raw());
    for (process, channel) in place.processes().iter().zip(["shm", "sysv"]) {
        assert_eq!((&process["pid"], &process["user"]), (&pid.into(), &user.into()));
        assert_eq!((&process["channel"], &process["calls"]), (&channel.into(), &0.into()));
    }
    let (table, of_stat) = (place.shows(&["ps"]), place.shows(&["stat"]));
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("PROCESS  ") && lines.len() == 3, "{table}");
    for (line, channel) in lines[1..].iter().zip(["shm", "sysv"]) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1..7], [&*pid.to_string(), &user.to_string(), channel, "0", "0", "0"]);
        assert!(of_stat.contains(line.split("  ").nth(1).unwrap()), "{of_stat}");
    }
    drop(attached);
    until(|| place.processes().is_empty());
}

/// Three calls from elsewhere: the table, the object and the text for Prometheus count them.
#[test]
fn stat_counts_what_the_daemon_does() {
    let place = Place::new();
    let daemon = place.start(&["--log", "error"]);
    let caller = Caller::new(&daemon);
    (0..3).for_each(|_| caller.call("counted"));
    let table = place.shows(&["stat"]);
    assert!(table.contains("         3  SiteAnswered  "), "{table}");
    for head in ["\nPROCESS  ", "\n   PORT  ", "\nPEER  "] {
        assert!(table.contains(head), "{table}");
    }
    let object = place.json(&["stat", "--json"]);
    assert_eq!(
        (&object["counters"]["SiteAnswered"], &object["entries"]["calls"]),
        (&3.into(), &0.into())
    );
    assert_eq!(object["address"], daemon.address().to_string());
    let read = exposition::read(&place.shows(&["stat", "--prometheus"])).unwrap();
    assert_eq!(read["unavez_site_answered_total"], 3.0);
    assert_eq!((read["unavez_processes"], read["unavez_ports"]), (0.0, 0.0));
}

/// It is looked at again and again, until Ctrl-C.
#[test]
fn stat_watches_the_daemon() {
    let place = Place::new();
    let daemon = place.start(&["--log", "error"]);
    let mut stat = place.tool(&["stat", "--watch", "10ms"]).spawn().unwrap();
    let lines = BufReader::new(stat.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut lines = lines.take(100_000);
    lines.find(|line| line.contains("+0  SiteAnswered")).unwrap();
    Caller::new(&daemon).call("more");
    lines.find(|line| line.contains("+1  SiteAnswered")).unwrap();
    kill(Pid::from_raw(stat.id().cast_signed()), Signal::SIGINT).unwrap();
    lines.for_each(drop);
    assert_eq!(end(stat), (Some(0), String::new(), String::new()));
}

/// A call goes by: its request comes, its reply leaves. Ctrl-C ends it, and the end of its time; the
/// end of the daemon is said.
#[test]
fn trace_shows_a_call() {
    let place = Place::new();
    let mut daemon = place.start(&["--log", "error"]);
    let caller = Caller::new(&daemon);
    let tracing = Tracing::start(&place, &caller);
    caller.call("seen");
    let request = tracing.line_with("seen");
    assert!(request.contains(" ms  <- 127.0.0.1:") && request.contains("REQUEST"), "{request}");
    let reply = tracing.line_with("seen");
    assert!(reply.contains(" ms  -> 127.0.0.1:") && reply.contains("REPLY"), "{reply}");
    tracing.signal(Signal::SIGINT);
    assert_eq!(tracing.end(), (Some(0), String::new()));

    assert_eq!(place.shows(&["trace", "--for", "1ms"]), "");
    let tracing = Tracing::start(&place, &caller);
    daemon.signal(Signal::SIGKILL);
    assert_eq!(tracing.end(), (Some(1), "the daemon is gone\n".into()));
}

/// Whoever read it has enough: it ends, and says nothing.
#[test]
fn trace_ends_when_nobody_reads_it() {
    let place = Place::new();
    let daemon = place.start(&["--log", "error"]);
    let caller = Caller::new(&daemon);
    let mut trace = place.tool(&["trace"]).spawn().unwrap();
    drop(trace.stdout.take());
    until(|| {
        caller.call("unread");
        trace.try_wait().unwrap().is_some()
    });
    assert_eq!(end(trace), (Some(0), String::new(), String::new()));
}

/// It is stopped in the middle: a thousand calls are answered all the same, little waits for it, and
/// when it goes on it says that it has lost some.
#[test]
fn a_stopped_trace_costs_nothing() {
    let place = Place::new();
    let daemon = place.start(&["--log", "error"]);
    let caller = Caller::new(&daemon);
    let tracing = Tracing::start(&place, &caller);
    tracing.signal(Signal::SIGSTOP);
    (0..1000).for_each(|_| caller.call("while it is stopped"));
    let processes = place.processes();
    let waiting = processes[0]["waiting"].as_u64().unwrap();
    assert!((100..200).contains(&waiting), "{processes:?}");
    tracing.signal(Signal::SIGCONT);
    let line = tracing.line_with(" lines lost");
    assert!(line.contains(" ms  … "), "{line}");
    caller.call("and on");
    tracing.line_with("and on");
}

/// Another user whom the daemon serves sees how it is, and nothing of others; one whom it does not serve
/// is told so.
#[test]
fn another_user_is_refused() {
    if !Uid::effective().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let place = Place::new();
    let _daemon = place.start(&["--log", "error", "--allow-user", "65534"]);
    // Where the other user can reach them.
    let tool = place.0.path().join("unavez");
    fs::copy(env!("CARGO_BIN_EXE_unavez"), &tool).unwrap();
    for path in [place.0.path(), place.socket().parent().unwrap(), &tool] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let run = |user: u32, words: &[&str]| {
        let mut command = Command::new(&tool);
        command.args(words).arg("--socket").arg(place.socket()).uid(user).gid(user);
        end(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    let refused =
        "user 65534 may not see the processes and calls of this daemon; root and user 0 may";
    for words in [&["ps"][..], &["ps", "--json"], &["trace"]] {
        assert_eq!(run(65534, words), (Some(1), String::new(), format!("{refused}\n")));
    }
    let (code, out, err) = run(65534, &["stat"]);
    assert_eq!((code, &*err), (Some(0), ""));
    assert!(out.contains("  SiteAnswered  "), "{out}");
    assert!(out.contains(&format!("\nprocesses and ports: {refused}\n")), "{out}");
    let (_, out, _) = run(65534, &["stat", "--json"]);
    let object: Value = serde_json::from_str(&out).unwrap();
    assert!(object["processes"].is_null() && object["peers"].is_array(), "{out}");
    let (_, out, _) = run(65534, &["stat", "--prometheus"]);
    let read = exposition::read(&out).unwrap();
    assert!(!read.contains_key("unavez_processes") && read.contains_key("unavez_calls"));
    for words in [&["ps"][..], &["stat"], &["trace"]] {
        let (code, out, err) = run(65533, words);
        assert_eq!((code, &*out), (Some(1), ""));
        assert!(err.starts_with("the daemon does not serve user 65533; see its options"), "{err}");
    }
}
