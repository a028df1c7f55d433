//! `unavez call`: requests from everywhere, and what the exit code says.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::thread;

use nix::pty::openpty;
use nix::sys::signal::Signal;
use unavez::protocol::Config;

use super::{Serving, done, run, run_with, signal, unavez};

/// A URL at which nobody listens: a port that was free a moment ago.
fn nobody() -> (String, SocketAddr) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (format!("unavez://{address}/echo"), address)
}

#[test]
fn requests_come_from_anywhere() {
    // The same request as an argument, from a file and from the standard input.
    let serving = Serving::start(&["echo"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("request");
    fs::write(&file, "hello\n").unwrap();
    serving.call(&["hello\n"]).is(0, "hello\n");
    serving.call(&["--file", file.to_str().unwrap()]).is(0, "hello\n");
    run_with(&["call", &serving.url], b"hello\n").is(0, "hello\n");
    serving.call(&[]).is(0, "");
}

#[test]
fn request_has_a_limit() {
    // One byte more than a message may have: from each source it is refused before it is sent. (An
    // argument cannot be so long.)
    let serving = Serving::start(&["echo"]);
    let longer = vec![b'x'; Config::default().message_max + 1];
    let told = "the request is longer than 67108864 bytes";
    run_with(&["call", &serving.url], &longer).fails(2, told);
    serving.call(&["--file", "/dev/zero"]).fails(2, told);
    let counters = &run(&["stat", &serving.site(), "--json"]).json()["counters"];
    assert_eq!(counters["Executed"], 0);
}

#[test]
fn longest_message_is_as_one_says() {
    // Of the client, of the server, and of both; a reply that the client does not take ran.
    let (long, longest) = (vec![b'x'; 10_001], ["--message-max", "10000"]);
    let serving =
        Serving::start(&[&longest[..], &["--", "head", "-c", "20000", "/dev/zero"]].concat());
    let call = |flags: &[&str]| run_with(&[&["call", &*serving.url], flags].concat(), &long);
    call(&longest).fails(2, "the request is longer than 10000 bytes; see --message-max");
    call(&[]).fails(3, "the request is longer than the server takes");
    serving.call(&["x"]).fails(5, "its reply is too long");
    let serving =
        Serving::start(&["--message-max", "65 MiB", "--", "head", "-c", "68000000", "/dev/zero"]);
    serving.call(&["x"]).fails(5, "its reply is too long");
    let reply = serving.call(&["x", "--message-max", "65MiB"]);
    assert_eq!((reply.code, reply.out.len()), (Some(0), 68_000_000));
}

#[test]
fn large_requests_come_from_anywhere() {
    // A hundred thousand bytes as an argument, megabytes from a file and from the standard input; the
    // reply is as long.
    let serving = Serving::start(&["echo"]);
    let text = "Una vez, once. ".repeat(200_000);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("request");
    fs::write(&file, &text).unwrap();
    serving.call(&[&text[..100_000]]).is(0, &text[..100_000]);
    serving.call(&["--file", file.to_str().unwrap()]).is(0, &text);
    run_with(&["call", &serving.url], text.as_bytes()).is(0, &text);
    // Through a command that writes while it reads, and on a bad link.
    let serving = Serving::start(&["--loss", "5%", "--", "tr", "a-z", "A-Z"]);
    let done = run_with(&["call", &serving.url, "--loss", "5%"], text.as_bytes());
    done.is(0, &text.to_uppercase());
    let report = run_with(&["call", &serving.url, "--json"], text.as_bytes()).json();
    assert_eq!(report["body"], text.to_uppercase());
}

#[test]
fn exit_codes_tell_what_is_proved() {
    // No such service, no such site, a service that takes too long, a reply that is too long (R3).
    let serving = Serving::start(&["--name", "slow", "--", "sleep", "5"]);
    let other = format!("{}/quick", serving.site());
    run(&["call", &other, "x"]).fails(3, "not executed: no service of this name");
    let (url, address) = nobody();
    let told = format!("not executed: nobody answers at {address}; --timeout says how long");
    run(&["call", &url, "x", "--timeout", "200ms"]).fails(3, &told);
    let report = run(&["call", &url, "x", "--timeout", "200ms", "--json"]).json();
    assert_eq!(
        format!("not executed: {}", report["reason"].as_str().unwrap()).find(&told),
        Some(0)
    );
    serving.call(&["x", "--timeout", "200ms"]).fails(4, "unknown: no reply in time");
    serving.call(&["x", "--timeout", "200ms", "--certain"]).fails(4, "unknown: ");
    Serving::start(&["--", "yes"])
        .call(&["x"])
        .fails(5, "executed: the service ran, but its reply is too long");
}

/// A call that a service has in hand, as it is when its command has begun.
fn call_in_hand(serving: &Serving, begun: &Path, flags: &[&str]) -> Child {
    let call = unavez(&[&["call", &*serving.url, "x"], flags].concat()).spawn().unwrap();
    while !begun.exists() {
        thread::yield_now();
    }
    fs::remove_file(begun).unwrap();
    call
}

#[test]
fn interrupted_call_is_called_off() {
    // Ctrl-C and kill, while the service runs and while the call waits for a worker: the one says that
    // it may have run, the other, which asks to know, that it never will (R37, R38).
    let dir = tempfile::tempdir().unwrap();
    let begun = dir.path().join("begun");
    let script = format!("touch {}; sleep 3", begun.display());
    for (by, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let serving = Serving::start(&["--workers", "1", "--", "sh", "-c", &script]);
        let first = call_in_hand(&serving, &begun, &[]);
        let words = ["call", &*serving.url, "y", "--certain", "--json"];
        let second = unavez(&words).spawn().unwrap();
        while run(&["stat", &serving.site(), "--json"]).json()["entries"]["records"] != 2 {
            thread::yield_now();
        }
        signal(&second, by);
        let second = done(second);
        assert_eq!((second.code, &*second.err), (Some(code), ""));
        assert_eq!(second.json()["outcome"], "not executed");
        signal(&first, by);
        done(first).fails(code, "unknown: called off; the service may have run");
    }
}

#[test]
fn second_interrupt_ends_at_once() {
    // The server is stopped, so that nobody says what became of the call: at first it is waited for.
    let dir = tempfile::tempdir().unwrap();
    let begun = dir.path().join("begun");
    let script = format!("touch {}; sleep 9", begun.display());
    let serving = Serving::start(&["--", "sh", "-c", &script]);
    let mut call = call_in_hand(&serving, &begun, &["--certain", "--trace"]);
    signal(&serving.child, Signal::SIGSTOP);
    signal(&call, Signal::SIGINT);
    let mut trace = BufReader::new(call.stderr.take().unwrap()).lines();
    assert!(trace.any(|line| line.unwrap().contains("ABORT")));
    signal(&call, Signal::SIGINT);
    assert!(trace.all(|line| !line.unwrap().contains("unknown: ")));
    assert_eq!(call.wait().unwrap().code(), Some(130));
}

#[test]
fn who_sits_at_a_terminal_hears_that_nobody_answers() {
    // After a second, and what to do; of a service that is only slow, that it is.
    let (url, address) = nobody();
    let slow = Serving::start(&["--", "sleep", "9"]);
    for (url, told) in [
        (&url, format!("nobody answers at {address} yet; waiting up to 60s (--timeout)")),
        (&slow.url, "no reply yet; waiting up to 60s (--timeout)".into()),
    ] {
        let terminal = openpty(None, None).unwrap();
        let mut call = unavez(&["call", url, "x", "--timeout", "1m"]);
        let mut call = call.stderr(terminal.slave).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(File::from(terminal.master)).read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), format!("{told}; Ctrl-C calls it off"));
        signal(&call, Signal::SIGINT);
        assert_eq!(call.wait().unwrap().code(), Some(130));
    }
}

