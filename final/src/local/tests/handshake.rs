use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::read;
use rustix::net::{SendFlags, SocketAddrUnix, connect, send};

use super::super::Kind;
use super::super::attach::{AttachError, Attachment, attach};
use super::super::bell::{Bell, Heard};
use super::super::hello::{Refusal, Terms, Welcome};
use super::super::listen::{Caller, Came, Listener, new_socket};
use super::super::outbox::Outbox;
use super::super::shm::Shm;
use super::as_nobody;
use crate::protocol::{Epoch, SiteId};

fn next(listener: &mut Listener) -> Caller {
    loop {
        match listener.accept().unwrap() {
            Came::Caller(caller) => return caller,
            _ => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn welcome() -> Welcome {
    let terms = Terms {
        calls_max: 1,
        takes_max: 1,
        patience_default: Duration::from_secs(1),
        message_max: 100,
        long_bytes_max: 100,
    };
    Welcome {
        site: SiteId(7),
        epoch: Epoch { counter: 1, random: 2 },
        address: "127.0.0.1:7373".parse().unwrap(),
        process: 1,
        queues: None,
        terms,
    }
}

/// A daemon that greets one process, with what that rings by, and the process.
fn greeted(path: &Path) -> (Outbox, Bell, OwnedFd, Attachment) {
    let mut listener = Listener::bind(path).unwrap();
    let place = path.to_owned();
    let process = thread::spawn(move || attach(&place, Kind::Shm).unwrap());
    let caller = next(&mut listener);
    while caller.hello().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    let (channel, memory) = Shm::make().unwrap();
    let rings = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    let bell = caller.welcome(welcome(), &memory, &rings).unwrap();
    (Outbox::new(Box::new(channel)), bell, rings, process.join().unwrap())
}

/// A process comes, is greeted, and both hear each other, and the end.
#[test]
fn who_is_welcome_gets_a_channel() {
    let place = tempfile::tempdir().unwrap();
    let (mut daemon, bell, rings, mut process) = greeted(&place.path().join("socket"));
    assert_eq!(process.welcome, welcome());
    process.outbox.push(b"up").unwrap();
    process.bell.ring();
    assert_eq!(read(&rings, &mut [0; 8]), Ok(8));
    let mut buffer = Vec::new();
    assert!(daemon.channel().try_receive(&mut buffer).unwrap());
    assert_eq!(buffer, b"up");
    assert_eq!(bell.heed(), Heard::Silence);
    drop(process);
    assert_eq!(bell.sleep(None), Heard::End);
}

/// A process that never heeds is rung a million times: nobody waits for it.
#[test]
fn a_bell_that_nobody_hears_blocks_nobody() {
    let place = tempfile::tempdir().unwrap();
    let (_daemon, bell, _rings, process) = greeted(&place.path().join("socket"));
    for _ in 0..1_000_000 {
        bell.ring();
    }
    assert_eq!(process.bell.heed(), Heard::Rang);
}

/// What is no hello is refused: cut, garbled, empty, too long; and the next process is greeted.
#[test]
fn what_is_no_hello_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let mut listener = Listener::bind(&path).unwrap();
    let address = SocketAddrUnix::new(&path).unwrap();
    for garbage in [&b""[..], b"U", b"UVld\0\x03", &[0xff; 64], &[0; 4000]] {
        let socket = new_socket().unwrap();
        connect(&socket, &address).unwrap();
        let caller = next(&mut listener);
        assert_eq!(caller.hello(), Ok(None));
        send(&socket, garbage, SendFlags::NOSIGNAL).unwrap();
        assert_eq!(caller.hello(), Err(Refusal::Malformed));
        caller.refuse(Refusal::Malformed);
    }
}

/// A refusal says why.
#[test]
fn who_is_refused_hears_why() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let mut listener = Listener::bind(&path).unwrap();
    let process = thread::spawn(move || attach(&path, Kind::Sysv));
    next(&mut listener).refuse(Refusal::TooManyProcesses);
    let refused = process.join().unwrap().unwrap_err();
    assert!(matches!(refused, AttachError::Refused(Refusal::TooManyProcesses)), "{refused}");
}

/// The daemon sees who comes, whoever that says it is; another user's process can connect, so that it
/// can be told why it is refused.
#[test]
fn another_user_is_seen() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(place.path(), mode).unwrap();
    let mut listener = Listener::bind(&path).unwrap();
    let daemon = thread::spawn(move || {
        let caller = next(&mut listener);
        let user = caller.user;
        caller.refuse(Refusal::NotAllowed { user });
        listener
    });
    let place = path.clone();
    let heard = as_nobody(move || {
        let refused = attach(&place, Kind::Shm);
        let expected = Refusal::NotAllowed { user: super::NOBODY };
        Ok(matches!(refused, Err(AttachError::Refused(refusal)) if refusal == expected))
    });
    assert_ne!(heard, Some(false));
    if heard.is_none() {
        let _ = attach(&path, Kind::Shm);
    }
    daemon.join().unwrap();
}

/// No daemon, a file that is no socket, a path that is too long: an error that says where.
#[test]
fn no_daemon_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [place.path().join("none"), file.clone(), place.path().join("n".repeat(200))] {
        let error = attach(&path, Kind::Shm).unwrap_err().to_string();
        assert!(error.starts_with("no daemon is reached at /"), "{error}");
    }
    assert!(Listener::bind(&file).is_err(), "it is somebody's");
    assert!(file.exists());
}

/// A killed daemon leaves its socket: the next one takes its place; but not that of a living one. In
/// the end nothing is left.
#[test]
fn a_socket_that_was_left_is_taken_over() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let mut left = Listener::bind(&path).unwrap();
    let error = Listener::bind(&path).unwrap_err().to_string();
    assert!(error.ends_with("another daemon listens there"), "{error}");
    left.forget_file();
    drop(left);
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    let next = Listener::bind(&path).unwrap();
    drop(next);
    assert!(!path.exists());
}
