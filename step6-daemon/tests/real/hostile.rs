//! Bad input from the local side: whoever causes it is told, and the daemon lives on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Process, count, eventually, ipcd, notes, state};
use step6_daemon::ipc::BODY_MAX;
use step6_daemon::ipc::local::{LOCAL_MAX, Letter, Place, ToDaemon, ToProcess};
use step6_daemon::ipc::noted::Noted;
use step6_daemon::ipc::sysv::Queue;
use step6_daemon::{Attachment, IpcClient, IpcError, IpcServer, RawMsg};

/// A process that does not use the library.
struct Raw {
    place: Place,
    own: Noted,
}

impl Raw {
    fn new(state: &Path) -> Raw {
        Raw { place: Place::read(state).unwrap(), own: Noted::make(state).unwrap() }
    }

    fn tell(&self, what: ToDaemon, body: &[u8]) -> ToProcess {
        self.say(what, body);
        self.hear()
    }

    fn say(&self, what: ToDaemon, body: &[u8]) {
        let process = self.own.queue().id();
        let letter = Letter { life: self.place.life, process, what, body: body.to_vec() };
        self.place.queue().unwrap().send(&letter.encode()).unwrap();
    }

    fn hear(&self) -> ToProcess {
        let queue = self.own.queue();
        assert!(eventually(|| queue.status().unwrap().messages > 0), "the daemon says nothing");
        Letter::decode(&queue.receive().unwrap()).unwrap().what
    }

    fn attach(&self, pid: u32) -> ToProcess {
        self.tell(ToDaemon::Attach { pid, key: self.own.key() }, b"")
    }
}

fn refused(error: IpcError) -> ToProcess {
    ToProcess::Refused { error }
}

#[test]
fn garbage_in_the_queue_is_dropped_and_counted() {
    let Some(state) = state() else { return };
    let daemon = ipcd(state.path(), &[]);
    let raw = Raw::new(state.path());
    let queue = raw.place.queue().unwrap();
    for length in [0, 1, 13, 14, 100, 8192] {
        queue.send(&vec![0x55; length]).unwrap();
    }
    // Garbage that says whom it is from is answered.
    let process = raw.own.queue().id();
    let what = ToDaemon::Detach;
    let mut letter = Letter { life: raw.place.life, process, what, body: Vec::new() }.encode();
    letter.pop();
    queue.send(&letter).unwrap();
    assert_eq!(raw.hear(), refused(IpcError::Malformed));
    // And everybody else is served.
    let attachment = Attachment::new(state.path()).unwrap();
    IpcServer::new(&attachment).unwrap();
    assert!(daemon.stop().contains("no message, dropped: 7"));
}

#[test]
fn a_process_that_never_attached_is_refused() {
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let raw = Raw::new(state.path());
    assert_eq!(raw.tell(ToDaemon::Open { tag: 1 }, b""), refused(IpcError::NotAttached));
    assert_eq!(raw.tell(ToDaemon::Reply { call: 1 }, b""), refused(IpcError::NotAttached));
}

#[test]
fn a_dead_process_cannot_attach() {
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let raw = Raw::new(state.path());
    assert_eq!(raw.attach(child.id()), refused(IpcError::NoProcess));
    assert_eq!(raw.attach(u32::MAX), refused(IpcError::NoProcess));
}

#[test]
fn only_its_own_queue_can_be_attached() {
    // Another process's, under its own number and under theirs, and the daemon's: all live on.
    let Some(state) = state() else { return };
    let daemon = ipcd(state.path(), &[]);
    let (raw, other) = (Raw::new(state.path()), Raw::new(state.path()));
    other.attach(std::process::id());
    let pid = std::process::id();
    for key in [other.own.key(), raw.place.key, 1] {
        let refusal = raw.tell(ToDaemon::Attach { pid, key }, b"");
        assert_eq!(refusal, refused(IpcError::Malformed));
    }
    let daemons = raw.place.queue().unwrap();
    let (life, process) = (raw.place.life, daemons.id());
    for what in [ToDaemon::Attach { pid, key: raw.place.key }, ToDaemon::Detach] {
        daemons.send(&Letter { life, process, what, body: Vec::new() }.encode()).unwrap();
    }
    assert!(matches!(other.tell(ToDaemon::Open { tag: 1 }, b""), ToProcess::Opened { .. }));
    // Twice is refused as well, and changes nothing.
    assert_eq!(other.attach(pid), refused(IpcError::Malformed));
    assert!(matches!(other.tell(ToDaemon::Open { tag: 2 }, b""), ToProcess::Opened { .. }));
    assert!(matches!(raw.attach(pid), ToProcess::Attached { .. }));
    assert!(daemon.stop().starts_with("stopped"));
}

