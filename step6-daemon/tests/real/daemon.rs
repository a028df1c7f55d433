//! Real daemons, real processes, and what becomes of them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::{Process, count, eventually, example, ipcd, notes, state};
use nix::sys::signal::Signal;
use step6_daemon::ipc::Outcome;
use step6_daemon::{Attachment, IpcClient, IpcError, IpcPort, IpcServer, RawMsg};

const LOSSY: [&str; 4] = ["--loss", "0.3", "--duplicate", "0.2"];

fn bank(state: &std::path::Path, service: &str) -> (Process, IpcPort) {
    let mut command = Command::new(example("step6-server"));
    command.arg("--state").arg(state).arg("--ledger").arg(state.join("ledger"));
    let bank = Process::start(command.args(["--service", service]));
    let port = bank.first.strip_prefix("serving at ").unwrap().parse().unwrap();
    (bank, port)
}

#[test]
fn a_bank_behind_two_daemons_debits_exactly_once() {
    // 30 % lost and 20 % doubled on both ways (§3.1).
    let (Some(a), Some(b)) = (state(), state()) else { return };
    let (_near, _far) = (ipcd(a.path(), &LOSSY), ipcd(b.path(), &LOSSY));
    let (_bank, port) = bank(b.path(), "0ms");
    let mut client = Command::new(example("step6-client"));
    client.arg("--state").arg(a.path()).args(["--calls", "40", "--server", &port.to_string()]);
    let last = Process::start(&mut client).last_line();
    assert_eq!(last, "balance 600, and it must be 600");
    let ledger = fs::read_to_string(b.path().join("ledger")).unwrap();
    assert_eq!(ledger.lines().count(), 40);
}

#[test]
fn every_reply_comes_to_its_caller() {
    // 2,000 calls by 8 threads of 4 processes, out of order (§2).
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let mut many = Command::new(example("step6-many"));
    let last = Process::start(many.arg("--state").arg(state.path()).args(["--calls", "2000"]));
    assert_eq!(last.first, "2000 calls, every reply to its caller");
}

#[test]
fn nothing_polls() {
    // Ten seconds of idleness with a server and a client attached, after a call (§4.2).
    let Some(state) = state() else { return };
    let daemon = ipcd(state.path(), &[]);
    let attachment = Attachment::new(state.path()).unwrap();
    let (_bank, port) = bank(state.path(), "0ms");
    let client = IpcClient::new(&attachment, port);
    client.receive_reply(client.send_request("balance".into()).unwrap()).unwrap();
    thread::sleep(Duration::from_secs(1));
    let before = switches(daemon.child.id());
    assert!(before.len() >= 6, "{before:?}");
    thread::sleep(Duration::from_secs(10));
    assert_eq!(switches(daemon.child.id()), before);
}

/// How often each thread was given the processor.
fn switches(pid: u32) -> BTreeMap<String, Vec<String>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = threads.map(|thread| {
        let path = thread.unwrap().path();
        let text = fs::read_to_string(path.join("status")).unwrap();
        let counts = text.lines().filter(|line| line.contains("ctxt_switches")).map(String::from);
        (path.display().to_string(), counts.collect())
    });
    status.collect()
}

#[test]
fn any_thread_sends_receives_and_answers() {
    // The client sends in one thread and receives in another; so does the server (§2, Figure 1).
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let attachment = Attachment::new(state.path()).unwrap();
    let server = IpcServer::new(&attachment).unwrap();
    let client = IpcClient::new(&attachment, server.port());
    let id = client.send_request("ask".into()).unwrap();
    let (server, client) = (&server, &client);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| client.receive_reply_any());
        let (request, call) = scope.spawn(|| server.receive_request()).join().unwrap().unwrap();
        assert_eq!(request.body, b"ask");
        let answer = move || server.send_reply(call, "answer".into());
        scope.spawn(answer).join().unwrap().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok((id, Ok(RawMsg::from("answer")))));
        assert_eq!(server.send_reply(call, "again".into()), Err(IpcError::UnknownMsgId));
    });
    assert_eq!(client.receive_reply(id), Err(IpcError::UnknownMsgId));
}

#[test]
fn a_caller_may_stop_waiting() {
    // Nobody answers within the caller's own time; the outcome is unknown (§2).
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let attachment = Attachment::new(state.path()).unwrap();
    let server = IpcServer::new(&attachment).unwrap();
    let client = IpcClient::new(&attachment, server.port());
    let slow = RawMsg::from("ask").timeout(Duration::from_millis(50));
    let end = client.receive_reply(client.send_request(slow).unwrap());
    assert_eq!(end, Err(IpcError::TimedOut));
    assert_eq!(IpcError::TimedOut.outcome(), Outcome::Unknown);
}

#[test]
fn a_dead_server_process_is_not_vouched_for() {
    // It is killed with a request in its hands; its daemon answers in its place.
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let (bank, port) = bank(state.path(), "60s");
    let client = IpcClient::new(&Attachment::new(state.path()).unwrap(), port);
    let id = client.send_request("debit 10".into()).unwrap();
    thread::sleep(Duration::from_millis(300));
    let before = notes(state.path());
    bank.kill();
    assert_eq!(client.receive_reply(id), Err(IpcError::ServerDied));
    // Its port and its queue are gone with it.
    let again = client.send_request("debit 10".into()).unwrap();
    assert_eq!(client.receive_reply(again), Err(IpcError::NoSuchPort));
    assert_eq!((before.len(), count(&before)), (3, 2));
}

