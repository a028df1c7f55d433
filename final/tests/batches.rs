//! Requests and replies that are sent and received together.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;

use unavez::protocol::{self, Config, Note};
use unavez::{CallError, IpcClient, IpcServer, Options, SendError, Site, SiteError};

fn site() -> Site {
    site_with(Config::default())
}

fn site_with(config: Config) -> Site {
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Site::with(Options { listen, config, ..Options::default() }).unwrap()
}

/// Echoes in so many threads, until the site stops.
fn echo(server: IpcServer, threads: usize, most: usize) {
    let server = std::sync::Arc::new(server);
    for _ in 0..threads {
        let server = std::sync::Arc::clone(&server);
        thread::spawn(move || {
            while let Ok(requests) = server.receive_requests(most) {
                assert!((1..=most).contains(&requests.len()));
                assert!(server.send_replies(requests).iter().all(Result::is_ok));
            }
        });
    }
}

/// Far more requests than a window has, sent at once and taken in handfuls: each has its own reply, and
/// none ran twice (R1).
#[test]
fn each_of_many_has_its_own_reply() {
    let (at, from) = (site(), site());
    let server = IpcServer::new(&at).unwrap();
    let client = IpcClient::new(&from, server.port());
    echo(server, 1, 7);
    let sent = client.send_requests((0..3000).map(|number| number.to_string()));
    let sent: Vec<_> = sent.into_iter().map(Result::unwrap).collect();
    let mut came = Vec::new();
    while came.len() < sent.len() {
        let some = client.receive_replies(100).unwrap();
        assert!((1..=100).contains(&some.len()));
        came.extend(some);
    }
    for (id, reply) in came {
        let number = sent.iter().position(|it| *it == id).unwrap();
        assert_eq!(reply.unwrap().body(), &number.to_string());
    }
    assert_eq!(at.counters().unwrap().get(Note::Executed), 3000);
}

/// Threads that send, serve and receive together, at one site that does all of it.
#[test]
fn many_threads_share_batches() {
    let site = site();
    let server = IpcServer::new(&site).unwrap();
    let port = server.port();
    echo(server, 3, 10);
    thread::scope(|scope| {
        for number in 0..4 {
            let client = IpcClient::new(&site, port);
            scope.spawn(move || {
                for round in 0..50 {
                    let bodies = (0..20).map(|count| format!("{number} {round} {count}"));
                    let expected: BTreeSet<String> = bodies.clone().collect();
                    assert!(client.send_requests(bodies).iter().all(Result::is_ok));
                    let mut came = BTreeSet::new();
                    while came.len() < 20 {
                        for (_, reply) in client.receive_replies(3).unwrap() {
                            let body = reply.unwrap().into_body();
                            came.insert(String::from_utf8(body.into()).unwrap());
                        }
                    }
                    assert_eq!(came, expected);
                }
            });
        }
    });
    site.stop();
}

/// One that cannot be sent is told apart from those before and behind it, which are; none is asked for
/// more than it can give.
#[test]
fn each_is_told_whether_it_was_sent() {
    let (at, from) = (site(), site_with(Config { message_max: 50_000, ..Config::default() }));
    let server = IpcServer::new(&at).unwrap();
    let client = IpcClient::new(&from, server.port());
    let bodies = [vec![1], vec![2; 50_001], vec![3], vec![4; 50_000]];
    let sent = client.send_requests(bodies);
    let too_long = SendError::from(protocol::SendError::TooLong);
    assert_eq!(sent[1], Err(too_long));
    assert_eq!(sent.iter().filter(|it| it.is_ok()).count(), 3);
    assert_eq!(client.send_requests(Vec::<String>::new()), []);

    let mut requests = server.receive_requests(0).unwrap();
    assert_eq!(requests.len(), 1, "it waits for one in any case");
    while requests.len() < 3 {
        requests.extend(server.receive_requests(usize::MAX).unwrap());
    }
    // None is answered twice, and that keeps no other from being answered.
    let answers = requests.iter().chain(&requests).map(|(request, id)| (request.clone(), *id));
    let not_serving = SendError::from(protocol::SendError::NotServing);
    let expected = [[Ok(()); 3], [Err(not_serving); 3]].concat();
    assert_eq!(server.send_replies(answers), expected);
    for (sent, len) in [(sent[0], 1), (sent[2], 1), (sent[3], 50_000)] {
        assert_eq!(client.receive_reply_of(sent.unwrap()).unwrap().body().len(), len);
    }
}

/// A site that was stopped sends nothing and brings nothing but the end of what was open.
#[test]
fn a_stopped_site_says_so_for_each() {
    let (at, from) = (site(), site());
    let server = IpcServer::new(&at).unwrap();
    let client = IpcClient::new(&from, server.port());
    client.send_requests(["one", "two"]);
    from.stop();
    let ended = client.receive_replies(10).unwrap();
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|(_, end)| matches!(end, Err(CallError::Unknown(_)))));
    assert_eq!(client.receive_replies(10), Err(SiteError::Stopped));
    assert_eq!(client.send_requests(["three"]), [Err(SiteError::Stopped.into())]);
    at.stop();
    assert_eq!(server.receive_requests(10), Err(SiteError::Stopped));
}

/// All of these where the kernel is not asked to cut and join datagrams.
#[test]
fn the_same_without_the_kernels_help() {
    let this = std::env::current_exe().unwrap();
    let skip = ["--skip", "the_same_without_the_kernels_help"];
    let output =
        std::process::Command::new(this).args(skip).env("UNAVEZ_UDP_OFFLOAD", "off").output();
    let output = output.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("4 passed"), "{printed}");
}
