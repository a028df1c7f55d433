//! Long requests and replies. How long they may be is the site's affair: what it does not send, it says
//! so at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use unavez::attached::Kind;
use unavez::protocol::{self, BODY_MAX};
use unavez::{CallError, IpcClient, IpcServer, RawMsg, SendError, Site};

use super::{Host, KINDS, LONG};

const LENGTHS: [usize; 7] = [0, BODY_MAX, 6000, 9000, 70_000, 1 << 20, 5_000_000];
const TOO_LONG: CallError = CallError::NotSent(SendError::Refused(protocol::SendError::TooLong));

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8) ^ len) as u8).collect()
}

/// Answers everything with itself, in so many threads, until the site is stopped.
fn echo<'a>(scope: &'a thread::Scope<'a, '_>, server: &'a IpcServer, threads: usize) {
    for _ in 0..threads {
        scope.spawn(|| {
            while let Ok((request, id)) = server.receive_request() {
                let _ = server.send_reply(request, id);
            }
        });
    }
}

/// The longest of the lengths that a call may have.
fn longest(client: &IpcClient) -> usize {
    let mut sent = LENGTHS.into_iter().rev();
    sent.find(|len| client.call(RawMsg::new(body(*len)).timeout(LONG)) != Err(TOO_LONG)).unwrap()
}

fn comes_back(client: &IpcClient, len: usize) {
    let reply = client.call(RawMsg::new(body(len)).timeout(LONG)).unwrap();
    assert!(reply.body() == &body(len), "{len} bytes");
}

/// Of all lengths that may be, through each kind of channel, on one host and between two: each comes back
/// as it was.
#[test]
fn what_is_long_comes_back() {
    for (at_client, at_server) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (one, other) = (Host::new(), Host::new());
        for host in [&one, &other] {
            let (site, asks) = (one.attach(KINDS[at_server]), host.attach(KINDS[at_client]));
            let server = IpcServer::new(&site).unwrap();
            let client = IpcClient::new(&asks, server.port());
            thread::scope(|scope| {
                echo(scope, &server, 1);
                let longest = longest(&client);
                assert!(longest >= BODY_MAX);
                for len in LENGTHS {
                    let end = client.call(RawMsg::new(body(len)).timeout(LONG));
                    match len <= longest {
                        true => assert!(end.unwrap().body() == &body(len), "{len} bytes"),
                        false => assert_eq!(end, Err(TOO_LONG), "{len} bytes"),
                    }
                }
                site.stop();
            });
        }
    }
}

/// Threads call with long bodies without end, others with short ones, and all share two sites: to each
/// its own.
#[test]
fn long_and_short_calls_share_a_channel() {
    for kind in KINDS {
        let host = Host::new();
        let (site, asks) = (host.attach(kind), host.attach(kind));
        let server = IpcServer::new(&site).unwrap();
        let client = IpcClient::new(&asks, server.port());
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            echo(scope, &server, 8);
            let longest = longest(&client);
            let (stop, client) = (&stop, &client);
            let long = (1..4).map(|thread| {
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        comes_back(client, longest / thread);
                    }
                })
            });
            let long: Vec<_> = long.collect();
            let short = (0..4).map(|thread| {
                scope.spawn(move || (0..200).for_each(|it| comes_back(client, thread * 200 + it)))
            });
            let short: Vec<_> = short.collect();
            short.into_iter().for_each(|thread| thread.join().unwrap());
            stop.store(true, Ordering::Relaxed);
            long.into_iter().for_each(|thread| thread.join().unwrap());
            site.stop();
        });
    }
}

/// A body that is too long is refused as at a site of one's own, before anything is sent of it.
#[test]
fn too_long_is_too_long_everywhere() {
    let host = Host::new();
    for site in [host.attach(Kind::Shm), host.attach(Kind::Sysv), Site::embedded().unwrap()] {
        let client = IpcClient::new(&site, IpcServer::new(&site).unwrap().port());
        let too_long = vec![0; 65 << 20];
        assert_eq!(client.call(too_long.clone()), Err(TOO_LONG));
        assert_eq!(client.send_request(too_long).map_err(CallError::NotSent), Err(TOO_LONG));
        assert_eq!(site.entries().unwrap().calls, 0);
    }
}
