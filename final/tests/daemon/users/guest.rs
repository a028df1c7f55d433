//! A process of a user, which is this test program once more: what it is told to do it finds in its
//! environment, and what comes of it it says on its standard error stream.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio, exit};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use unavez::attached::{Kind, Options};
use unavez::{IpcClient, IpcServer, RawMsg, Site};

use super::super::LONG;
use super::spy;

const TASK: &str = "UNAVEZ_TEST_TASK";

/// As whom a process runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) id: u32,
    pub(super) group: u32,
    pub(super) groups: &'static [u32],
}

impl User {
    /// With a group of its own, and in no other.
    pub(super) const fn new(id: u32) -> User {
        User { id, group: id, groups: &[] }
    }

    /// The command will be its process.
    #[allow(unsafe_code)]
    pub(super) fn runs(&self, command: &mut Command) {
        let User { id, group, groups } = *self;
        let groups: Vec<Gid> = groups.iter().map(|id| Gid::from_raw(*id)).collect();
        let become_it = move || {
            setgroups(&groups)?;
            setgid(Gid::from_raw(group))?;
            setuid(Uid::from_raw(id))?;
            Ok(())
        };
        // SAFETY: between fork and exec it makes three system calls and takes no lock.
        unsafe { command.pre_exec(become_it) };
    }
}

/// The command will be a process that sees no queues but its own, as in a container.
#[allow(unsafe_code)]
pub(super) fn sees_no_queues(command: &mut Command) {
    let leave = || Ok(unshare(CloneFlags::CLONE_NEWIPC)?);
    // SAFETY: between fork and exec it makes a system call and takes no lock.
    unsafe { command.pre_exec(leave) };
}

/// It runs; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    child: Child,
    says: BufReader<ChildStderr>,
}

impl Guest {
    /// One that serves has said that it does.
    pub(super) fn start(mut command: Command, task: &str) -> Guest {
        command.args(["--exact", "users::guest::does_its_task", "--nocapture"]).env(TASK, task);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut says = BufReader::new(child.stderr.take().unwrap());
        if task.starts_with("serve") {
            let mut line = String::new();
            says.read_line(&mut line).unwrap();
            assert_eq!(line, "serves\n");
        }
        Guest { child, says }
    }

    /// The next line that it says.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it says, to its end.
    pub(super) fn says(mut self) -> String {
        super::read_all(&mut self.says)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No test of its own: what the processes do that the tests start.
#[test]
fn does_its_task() {
    let Ok(task) = env::var(TASK) else { return };
    let words: Vec<&str> = task.split(' ').collect();
    let done = match words[..] {
        ["call", channel] => call(channel),
        ["serve", channel, name] => serve(channel, name),
        ["ask", name] => ask(name),
        ["lock", path] => lock(path),
        ["spy", "on", "process", pid] => Ok(spy::on_process(pid.parse().unwrap())),
        ["spy", "on", "queue", queue] => Ok(spy::on_queue(queue.parse().unwrap())),
        ["look", "at", "queue", queue] => Ok(spy::look_at_queue(queue.parse().unwrap())),
        _ => Err(format!("what is \"{task}\"?")),
    };
    let (Ok(said) | Err(said)) = done;
    eprintln!("{}", said.trim_end());
    exit(0);
}

fn attach(channel: &str) -> Result<Site, String> {
    let channel = if channel == "sysv" { Kind::Sysv } else { Kind::Shm };
    let options = Options { channel, ..Options::default() };
    Site::attach_with(options).map_err(|error| error.to_string())
}

/// Asks itself something, through the daemon.
fn call(channel: &str) -> Result<String, String> {
    let site = attach(channel)?;
    let server = IpcServer::new(&site).map_err(|error| error.to_string())?;
    let client = IpcClient::new(&site, server.port());
    thread::spawn(move || {
        while let Ok((request, id)) = server.receive_request() {
            let _ = server.send_reply(request, id);
        }
    });
    hello(&client)
}

/// Serves until it is killed, or whoever started it is gone.
fn serve(channel: &str, name: &str) -> Result<String, String> {
    let site = attach(channel)?;
    let server = IpcServer::new(&site).map_err(|error| error.to_string())?;
    server.register(name).map_err(|error| error.to_string())?;
    thread::spawn(move || {
        while let Ok((request, id)) = server.receive_request() {
            let _ = server.send_reply(request, id);
        }
    });
    eprintln!("serves");
    let _ = stdin().read(&mut [0]);
    Ok("served".into())
}

fn ask(name: &str) -> Result<String, String> {
    let site = attach("shm")?;
    let url = format!("unavez://{}/{name}", site.address());
    hello(&IpcClient::open(&site, &url).map_err(|error| error.to_string())?)
}

/// Holds a lock there until it is killed, or says why it cannot.
fn lock(path: &str) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.lock().map_err(|error| error.to_string())?;
    eprintln!("holds it");
    let _ = stdin().read(&mut [0]);
    Ok("held it".into())
}

fn hello(client: &IpcClient) -> Result<String, String> {
    let reply = client.call(RawMsg::from("hello").timeout(LONG));
    let reply = reply.map_err(|error| error.to_string())?;
    String::from_utf8(reply.body().to_vec()).map_err(|error| error.to_string())
}
