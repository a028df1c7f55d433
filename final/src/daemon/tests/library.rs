//! The library at a daemon that is made to stand still.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use super::super::limits::TAKES_MAX;
use super::{Host, LONG, until};
use crate::attached::{self, Kind};
use crate::daemon::Options;
use crate::local::message::Ended;
use crate::protocol::{IpcPort, Target, Unknown};
use crate::{IpcClient, IpcServer, RawMsg, Site, SiteError};

fn attach(host: &Host, channel: Kind) -> Site {
    Site::attach_with(attached::Options { socket: Some(host.socket()), channel }).unwrap()
}

/// More is said than the channel holds while the thread that leads sleeps on the word, where it hears
/// messages only: the rest is said when there is room.
#[test]
fn what_has_no_room_is_said_later() {
    for kind in [Kind::Shm, Kind::Sysv] {
        let host = Host::new();
        let site = attach(&host, kind);
        let server = IpcServer::new(&site).unwrap();
        // It takes everything, and answers nothing.
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = IpcClient::new(&site, IpcPort::site_at(nobody.local_addr().unwrap()));
        let ask = || client.send_request(RawMsg::new(vec![0; 1000]).unlimited()).unwrap();
        let waits = thread::spawn(move || server.receive_request());
        ask();
        // The thread sleeps.
        thread::sleep(Duration::from_millis(50));
        let stands_still = host.daemon().door.lock();
        for _ in 0..200 {
            ask();
        }
        drop(stands_still);
        until(|| host.daemon().entries().calls == 201);
        site.stop();
        assert!(waits.join().unwrap().is_err());
    }
}

/// A port has in hand all that a process may have, and is closed: the other ports of the process get
/// requests again.
#[test]
fn what_a_closed_port_had_is_for_others() {
    let host = Host::new();
    let site = attach(&host, Kind::Shm);
    let (hoards, waits) = (IpcServer::new(&site).unwrap(), IpcServer::new(&site).unwrap());
    let at_client = attach(&host, Kind::Shm);
    let client = IpcClient::new(&at_client, hoards.port());
    for _ in 0..TAKES_MAX {
        client.send_request("x").unwrap();
        hoards.receive_request().unwrap();
    }
    let client = IpcClient::new(&at_client, waits.port());
    let serves = thread::spawn(move || waits.receive_request_timeout(LONG / 2).unwrap());
    thread::sleep(Duration::from_millis(50));
    drop(hoards);
    client.send_request("y").unwrap();
    assert_eq!(serves.join().unwrap().unwrap().0.body(), "y");
}

/// A name is registered while there is no daemon, which is given up and tried again: it is not in its
/// own way.
#[test]
fn what_was_given_up_is_not_done_later() {
    let short = |options: &mut Options| {
        options.config.patience_default = Duration::from_millis(200);
    };
    let mut host = Host::with(short);
    let site = attach(&host, Kind::Shm);
    let server = IpcServer::new(&site).unwrap();
    let port = server.port();
    drop(host.daemon.take());
    for _ in 0..8 {
        assert_eq!(server.register("name"), Err(SiteError::Away.into()));
    }
    host.start(short);
    until(|| server.port() != port);
    assert_eq!(server.register("name"), Ok(()));
}

/// A server gives a long reply and leaves, while the daemon stands still: the reply is said all the same,
/// before its port is closed, and before the site is stopped.
#[test]
fn who_leaves_has_said_its_reply() {
    for kind in [Kind::Shm, Kind::Sysv] {
        for stops in [true, false] {
            let host = Host::with_bodies(1 << 20, |_| {});
            let site = attach(&host, kind);
            let server = IpcServer::new(&site).unwrap();
            let mut client = host.attach(Kind::Shm);
            client.ask(1, Target::Port(server.port()), b"?");
            let (_, id) = server.receive_request().unwrap();
            let stands_still = host.daemon().door.lock();
            server.send_reply(vec![0; 1 << 20], id).unwrap();
            let leaves = thread::spawn(move || {
                drop(server);
                if stops {
                    site.stop();
                }
                site
            });
            thread::sleep(Duration::from_millis(50));
            drop(stands_still);
            // It came whole, which the protocol says of it.
            assert_eq!(client.hear_end().1, Ended::Unknown(Unknown::ReplyTooBig));
            leaves.join().unwrap();
        }
    }
}

/// The daemon does not go on: it keeps nobody for long.
#[test]
fn who_leaves_waits_no_longer_than_that() {
    let host = Host::with_bodies(1 << 20, |_| {});
    let site = attach(&host, Kind::Shm);
    let server = IpcServer::new(&site).unwrap();
    let mut client = host.attach(Kind::Shm);
    client.ask(1, Target::Port(server.port()), b"?");
    let (_, id) = server.receive_request().unwrap();
    let stands_still = host.daemon().door.lock();
    server.send_reply(vec![0; 1 << 20], id).unwrap();
    let began = Instant::now();
    site.stop();
    assert!(began.elapsed() < LONG / 2);
    drop(stands_still);
    assert_eq!(client.hear_end().1, Ended::Unknown(Unknown::ServerDied));
}
