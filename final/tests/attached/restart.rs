//! A daemon that is stopped and started under living programs.

use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, accept, bind, listen, socket};
use unavez::protocol::NotExecuted;
use unavez::{CallError, Conclusion, IpcClient, IpcServer, RawMsg, SendError, SiteError};

use super::{Host, KINDS, LONG, until};

/// A server is found by its name again, by a client that knew it before; nobody did anything for it.
#[test]
fn programs_outlive_the_daemon() {
    for kind in KINDS {
        let mut host = Host::new();
        let (site, at_client) = (host.attach(kind), host.attach(kind));
        let server = IpcServer::new(&site).unwrap();
        server.register("echo").unwrap();
        let port = server.port();
        thread::scope(|scope| {
            let serves = scope.spawn(|| {
                while let Ok((request, id)) = server.receive_request() {
                    let _ = server.send_reply(request, id);
                }
            });
            for _ in 0..3 {
                let url = format!("unavez://{}/echo", site.address());
                let client = IpcClient::open(&at_client, &url).unwrap();
                until(|| client.call(RawMsg::from("x").timeout(Duration::from_secs(1))).is_ok());
                let epoch = site.epoch();
                host.stop();
                host.start();
                until(|| site.epoch() != epoch && at_client.epoch() == site.epoch());
            }
            until(|| server.port() != port);
            site.stop();
            serves.join().unwrap();
        });
    }
}

/// A request that no daemon has seen waits for the next one, and runs.
#[test]
fn what_no_daemon_has_seen_is_sent_by_the_next() {
    for kind in KINDS {
        let mut host = Host::new();
        let other = Host::new();
        let server = IpcServer::new(&other.attach(kind)).unwrap();
        let site = host.attach(kind);
        let client = IpcClient::new(&site, server.port());
        host.stop();
        let ids: Vec<_> =
            (0..3).map(|_| client.send_request(RawMsg::from("x").timeout(LONG)).unwrap()).collect();
        host.start();
        for id in ids {
            let (request, from) = server.receive_request().unwrap();
            server.send_reply(request, from).unwrap();
            assert_eq!(client.receive_reply_of(id).unwrap().body(), "x");
        }
    }
}

/// While there is no daemon a call's patience ends all the same, and it is known that it did not run.
#[test]
fn patience_ends_without_a_daemon() {
    let mut host = Host::new();
    let site = host.attach(KINDS[0]);
    let client = IpcClient::new(&site, IpcServer::new(&site).unwrap().port());
    host.stop();
    let soon = RawMsg::from("x").timeout(Duration::from_millis(20));
    assert_eq!(client.call(soon), Err(NotExecuted::NeverSent.into()));
    let id = client.send_request(RawMsg::from("x").unlimited()).unwrap();
    client.cancel(id).unwrap();
    assert_eq!(client.receive_reply_of(id), Err(NotExecuted::Cancelled.into()));
}

/// A call that the daemon had in hand when it stopped ends in words, and so does its service.
#[test]
fn what_the_daemon_had_in_hand_ends() {
    for kind in KINDS {
        let mut host = Host::new();
        let (site, at_client) = (host.attach(kind), host.attach(kind));
        let server = IpcServer::new(&site).unwrap();
        let client = IpcClient::new(&at_client, server.port());
        let id = client.send_request(RawMsg::from("x").timeout(LONG)).unwrap();
        let (_, from) = server.receive_request().unwrap();
        host.stop();
        let error = client.receive_reply_of(id).unwrap_err();
        assert_eq!(error, CallError::Site(SiteError::Restarted));
        assert_eq!(error.conclude(), Conclusion::Unknown);
        until(|| server.is_cancelled(&from));
        let lost = SendError::Site(SiteError::Restarted);
        assert_eq!(server.send_reply("late", from), Err(lost));
        host.start();
    }
}

