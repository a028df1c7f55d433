//! Long requests and replies.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use unavez::attached::Kind;
use unavez::protocol::{self, BODY_MAX};
use unavez::{CallError, Conclusion, IpcClient, IpcServer, RawMsg, SendError, Site};

use super::{Host, KINDS, LONG};

/// Around what fits a datagram, and a message of the channel; and many of them.
const LENGTHS: [usize; 8] = [0, BODY_MAX, BODY_MAX + 1, 6000, 9000, 70_000, 1 << 20, 5_000_000];

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

fn comes_back(client: &IpcClient, len: usize) {
    let reply = client.call(RawMsg::new(body(len)).timeout(LONG)).unwrap();
    assert!(reply.body() == &body(len), "{len} bytes");
}

/// Through each kind of channel, on one host and between two: each comes back as it was.
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
                LENGTHS.into_iter().for_each(|len| comes_back(&client, len));
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
        let (client, stop) = (IpcClient::new(&asks, server.port()), AtomicBool::new(false));
        thread::scope(|scope| {
            echo(scope, &server, 8);
            let (stop, client) = (&stop, &client);
            let long = (1..4).map(|thread| {
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        comes_back(client, 3_000_000 / thread);
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

/// The daemon is restarted again and again under long calls: none runs twice, and none that ran is said
/// not to have run.
#[test]
fn long_calls_and_restarts() {
    for kind in KINDS {
        let mut near = Host::new();
        let far = Host::new();
        let site = far.attach(Kind::Shm);
        let server = IpcServer::new(&site).unwrap();
        let client = IpcClient::new(&near.attach(kind), server.port());
        let runs: Mutex<HashMap<u64, u32>> = Mutex::default();
        let (mut denied, mut answered) = (Vec::new(), 0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Ok((request, id)) = server.receive_request() {
                        let number = u64::from_be_bytes(request.body()[..8].try_into().unwrap());
                        *runs.lock().unwrap().entry(number).or_default() += 1;
                        let _ = server.send_reply(request, id);
                    }
                });
            }
            for round in 0..20 {
                let ask = |number: u64| {
                    let mut body = vec![7; 300_000];
                    body[..8].copy_from_slice(&number.to_be_bytes());
                    (number, client.send_request(RawMsg::new(body).timeout(LONG)).unwrap())
                };
                let calls: Vec<_> = (round * 8..round * 8 + 8).map(ask).collect();
                thread::sleep(Duration::from_millis(round * 10));
                near.stop();
                near.start();
                for (number, call) in calls {
                    match client.receive_reply_of(call) {
                        Ok(reply) => {
                            assert_eq!(reply.body()[..8], number.to_be_bytes());
                            answered += 1;
                        }
                        Err(error) if error.conclude() == Conclusion::NotExecuted => {
                            denied.push(number);
                        }
                        Err(_) => {}
                    }
                }
            }
            site.stop();
        });
        let runs = runs.lock().unwrap();
        assert!(runs.values().all(|times| *times == 1), "{runs:?}");
        assert!(denied.iter().all(|number| !runs.contains_key(number)), "{denied:?}");
        assert!(answered > 0, "the next daemon sends what the last one has not seen");
    }
}

/// A body that is too long is refused as at a site of one's own, before anything is sent of it.
#[test]
fn too_long_is_too_long_everywhere() {
    let host = Host::new();
    for site in [host.attach(Kind::Shm), host.attach(Kind::Sysv), Site::embedded().unwrap()] {
        let client = IpcClient::new(&site, IpcServer::new(&site).unwrap().port());
        let too_long = SendError::Refused(protocol::SendError::TooLong);
        let body = vec![0; site.config().message_max + 1];
        assert_eq!(client.call(body.clone()), Err(CallError::NotSent(too_long)));
        assert_eq!(client.send_request(body), Err(too_long));
        assert_eq!(site.entries().unwrap().calls, 0);
    }
}
