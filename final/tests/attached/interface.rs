//! The interface of §2, at an attached site.

use std::thread;
use std::time::Duration;

use unavez::{CallError, IpcClient, IpcServer, RawMsg, SendError, SiteError, TypedClient, serve};

use super::{Host, KINDS, LONG};

/// A call between two processes of one host, and of two; by port and by name; on either channel.
#[test]
fn a_call_is_answered() {
    for kind in KINDS {
        let (one, other) = (Host::new(), Host::new());
        for client_host in [&one, &other] {
            let site = one.attach(kind);
            let server = IpcServer::new(&site).unwrap();
            server.register("echo").unwrap();
            let at_client = client_host.attach(kind);
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..2 {
                        let (request, id) = server.receive_request().unwrap();
                        server.send_reply(request, id).unwrap();
                    }
                });
                let client = IpcClient::new(&at_client, server.port());
                assert_eq!(client.call("by port").unwrap().body(), "by port");
                let url = format!("unavez://{}/echo", site.address());
                let client = IpcClient::open(&at_client, &url).unwrap();
                assert_eq!(client.call("by name").unwrap().body(), "by name");
            });
        }
    }
}

/// Many threads ask and answer at once, and each gets its own.
#[test]
fn threads_share_a_site() {
    for kind in KINDS {
        let host = Host::new();
        let (site, at_client) = (host.attach(kind), host.attach(kind));
        let service = serve(&site, "double", 4, |it: u64| it * 2).unwrap();
        let client: TypedClient<u64, u64> = TypedClient::new(&at_client, service.port());
        thread::scope(|scope| {
            for thread in 0..8 {
                let client = &client;
                scope.spawn(move || {
                    for number in 0..50 {
                        let asked = thread * 1000 + number;
                        assert_eq!(client.call(&asked).unwrap(), asked * 2);
                    }
                });
            }
        });
    }
}

/// Without waiting: what has come is taken, what has not is not.
#[test]
fn nobody_need_wait() {
    let host = Host::new();
    let site = host.attach(KINDS[0]);
    let server = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&site, server.port());
    assert!(client.try_receive_reply().unwrap().is_none());
    let id = client.send_request("x").unwrap();
    let mut taken = None;
    super::until(|| {
        taken = server.try_receive_request().unwrap();
        taken.is_some()
    });
    let (request, from) = taken.unwrap();
    assert!(!server.is_cancelled(&from));
    assert!(client.try_receive_reply_of(id).is_none());
    server.send_reply(request, from).unwrap();
    assert_eq!(client.receive_reply_of(id).unwrap().body(), "x");
    let again = server.send_reply("again", from);
    assert_eq!(again, Err(unavez::protocol::SendError::NotServing.into()));
    let soon = Duration::from_millis(1);
    assert!(server.receive_request_timeout(soon).unwrap().is_none());
}

/// Nothing is sent of what cannot be, and the caller may conclude so.
#[test]
fn what_cannot_be_sent_is_refused() {
    let host = Host::new();
    let site = host.attach(KINDS[0]);
    let server = IpcServer::new(&site).unwrap();
    server.register("name").unwrap();
    let taken = SendError::Refused(unavez::protocol::SendError::BadName);
    for bad in ["name", "", &"n".repeat(5000)] {
        assert_eq!(server.register(bad), Err(taken), "{:?}", bad.len());
    }
    let client = IpcClient::new(&site, server.port());
    let long = client.call(vec![0; site.config().message_max + 1]);
    let too_long = SendError::Refused(unavez::protocol::SendError::TooLong);
    assert_eq!(long, Err(CallError::NotSent(too_long)));
}

/// A reply that is too long ends the call, and says that the service ran (R32).
#[test]
fn a_reply_that_is_too_long_is_said_to_be() {
    let host = Host::new();
    let site = host.attach(KINDS[0]);
    let server = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&site, server.port());
    let id = client.send_request("x").unwrap();
    let (_, from) = server.receive_request().unwrap();
    server.send_reply(vec![0; site.config().message_max + 1], from).unwrap();
    let error = client.receive_reply_of(id).unwrap_err();
    assert_eq!(error, unavez::protocol::Unknown::ReplyTooBig.into());
}

/// A server that takes no more answers what it was handed, and its threads leave; what comes then is
/// refused when it is dropped.
#[test]
fn finish_leaves_nothing_behind() {
    let host = Host::new();
    let site = host.attach(KINDS[0]);
    let server = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&host.attach(KINDS[0]), server.port());
    thread::scope(|scope| {
        let serves = scope.spawn(|| {
            let mut served = 0;
            loop {
                match server.receive_request() {
                    Ok((request, id)) => server.send_reply(request, id).unwrap(),
                    Err(error) => break (served, error),
                }
                served += 1;
            }
        });
        for _ in 0..10 {
            client.call("before").unwrap();
        }
        server.finish();
        assert_eq!(serves.join().unwrap(), (10, SiteError::Closed));
    });
    // Where nobody has waited, too.
    let idle = IpcServer::new(&site).unwrap();
    idle.finish();
    assert_eq!(idle.receive_request_timeout(LONG).map(drop), Err(SiteError::Closed));
    let late = client.send_request(RawMsg::from("late").timeout(LONG)).unwrap();
    drop(server);
    let error = client.receive_reply_of(late).unwrap_err();
    assert_eq!(error.conclude(), unavez::Conclusion::NotExecuted, "{error}");
}

/// What a client calls off is told to the server, and ends.
#[test]
fn what_is_called_off_is_told() {
    let host = Host::new();
    let site = host.attach(KINDS[0]);
    let server = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&site, server.port());
    let id = client.send_request("x").unwrap();
    let (_, from) = server.receive_request().unwrap();
    client.cancel(id).unwrap();
    assert!(client.receive_reply_of(id).is_err());
    super::until(|| server.is_cancelled(&from));
}

/// A client that is dropped calls off what it has open; a server that is dropped ends what it has in
/// hand (R28); a site that is stopped ends all, and all threads leave.
#[test]
fn what_is_dropped_ends() {
    let host = Host::new();
    let (site, at_client) = (host.attach(KINDS[0]), host.attach(KINDS[0]));
    let server = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&at_client, server.port());
    let id = client.send_request("x").unwrap();
    let _ = server.receive_request().unwrap();
    drop(server);
    let error = client.receive_reply_of(id).unwrap_err();
    assert_eq!(error, unavez::protocol::Unknown::ServerDied.into());

    let server = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&at_client, server.port());
    client.send_request("x").unwrap();
    let (_, from) = server.receive_request().unwrap();
    drop(client);
    super::until(|| server.is_cancelled(&from));

    thread::scope(|scope| {
        let waits = scope.spawn(|| server.receive_request().map(drop));
        site.stop();
        assert_eq!(waits.join().unwrap(), Err(SiteError::Stopped));
    });
    assert!(IpcServer::new(&site).is_err());
}

/// What is seen of the site is the daemon's.
#[test]
fn the_counters_are_the_daemons() {
    let host = Host::new();
    let site = host.attach(KINDS[0]);
    let daemon = host.daemon.as_ref().unwrap();
    assert_eq!((site.id(), site.epoch()), (daemon.id(), daemon.epoch()));
    assert_eq!(site.address(), daemon.address());
    assert_eq!(site.counters().unwrap(), daemon.counters());
    assert_eq!(site.entries().unwrap(), daemon.entries());
    assert_eq!(site.round_trips().unwrap(), []);
}