#[test]
fn there_is_room_for_so_many_processes_and_no_more() {
    // With the descriptors that a process has by default; whoever is too many is told, and keeps its queue.
    let Some(state) = state() else { return };
    let mut daemon = Command::new("prlimit");
    daemon.args(["--nofile=1024", env!("CARGO_BIN_EXE_ipcd"), "--listen", "127.0.0.1:0"]);
    let _daemon = Process::start(daemon.arg("--state").arg(state.path()));
    let pid = std::process::id();
    let all: Vec<Raw> = (0..512).map(|_| Raw::new(state.path())).collect();
    for raw in &all {
        assert!(matches!(raw.attach(pid), ToProcess::Attached { .. }));
    }
    let more = Raw::new(state.path());
    assert_eq!(more.attach(pid), refused(IpcError::NoDaemon));
    all[0].say(ToDaemon::Detach, b"");
    assert!(matches!(more.attach(pid), ToProcess::Attached { .. }));
}

#[test]
fn a_message_to_another_life_is_refused() {
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let mut raw = Raw::new(state.path());
    raw.place.life.counter += 1;
    assert_eq!(raw.attach(std::process::id()), refused(IpcError::NoDaemon));
}

#[test]
fn what_is_not_in_hand_cannot_be_answered() {
    // Unknown, another process's, and answered already.
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let raw = Raw::new(state.path());
    assert!(matches!(raw.attach(std::process::id()), ToProcess::Attached { .. }));
    let ToProcess::Opened { address, port, .. } = raw.tell(ToDaemon::Open { tag: 1 }, b"") else {
        panic!("no port")
    };
    let request = ToDaemon::Request { tag: 2, address, epoch: raw.place.life, port };
    let ToProcess::Request { call, .. } = raw.tell(request, b"ask") else { panic!("no request") };
    let other = Raw::new(state.path());
    other.attach(std::process::id());
    assert_eq!(other.tell(ToDaemon::Reply { call }, b""), refused(IpcError::UnknownMsgId));
    // Too long is refused, and leaves the request where it is.
    let long = vec![0; BODY_MAX + 1];
    assert_eq!(raw.tell(ToDaemon::Reply { call }, &long), refused(IpcError::TooLong));
    assert_eq!(raw.tell(ToDaemon::Reply { call }, b"answer"), ToProcess::Reply { tag: 2 });
    assert_eq!(raw.tell(ToDaemon::Reply { call }, b"again"), refused(IpcError::UnknownMsgId));
    let request = ToDaemon::Request { tag: 3, address, epoch: raw.place.life, port };
    let error = IpcError::TooLong;
    assert_eq!(raw.tell(request, &long), ToProcess::Failed { tag: 3, error });
}

#[test]
fn the_largest_body_goes_both_ways_and_no_larger() {
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let attachment = Attachment::new(state.path()).unwrap();
    let server = IpcServer::new(&attachment).unwrap();
    let client = IpcClient::new(&attachment, server.port());
    let largest = RawMsg::from(vec![7; BODY_MAX]);
    let life = server.port().to_string().split('/').nth(1).unwrap().parse().unwrap();
    let address = "[::1]:7373".parse().unwrap();
    let what = ToDaemon::Request { tag: 1, address, epoch: life, port: 1 };
    let letter = Letter { life, process: 1, what, body: largest.body.clone() };
    assert!(letter.encode().len() <= LOCAL_MAX);
    let id = client.send_request(largest.clone()).unwrap();
    let (request, call) = server.receive_request().unwrap();
    let longer = RawMsg::from(vec![7; BODY_MAX + 1]);
    assert_eq!(server.send_reply(call, longer.clone()), Err(IpcError::TooLong));
    server.send_reply(call, request).unwrap();
    assert_eq!(client.receive_reply(id), Ok(largest));
    assert_eq!(client.send_request(longer), Err(IpcError::TooLong));
}

