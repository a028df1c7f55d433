//! Real daemons and real processes, each test with state directories and queues of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use step6_daemon::ipc::noted::{Noted, clean};

/// No process of a test lives so long, unless one waits for the other for ever.
const LIFE_MAX: Duration = Duration::from_secs(120);

/// Any process of a test; killed when it is dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// The first line that it printed.
    pub(crate) first: String,
    /// `None` when nobody reads it.
    pub(crate) output: Option<BufReader<ChildStdout>>,
    _lives: mpsc::Sender<()>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let _lives = limit(Pid::from_raw(child.id() as i32));
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        Process { child, first: first.trim().into(), output: Some(output), _lives }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in good order; its last line.
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::SIGTERM);
        self.last_line()
    }

    pub(crate) fn last_line(&mut self) -> String {
        self.lines().pop().unwrap_or_default()
    }

    /// What it prints until it ends well.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let lines: Vec<String> =
            self.output.take().unwrap().lines().map_while(Result::ok).collect();
        assert!(self.child.wait().unwrap().success(), "{lines:?}");
        lines
    }
}

/// All processes of all tests.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Kills a process that lives too long. Whatever its test waits for then ends: the lines that it prints, and all
/// that the library waits for, because it sees the daemon die. So the test fails, and says where.
fn limit(process: Pid) -> mpsc::Sender<()> {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let (lives, ended) = mpsc::channel();
    RUNNING.lock().unwrap().push(process);
    thread::spawn(move || {
        let is_over = || ended.recv_timeout(LIFE_MAX) == Err(RecvTimeoutError::Timeout);
        if is_over() {
            eprintln!("{test} does not end, so process {process} is killed");
            let _ = kill(process, Signal::SIGKILL);
        }
        if is_over() {
            eprintln!("{test} does not end without it either");
            for process in RUNNING.lock().unwrap().drain(..) {
                let _ = kill(process, Signal::SIGKILL);
            }
            std::process::exit(1);
        }
    });
    lives
}

impl Drop for Process {
    fn drop(&mut self) {
        RUNNING.lock().unwrap().retain(|process| *process != self.pid());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn ipcd(state: &Path, flags: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipcd"));
    command.args(["--listen", "127.0.0.1:0", "--state"]).arg(state).args(flags);
    let daemon = Process::start(&mut command);
    assert!(daemon.first.starts_with("listening on "), "{}", daemon.first);
    daemon
}

/// A state directory. When it is dropped, so are the queues that are noted in it: exactly the test's own.
pub(crate) struct State(tempfile::TempDir);

impl State {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = clean(self.path());
    }
}

/// A state directory; `None`, with a word about it, where the kernel gives no queues.
pub(crate) fn state() -> Option<State> {
    let state = State(tempfile::tempdir().unwrap());
    match Noted::make(state.path()) {
        Ok(_) => Some(state),
        Err(error) => {
            println!("skipped: no System V queues here: {error}");
            None
        }
    }
}

/// The keys of the queues that are noted in this state directory.
pub(crate) fn notes(state: &Path) -> Vec<u32> {
    let notes = fs::read_dir(state.join("queues")).unwrap();
    let names = notes.map(|note| note.unwrap().file_name().into_string().unwrap());
    names.map(|name| u32::from_str_radix(&name, 16).unwrap()).collect()
}

/// How many of these queues the kernel has.
pub(crate) fn count(keys: &[u32]) -> usize {
    let table = fs::read_to_string("/proc/sysvipc/msg").unwrap();
    let key = |line: &str| line.split_whitespace().next()?.parse::<i32>().ok().map(|it| it as u32);
    table.lines().filter_map(key).filter(|key| keys.contains(key)).count()
}

/// Waits, for what another process does, ten seconds at most.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_micros(100));
    }
}

pub(crate) fn example(name: &str) -> PathBuf {
    let [path] = lab::examples::examples([name]).unwrap();
    path
}
