//! The library at a daemon that ends in the middle of a long message.

use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use super::{Host, LONG, until};
use crate::attached::{self, Kind};
use crate::ipc::{CallError, Conclusion, SendError, SiteError};
use crate::local::Channel;
use crate::local::bell::Bell;
use crate::local::hello::{Terms, Welcome};
use crate::local::listen::{Came, Listener};
use crate::local::message::{Down, Ended};
use crate::local::noted;
use crate::local::parts::{Came as Taken, Parts};
use crate::local::queues::Queues;
use crate::local::room::Room;
use crate::local::shm::Shm;
use crate::protocol::{self, Epoch, IpcPort, NotExecuted, SiteId};
use crate::{IpcClient, RawMsg, Site};

const BODY_MAX: usize = 1 << 20;
const KINDS: [Kind; 2] = [Kind::Shm, Kind::Sysv];

/// A daemon that reads so much as it is told to, says nothing, and ends as if it were killed.
struct False {
    channel: Box<dyn Channel>,
    bell: Bell,
    parts: Parts,
    /// How long the messages were that have come whole.
    heard: Vec<usize>,
    _listener: Listener,
}

impl False {
    /// Attaches one process.
    fn attach(host: &Host, kind: Kind) -> (False, Site) {
        let mut listener = Listener::bind(&host.socket()).unwrap();
        let options = attached::Options { socket: Some(host.socket()), channel: kind };
        let process = thread::spawn(|| Site::attach_with(options).unwrap());
        let caller = loop {
            if let Came::Caller(caller) = listener.accept().unwrap() {
                break caller;
            }
        };
        until(|| caller.hello().unwrap().is_some());
        let (channel, memory, queues): (Box<dyn Channel>, _, _) = match kind {
            Kind::Shm => {
                let (channel, memory) = Shm::make().unwrap();
                (Box::new(channel), memory, None)
            }
            Kind::Sysv => {
                noted::clean(host.place.path()).unwrap();
                let made = Queues::make(host.place.path(), caller.user).unwrap();
                (Box::new(made.0), made.1, Some(made.2))
            }
        };
        let terms = Terms {
            calls_max: 16,
            takes_max: 16,
            patience_default: Duration::from_secs(30),
            message_max: BODY_MAX as u32,
            long_bytes_max: 2 * BODY_MAX as u64 + 5000,
        };
        let welcome = Welcome {
            site: SiteId(7),
            epoch: Epoch { counter: 1, random: 2 },
            address: "127.0.0.1:7373".parse().unwrap(),
            process: 1,
            queues,
            terms,
        };
        let rings = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        let bell = caller.welcome(welcome, &memory, &rings).unwrap();
        let (parts, heard) = (Parts::new(0, BODY_MAX, usize::MAX), Vec::new());
        let daemon = False { channel, bell, parts, heard, _listener: listener };
        (daemon, process.join().unwrap())
    }

    /// Reads so many messages and parts.
    fn read(&mut self, count: usize) {
        for _ in 0..count {
            until(|| self.reads());
        }
    }

    fn reads(&mut self) -> bool {
        let mut buffer = Vec::new();
        if !self.channel.try_receive(&mut buffer).unwrap() {
            return false;
        }
        if self.channel.freed() {
            self.bell.ring();
        }
        if let Taken::Whole(it) = self.parts.take(&buffer, &mut Room::new(usize::MAX)).unwrap() {
            self.heard.push(it.bytes().len());
        }
        true
    }
}

fn client(site: &Site) -> IpcClient {
    IpcClient::new(site, IpcPort::site_at("127.0.0.1:1".parse().unwrap()))
}

/// The next daemon takes as much. (What the protocol says to that shows that it was asked.)
fn next(host: &mut Host) {
    let mut options = host.options();
    options.config.message_max = protocol::BODY_MAX;
    host.daemon = Some(super::Daemon::start_with(options, BODY_MAX).unwrap());
}

fn request() -> RawMsg {
    RawMsg::new(vec![5; BODY_MAX]).timeout(LONG)
}

/// How the next daemon ends a long call.
fn asked() -> CallError {
    CallError::NotSent(protocol::SendError::TooLong.into())
}

fn parts_of(body: usize) -> usize {
    // The header is in the first.
    (body + 200).div_ceil(crate::local::MESSAGE_MAX - 16)
}