/// What a daemon holds: descriptors, threads, notes, and the queues that are noted.
fn held(daemon: &Process, state: &Path) -> [usize; 4] {
    let folder = format!("/proc/{}", daemon.child.id());
    let entries = |name| fs::read_dir(format!("{folder}/{name}")).unwrap().count();
    [entries("fd"), entries("task"), notes(state).len(), count(&notes(state))]
}

/// How much memory a daemon has in use, in KiB.
fn memory(daemon: &Process) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    resident.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
fn nothing_leaks_in_a_thousand_rounds() {
    // Attach, serve, call, detach: queues, threads and descriptors counted before and after.
    let Some(state) = state() else { return };
    let daemon = ipcd(state.path(), &[]);
    let before = held(&daemon, state.path());
    for round in 0..1000 {
        let attachment = Attachment::new(state.path()).unwrap();
        let server = IpcServer::new(&attachment).unwrap();
        if round % 10 == 0 {
            let client = IpcClient::new(&attachment, server.port());
            let id = client.send_request("ask".into()).unwrap();
            let (request, call) = server.receive_request().unwrap();
            server.send_reply(call, request).unwrap();
            client.receive_reply(id).unwrap();
        }
    }
    assert!(eventually(|| held(&daemon, state.path()) == before), "{before:?}");
}

#[test]
fn nothing_leaks_in_a_thousand_rounds_of_bad_input() {
    // All that is refused, and what a daemon holds before and after; its memory may not grow by 64 bytes a round.
    let Some(state) = state() else { return };
    let daemon = ipcd(state.path(), &[]);
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let raw = Raw::new(state.path());
    raw.attach(std::process::id());
    let ToProcess::Opened { address, port, .. } = raw.tell(ToDaemon::Open { tag: 1 }, b"") else {
        panic!("no port")
    };
    let ask = ToDaemon::Request { tag: 2, address, epoch: raw.place.life, port };
    let ToProcess::Request { call, .. } = raw.tell(ask, b"ask") else { panic!("no request") };
    assert_eq!(raw.tell(ToDaemon::Reply { call }, b"answer"), ToProcess::Reply { tag: 2 });
    let before = held(&daemon, state.path());
    let mut settled = 0;
    for round in 0..1500 {
        if round == 500 {
            settled = memory(&daemon);
        }
        bad_input(&raw, state.path(), dead.id(), (call, ask));
    }
    let grown = memory(&daemon).saturating_sub(settled);
    assert!(grown < 64, "{grown} KiB more than {settled}");
    assert!(eventually(|| held(&daemon, state.path()) == before), "{before:?}");
}

/// Everything that a daemon refuses, once.
fn bad_input(raw: &Raw, state: &Path, dead: u32, (answered, ask): (u64, ToDaemon)) {
    let queue = raw.place.queue().unwrap();
    [0, 14, 8192].into_iter().for_each(|length| queue.send(&vec![0x55; length]).unwrap());
    let mut stranger = Raw::new(state);
    let (pid, key) = (std::process::id(), stranger.own.key());
    let never_attached = [
        (ToDaemon::Open { tag: 1 }, IpcError::NotAttached),
        (ToDaemon::Reply { call: answered }, IpcError::NotAttached),
        (ask, IpcError::NotAttached),
        (ToDaemon::Attach { pid: dead, key }, IpcError::NoProcess),
        (ToDaemon::Attach { pid, key: raw.own.key() }, IpcError::Malformed),
    ];
    for (what, error) in never_attached {
        assert_eq!(stranger.tell(what, b"x"), refused(error));
    }
    stranger.place.life.counter += 1;
    assert_eq!(stranger.attach(pid), refused(IpcError::NoDaemon));
    stranger.place.life.counter -= 1;
    let long = [0; BODY_MAX + 1];
    let unknown = refused(IpcError::UnknownMsgId);
    assert_eq!(raw.tell(ToDaemon::Reply { call: answered }, b""), unknown);
    assert_eq!(raw.tell(ToDaemon::Reply { call: u64::MAX }, b""), unknown);
    assert_eq!(raw.tell(ToDaemon::Reply { call: answered }, &long), refused(IpcError::TooLong));
    let error = IpcError::TooLong;
    assert_eq!(raw.tell(ask, &long), ToProcess::Failed { tag: 2, error });
    // It attaches after all, and goes with a port open.
    assert!(matches!(stranger.attach(pid), ToProcess::Attached { .. }));
    assert!(matches!(stranger.tell(ToDaemon::Open { tag: 1 }, b""), ToProcess::Opened { .. }));
    stranger.say(ToDaemon::Detach, b"");
}