/// A daemon that stops waits until its processes have left, and they do so at once: also those that
/// nobody uses at the moment.
#[test]
fn a_daemon_that_stops_is_left_at_once() {
    let mut host = Host::new();
    let _idle = KINDS.map(|kind| host.attach(kind));
    let times = (0..5).map(|_| {
        until(|| host.daemon.as_ref().is_some_and(|daemon| daemon.processes() == 2));
        let began = Instant::now();
        host.stop();
        let took = began.elapsed();
        host.start();
        took
    });
    // It would wait for half a second. A busy machine may be slow, but not five times.
    let fastest = times.min().unwrap();
    assert!(fastest < Duration::from_millis(300), "{fastest:?}");
}

/// A call that may run more than once is asked again by the next daemon, also if the last one had it in
/// hand; the server is told that the first was lost.
#[test]
fn what_may_run_again_is_asked_again() {
    for kind in KINDS {
        let mut host = Host::new();
        let other = Host::new();
        let server = IpcServer::new(&other.attach(kind)).unwrap();
        let client = IpcClient::new(&host.attach(kind), server.port());
        let request = RawMsg::from("x").timeout(LONG).idempotent();
        let id = client.send_request(request).unwrap();
        let (_, first) = server.receive_request().unwrap();
        host.stop();
        host.start();
        let (request, second) = server.receive_request().unwrap();
        server.send_reply(request, second).unwrap();
        assert_eq!(client.receive_reply_of(id).unwrap().body(), "x");
        assert_ne!(first, second);
    }
}

/// What only a daemon can do waits for the next one, and ends when there is none for too long.
#[test]
fn what_only_a_daemon_can_do_waits_for_it() {
    let mut host = Host::new();
    host.stop();
    host.patience = Some(Duration::from_millis(50));
    host.start();
    let site = host.attach(KINDS[0]);
    let server = IpcServer::new(&site).unwrap();
    host.stop();
    until(|| site.counters() == Err(SiteError::Away));
    assert_eq!(server.register("late"), Err(SiteError::Away.into()));
    assert_eq!(IpcServer::new(&site).map(drop), Err(SiteError::Away.into()));
    host.start();
    until(|| server.register("again").is_ok());
}

/// A site that is stopped while there is no daemon leaves at once.
#[test]
fn a_site_without_a_daemon_is_stopped() {
    let mut host = Host::new();
    let site = host.attach(KINDS[0]);
    let server = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&site, server.port());
    host.stop();
    thread::scope(|scope| {
        let calls = scope.spawn(|| client.call("x"));
        let serves = scope.spawn(|| server.receive_request().map(drop));
        thread::sleep(Duration::from_millis(20));
        site.stop();
        assert!(matches!(calls.join().unwrap(), Err(CallError::NotExecuted(_))));
        assert_eq!(serves.join().unwrap(), Err(SiteError::Stopped));
    });
}

/// While there is no daemon a program that never waits sees the end of its calls all the same.
#[test]
fn who_never_waits_sees_the_end() {
    let mut host = Host::new();
    let site = host.attach(KINDS[0]);
    let client = IpcClient::new(&site, IpcServer::new(&site).unwrap().port());
    host.stop();
    let soon = RawMsg::from("x").timeout(Duration::from_millis(20));
    let id = client.send_request(soon).unwrap();
    let mut end = None;
    until(|| {
        end = client.try_receive_reply_of(id);
        end.is_some()
    });
    assert_eq!(end, Some(Err(NotExecuted::NeverSent.into())));
}

/// What listens in the daemon's place does not answer, as a daemon that is stopped: the site is stopped
/// all the same, at once.
#[test]
fn a_silent_daemon_keeps_nobody() {
    let mut host = Host::new();
    let site = host.attach(KINDS[0]);
    host.stop();
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let silent = socket(family, kind, None).unwrap();
    bind(&silent, &SocketAddrUnix::new(host.socket()).unwrap()).unwrap();
    listen(&silent, 1).unwrap();
    // It is looked for.
    let _seeks = accept(&silent).unwrap();
    thread::sleep(Duration::from_millis(20));
    let began = Instant::now();
    site.stop();
    assert!(began.elapsed() < LONG / 4, "{:?}", began.elapsed());
}