#[test]
fn reply_that_cannot_be_written_was_a_reply() {
    // The disk is full: it ran, so it is not as if nothing had been sent.
    let serving = Serving::start(&["echo"]);
    for flags in [&[][..], &["--json"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let words = [&["call", &*serving.url, "x"], flags].concat();
        let done = unavez(&words).stdout(full).output().unwrap();
        assert_eq!(done.status.code(), Some(5));
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(told.contains("cannot be written") && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn expired_request_is_proved_not_to_have_run() {
    // One worker, which the first call keeps; the second one's patience ends while it waits for the
    // worker, and the caller asks to know (R13, R37).
    let serving = Serving::start(&["--workers", "1", "--", "sleep", "2"]);
    let url = serving.url.clone();
    let first = thread::spawn(move || run(&["call", &url, "first", "--timeout", "300ms"]));
    first.join().unwrap().fails(4, "unknown: ");
    let second = serving.call(&["second", "--timeout", "300ms", "--certain"]);
    second.fails(3, "not executed: ");
}

#[test]
fn flags_are_understood() {
    // Each alone, and all together; an idempotent call leaves nothing at the server (R34).
    let serving = Serving::start(&["echo"]);
    for flags in ["--idempotent", "--ordered", "--certain", "--ordered --certain --idempotent"] {
        let words: Vec<&str> = flags.split(' ').collect();
        serving.call(&[&["x"], &words[..]].concat()).is(0, "x");
    }
}

#[test]
fn lost_packets_are_sent_again() {
    // The second datagram of the client is lost, then the second of the server: the request, and its
    // reply; the first ones are about the name. It runs once (R11, R22).
    let serving = Serving::start(&["echo"]);
    let report = serving.call(&["x", "--drop", "2", "--json"]).json();
    assert_eq!(report["body"], "x");
    assert!(report["sent_again"].as_u64().unwrap() >= 1, "{report}");
    let serving = Serving::start(&["--drop", "2", "echo"]);
    let report = serving.call(&["x", "--json"]).json();
    assert_eq!(report["body"], "x");
    let counters = &run(&["stat", &serving.site(), "--json"]).json()["counters"];
    assert_eq!(counters["Executed"], 1);
    assert!(counters["DuplicateAnswered"].as_u64().unwrap() >= 1, "{counters}");
}

#[test]
fn trace_does_not_mix_with_the_reply() {
    // The packets are shown on the standard error, the reply on the standard output.
    let serving = Serving::start(&["echo"]);
    let done = serving.call(&["hello", "--trace"]);
    assert_eq!((done.code, &*done.out), (Some(0), "hello"));
    assert!(done.err.contains("REQUEST") && done.err.contains("REPLY"), "{done:?}");
}

#[test]
fn every_end_has_its_json() {
    // A reply, bytes that are no text, no such service, no answer in time.
    let serving = Serving::start(&["echo"]);
    let report = serving.call(&["a \"b\"\n", "--json"]).json();
    assert_eq!((&report["outcome"], &report["body"]), (&"replied".into(), &"a \"b\"\n".into()));
    assert!(report["time_ms"].as_f64().unwrap() > 0.0);
    let bytes = run_with(&["call", &serving.url, "--json"], &[0xff, 0]).json();
    assert_eq!((&bytes["body_hex"], bytes.get("body")), (&"ff00".into(), None));
    let other = format!("{}/other", serving.site());
    let report = run(&["call", &other, "x", "--json"]).json();
    assert_eq!(report["outcome"], "not executed");
    assert_eq!(report["reason"], "no service of this name");
    let slow = Serving::start(&["--", "sleep", "5"]);
    let report = slow.call(&["x", "--json", "--timeout", "100ms"]).json();
    assert_eq!(report["outcome"], "unknown");
}