/// Parts of a request were read, and all but the last: the daemon has not acted on it, and the next one
/// is asked. When it had them all, nobody can tell.
#[test]
fn half_a_request_is_said_again() {
    for kind in KINDS {
        let all = parts_of(BODY_MAX);
        for (read, end) in [
            (0, asked()),
            (3, asked()),
            (all - 1, asked()),
            (all, CallError::Site(SiteError::Restarted)),
        ] {
            let mut host = Host { daemon: None, place: tempfile::tempdir().unwrap() };
            let (mut daemon, site) = False::attach(&host, kind);
            let client = client(&site);
            let call = client.send_request(request()).unwrap();
            daemon.read(read);
            drop(daemon);
            next(&mut host);
            assert_eq!(client.receive_reply_of(call), Err(end), "{kind}, {read} of {all}");
        }
    }
}

/// A call is called off while it leaves, or its patience ends: it was never asked, and what is said next
/// comes.
#[test]
fn what_is_called_off_half_way_was_never_asked() {
    for kind in KINDS {
        let host = Host { daemon: None, place: tempfile::tempdir().unwrap() };
        let (mut daemon, site) = False::attach(&host, kind);
        let client = client(&site);
        let call = client.send_request(request()).unwrap();
        daemon.read(1);
        client.cancel(call).unwrap();
        assert_eq!(client.receive_reply_of(call), Err(NotExecuted::Cancelled.into()));

        let soon = Duration::from_millis(50);
        let late = client.send_request(request().timeout(soon)).unwrap();
        let error = client.receive_reply_of(late).unwrap_err();
        assert_eq!(error.conclude(), Conclusion::NotExecuted, "{error}");

        client.send_request("short").unwrap();
        until(|| {
            daemon.reads();
            !daemon.heard.is_empty() && daemon.parts.claimed() == 0
        });
        assert!(daemon.heard.len() == 1 && daemon.heard[0] < 200, "{:?}", daemon.heard);
    }
}

/// A long request is said, and a short one after it: that one is there first. An ordered one is not.
#[test]
fn a_short_request_passes_a_long_one() {
    for kind in KINDS {
        let host = Host { daemon: None, place: tempfile::tempdir().unwrap() };
        let (mut daemon, site) = False::attach(&host, kind);
        let client = client(&site);
        client.send_request(request().ordered()).unwrap();
        client.send_request(RawMsg::from("in order").ordered()).unwrap();
        client.send_request("short").unwrap();
        until(|| {
            daemon.reads();
            daemon.heard.len() == 3
        });
        let [first, second, third] = daemon.heard[..] else { panic!() };
        assert!(first < 200 && second > BODY_MAX && third < 200, "{:?}", daemon.heard);
    }
}

/// More long requests than the daemon takes at once: the rest waits at home until one has ended, ordered
/// ones behind it; short ones do not wait.
#[test]
fn what_the_daemon_has_no_room_for_waits_at_home() {
    let host = Host { daemon: None, place: tempfile::tempdir().unwrap() };
    let (mut daemon, site) = False::attach(&host, Kind::Shm);
    let client = client(&site);
    for _ in 0..4 {
        client.send_request(request()).unwrap();
    }
    let called_off = client.send_request(request()).unwrap();
    client.send_request(RawMsg::from("in order").ordered()).unwrap();
    client.send_request("short").unwrap();
    let hears = |daemon: &mut False, count| {
        until(|| {
            daemon.reads();
            daemon.heard.len() == count
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!daemon.reads(), "{:?}", daemon.heard);
    };
    hears(&mut daemon, 3);
    client.cancel(called_off).unwrap();
    assert_eq!(client.receive_reply_of(called_off), Err(NotExecuted::Cancelled.into()));
    for (ended, heard) in [(1, 4), (2, 6)] {
        let mut end = Vec::new();
        Down::End { call: ended, ended: Ended::Reply }.encode(&[], &mut end);
        daemon.channel.try_send(&end, &[]).unwrap();
        daemon.bell.ring();
        hears(&mut daemon, heard);
    }
    assert_eq!(daemon.heard.iter().filter(|len| **len > BODY_MAX).count(), 4);
}

/// The next daemon takes less: what is too long for it ends, and the rest is asked.
#[test]
fn what_is_too_long_for_the_next_daemon_ends() {
    let mut host = Host { daemon: None, place: tempfile::tempdir().unwrap() };
    let (daemon, site) = False::attach(&host, Kind::Shm);
    let client = client(&site);
    let long = client.send_request(request()).unwrap();
    drop(daemon);
    host.start(|options| options.config.message_max = protocol::BODY_MAX);
    assert_eq!(client.receive_reply_of(long), Err(asked()));
    let at_once = client.send_request(vec![0; protocol::BODY_MAX + 1]);
    assert_eq!(at_once, Err(SendError::Refused(protocol::SendError::TooLong)));
}