#[test]
fn queues_are_for_their_owner_alone() {
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let _attachment = Attachment::new(state.path()).unwrap();
    for key in notes(state.path()) {
        let status = step6_daemon::ipc::sysv::Queue::find(key).unwrap().status().unwrap();
        assert_eq!(status.mode & 0o777, 0o600);
    }
    let file = fs::metadata(state.path().join("queue")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_does_not_fit_waits_until_there_is_room() {
    // A thousand answers for a process that does not read yet; then it does, and says so.
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let (raw, other) = (Raw::new(state.path()), Raw::new(state.path()));
    raw.attach(std::process::id());
    (0..1000).for_each(|tag| raw.say(ToDaemon::Open { tag }, b""));
    let mut heard = 0;
    loop {
        // Whoever is answered later finds all that was said before done.
        other.tell(ToDaemon::Open { tag: 0 }, b"");
        let fitted = raw.own.queue().status().unwrap().messages;
        if fitted == 0 {
            break;
        }
        for _ in 0..fitted {
            let (ToProcess::Opened { tag, .. } | ToProcess::Failed { tag, .. }) = raw.hear() else {
                panic!("no answer")
            };
            assert_eq!(tag, heard);
            heard += 1;
        }
        raw.say(ToDaemon::Taken, b"");
    }
    assert_eq!(heard, 1000);
}

#[test]
fn a_daemon_without_its_queue_ends() {
    // Somebody removes it, as some systems do when a user logs out.
    let Some(state) = state() else { return };
    let mut daemon = ipcd(state.path(), &[]);
    let server = IpcServer::new(&Attachment::new(state.path()).unwrap()).unwrap();
    Place::read(state.path()).unwrap().queue().unwrap().remove().unwrap();
    assert_eq!(daemon.last_line(), "stopped; queue removed by somebody else: 1");
    assert_eq!(server.receive_request().unwrap_err(), IpcError::NoDaemon);
}

#[test]
fn a_process_without_its_queue_is_not_vouched_for() {
    // Somebody removes the queue of a server that has a request in its hands.
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let daemons = notes(state.path());
    let server = IpcServer::new(&Attachment::new(state.path()).unwrap()).unwrap();
    let servers = notes(state.path()).into_iter().find(|key| !daemons.contains(key)).unwrap();
    let attachment = Attachment::new(state.path()).unwrap();
    let client = IpcClient::new(&attachment, server.port());
    let id = client.send_request("ask".into()).unwrap();
    let (_, call) = server.receive_request().unwrap();
    Queue::find(servers).unwrap().remove().unwrap();
    assert_eq!(client.receive_reply(id), Err(IpcError::ServerDied));
    assert_eq!(server.send_reply(call, "answer".into()), Err(IpcError::NoDaemon));
}

#[test]
fn a_trace_that_nobody_reads_stops_nothing() {
    let Some(state) = state() else { return };
    let mut daemon = ipcd(state.path(), &["--trace"]);
    daemon.output = None;
    let attachment = Attachment::new(state.path()).unwrap();
    let server = IpcServer::new(&attachment).unwrap();
    let client = IpcClient::new(&attachment, server.port());
    let id = client.send_request("ask".into()).unwrap();
    let (request, call) = server.receive_request().unwrap();
    server.send_reply(call, request).unwrap();
    assert_eq!(client.receive_reply(id), Ok("ask".into()));
}

#[test]
fn a_process_that_asks_and_never_reads_is_let_go() {
    // Its queue is full and its backlog, too; the daemon keeps no more for it.
    let Some(state) = state() else { return };
    let daemon = ipcd(state.path(), &[]);
    let raw = Raw::new(state.path());
    assert!(matches!(raw.attach(std::process::id()), ToProcess::Attached { .. }));
    (0..4000).for_each(|tag| raw.say(ToDaemon::Open { tag }, b""));
    assert!(eventually(|| raw.own.queue().status().is_err()));
    assert!(daemon.stop().contains("process that does not read, let go: 1"));
}
