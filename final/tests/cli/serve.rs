//! `unavez serve`: what is served, and how it stops.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::{Serving, done, run, signal, unavez};

#[test]
fn server_says_where_it_listens_and_stops_when_told() {
    // The first line is the URL to call; both signals stop it in an orderly way.
    for by in [Signal::SIGINT, Signal::SIGTERM] {
        let serving = Serving::start(&["echo"]);
        assert!(serving.url.starts_with("unavez://127.0.0.1:") && serving.url.ends_with("/echo"));
        serving.call(&["hello"]).is(0, "hello");
        serving.stop(by).fails(0, "stopped; 1 requests were served");
    }
}

#[test]
fn what_is_ignored_from_the_beginning_stays_so() {
    // As by nohup: the end of the terminal does not stop it, Ctrl-C does.
    let program = env!("CARGO_BIN_EXE_unavez");
    let words = ["nohup", program, "serve", "--listen", "127.0.0.1:0", "echo"];
    let mut command = Command::new("env");
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let serving = Serving::spawn(&mut command);
    signal(&serving.child, Signal::SIGHUP);
    serving.call(&["hello"]).is(0, "hello");
    let done = serving.stop(Signal::SIGINT);
    assert!(done.code == Some(0) && done.err.contains("1 requests were served"), "{done:?}");
}

#[test]
fn any_command_is_a_service() {
    // Named as its program, or as one likes.
    let serving = Serving::start(&["--", "/usr/bin/tr", "a-z", "A-Z"]);
    assert!(serving.url.ends_with("/tr"), "{}", serving.url);
    serving.call(&["hello"]).is(0, "HELLO");
    let serving = Serving::start(&["--name", "upper", "--", "tr", "a-z", "A-Z"]);
    assert!(serving.url.ends_with("/upper"), "{}", serving.url);
    serving.call(&["hello"]).is(0, "HELLO");
}

#[test]
fn failed_command_is_told_apart() {
    // What it wrote is the reply all the same; the exit code and a line say that it failed.
    let serving = Serving::start(&["--", "sh", "-c", "cat; exit 7"]);
    let done = serving.call(&["so far"]);
    done.fails(1, "replied: the command failed: exit 7");
    assert_eq!(done.out, "so far");
    let report = serving.call(&["so far", "--json"]).json();
    assert_eq!((&report["outcome"], &report["body"]), (&"replied".into(), &"so far".into()));
    assert_eq!(report["command_failed"], "exit 7");
    // It was there when the server began.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    fs::copy("/bin/cat", &program).unwrap();
    let serving = Serving::start(&["--", program.to_str().unwrap()]);
    fs::remove_file(&program).unwrap();
    serving.call(&["x"]).fails(1, "replied: the command failed: not started");
}

#[test]
fn request_in_hand_is_answered_before_the_server_stops() {
    // The command says that it has begun, then the server is told to stop: the reply still comes.
    let dir = tempfile::tempdir().unwrap();
    let begun = dir.path().join("begun");
    let script = format!("touch {}; sleep 0.5; echo done", begun.display());
    let serving = Serving::start(&["--", "sh", "-c", &script]);
    let call = unavez(&["call", &serving.url, ""]).spawn().unwrap();
    while !begun.exists() {
        std::thread::yield_now();
    }
    signal(&serving.child, Signal::SIGTERM);
    done(call).is(0, "done\n");
}

#[test]
fn interrupt_on_the_terminal_is_for_the_server_only() {
    // The terminal sends it to the server's process group, in which the command is not.
    let serving = Serving::start(&["--", "cut", "-d ", "-f5", "/proc/self/stat"]);
    let id = nix::unistd::Pid::from_raw(serving.child.id() as i32);
    let servers = nix::unistd::getpgid(Some(id)).unwrap().to_string();
    let done = serving.call(&[""]);
    assert!(done.code == Some(0) && done.out.trim() != servers, "{} is of both", done.out);
}

#[test]
fn account_outlives_a_killed_bank() {
    // Two debits, the bank is killed and started again with its ledger, at the same address and as
    // the same site.
    let dir = tempfile::tempdir().unwrap();
    let (state, ledger) = (dir.path().join("state"), dir.path().join("ledger"));
    let words = ["--state", state.to_str().unwrap(), "bank", "--ledger", ledger.to_str().unwrap()];
    let serving = Serving::start(&words);
    serving.call(&["debit 10"]).is(0, "balance 990");
    serving.call(&["debit 20 rent"]).is(0, "balance 970 rent");
    let address = serving.address().to_string();
    drop(serving);
    let serving = Serving::start_at(&address, &words);
    serving.call(&["balance"]).is(0, "balance 970");
    assert_eq!(fs::read_to_string(&ledger).unwrap(), "debit 10\ndebit 20 rent\n");
}

#[test]
fn state_and_address_are_one_servers() {
    // A second server is refused both (R7).
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().to_str().unwrap();
    let serving = Serving::start(&["--state", state, "echo"]);
    run(&["serve", "--listen", "127.0.0.1:0", "--state", state, "echo"]).fails(2, state);
    let in_use = run(&["serve", "--listen", serving.address(), "echo"]);
    in_use.fails(2, &format!("cannot serve at {}", serving.address()));
}

#[test]
fn server_may_end_with_its_parent() {
    // The demo's server: its input ends when whoever started it is gone.
    let done = run(&["serve", "--listen", "127.0.0.1:0", "--until-stdin-ends", "echo"]);
    done.fails(0, "stopped; 0 requests were served");
}