#[test]
fn a_stopped_process_blocks_nobody() {
    // More requests than its queue holds wait for a stopped bank; another server answers meanwhile.
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let (stopped, port) = bank(state.path(), "0ms");
    stopped.signal(Signal::SIGSTOP);
    let attachment = Attachment::new(state.path()).unwrap();
    let blocked = IpcClient::new(&attachment, port);
    let ids: Vec<_> =
        (0..200).map(|_| blocked.send_request(RawMsg::from(vec![b'x'; 1000])).unwrap()).collect();
    let server = IpcServer::new(&attachment).unwrap();
    let client = IpcClient::new(&attachment, server.port());
    let id = client.send_request("ask".into()).unwrap();
    let (request, call) = server.receive_request().unwrap();
    server.send_reply(call, request).unwrap();
    assert_eq!(client.receive_reply(id), Ok(RawMsg::from("ask")));
    // It goes on, and so do its calls, when the last that was lost on the way has come and nothing else moves them.
    thread::sleep(Duration::from_secs(1));
    stopped.signal(Signal::SIGCONT);
    for id in ids {
        let reply = blocked.receive_reply(id).unwrap();
        assert!(reply.body.starts_with(b"error: ask for"), "{reply:?}");
    }
}

#[test]
fn one_process_cannot_take_all_calls() {
    // Its 257th open call fails, and says that nothing ran.
    let Some(state) = state() else { return };
    let _daemon = ipcd(state.path(), &[]);
    let attachment = Attachment::new(state.path()).unwrap();
    let server = IpcServer::new(&attachment).unwrap();
    let client = IpcClient::new(&attachment, server.port());
    let ids: Vec<_> = (0..257).map(|_| client.send_request("ask".into()).unwrap()).collect();
    assert_eq!(client.receive_reply(ids[256]), Err(IpcError::TooManyCalls));
    assert_eq!(IpcError::TooManyCalls.outcome(), Outcome::NeverRan);
}

#[test]
fn a_kernel_with_limits_too_low_is_an_error() {
    // Or has no room; in a namespace of its own, so that nobody else sees the limit.
    let Some(state) = state() else { return };
    for (limit, value, error) in [
        ("msgmax", 1000, "msgmax is 1000, and messages have up to"),
        ("msgmnb", 1000, "msgmnb is 1000, and messages have up to"),
        ("msgmni", 0, "no room for another queue (/proc/sys/kernel/msgmni)"),
    ] {
        let set = format!("echo {value} > /proc/sys/kernel/{limit} && exec \"$@\" 2>&1");
        let mut ipcd = Command::new("unshare");
        ipcd.args(["--map-root-user", "--ipc", "sh", "-c", &set, "sh"]);
        ipcd.args([env!("CARGO_BIN_EXE_ipcd"), "--listen", "127.0.0.1:0", "--state"]);
        let said = Process::start(ipcd.arg(state.path())).first.clone();
        if said.is_empty() {
            println!("skipped: {limit} cannot be set here");
        } else {
            assert!(said.contains(error), "{said}");
        }
    }
}

#[test]
fn a_damaged_place_is_an_error() {
    let Some(state) = state() else { return };
    for text in [&b""[..], b"zz", b"0000000a 1", b"0000000a 1 1\n", b"\xff\n"] {
        fs::write(state.path().join("queue"), text).unwrap();
        let error = Attachment::new(state.path()).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
    }
}

#[test]
fn no_queue_outlives_an_orderly_stop() {
    let Some(state) = state() else { return };
    let daemon = ipcd(state.path(), &[]);
    let attachment = Attachment::new(state.path()).unwrap();
    let server = IpcServer::new(&attachment).unwrap();
    let keys = notes(state.path());
    assert_eq!((keys.len(), count(&keys)), (2, 2));
    daemon.stop();
    assert_eq!(count(&keys), 0);
    assert_eq!(server.receive_request().unwrap_err(), IpcError::NoDaemon);
}

#[test]
fn the_next_start_removes_what_kill_left() {
    // The daemon is killed, then its process, so that nobody can clean up; a call ends all the same.
    let Some(state) = state() else { return };
    let daemon = ipcd(state.path(), &[]);
    let (bank, port) = bank(state.path(), "60s");
    let client = IpcClient::new(&Attachment::new(state.path()).unwrap(), port);
    let id = client.send_request("debit 10".into()).unwrap();
    let keys = notes(state.path());
    bank.signal(Signal::SIGSTOP);
    daemon.kill();
    bank.kill();
    assert_eq!(client.receive_reply(id), Err(IpcError::DaemonGone));
    assert!(eventually(|| count(&keys) == 2), "the daemon's and the bank's are left");
    let _next = ipcd(state.path(), &[]);
    assert_eq!(count(&keys), 0);
    let other = Attachment::new(state.path()).unwrap();
    let stale = IpcClient::new(&other, port);
    let end = stale.receive_reply(stale.send_request("debit 10".into()).unwrap());
    // The former daemon's address is nobody's now, or the port names its former life.
    assert!(end.is_err_and(|error| error.outcome() == Outcome::Unknown));
}

#[test]
fn no_debit_runs_twice_whoever_is_killed() {
    // Five rounds; the example runs a hundred.
    if state().is_none() {
        return;
    }
    let mut rounds = Command::new(example("step6-rounds"));
    let mut rounds = Process::start(rounds.args(["--rounds", "5"]));
    let verdict = rounds.first.clone();
    assert!(rounds.last_line().is_empty(), "{verdict}");
    assert!(verdict.contains("ran twice 0, not as told 0, not accounted for 0"), "{verdict}");
}
