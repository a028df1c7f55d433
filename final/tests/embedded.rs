//! The site inside the process: its threads, its lives, its bad days.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use unavez::embedded::Link;
use unavez::protocol::{Config, NotExecuted, Note, Unknown};
use unavez::{CallError, IpcClient, IpcServer, Options, RawMsg, Site, serve};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn with(options: Options) -> Site {
    Site::with(Options { listen: loopback(), ..options }).unwrap()
}

fn site() -> Site {
    with(Options::default())
}

/// Serves until the site stops.
fn echo_in(server: IpcServer, threads: usize) {
    let server = std::sync::Arc::new(server);
    for _ in 0..threads {
        let server = std::sync::Arc::clone(&server);
        thread::spawn(move || {
            while let Ok((request, id)) = server.receive_request() {
                let _ = server.send_reply(request, id);
            }
        });
    }
}

fn race(server: &Site, client: &Site) {
    let port = IpcServer::new(server).unwrap();
    let client = IpcClient::new(client, port.port());
    echo_in(port, 3);
    let client = &client;
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                for count in 0..2000 {
                    let body = format!("{number} {count}");
                    assert_eq!(client.call(body.clone()).unwrap().body(), &body);
                }
            });
        }
    });
    let counters = server.counters().unwrap();
    assert_eq!(counters.get(Note::Executed), 16_000);
    server.stop();
}

/// Eight threads of one client call at once, each leads and follows in turn, and three serve: each
/// reply is right, and nothing runs twice (R1).
#[test]
fn threads_that_race_for_the_lead_get_their_replies() {
    race(&site(), &site());
}

/// The same with both ends at one site, so that clients lead for servers and servers for clients.
#[test]
fn one_site_serves_itself() {
    let site = site();
    race(&site, &site);
}

/// A thread that waits for a slow reply does the receiving; another makes quick calls meanwhile. Each
/// of these is brought by the other thread, and the slow one by whoever leads then.
#[test]
fn a_waiting_thread_receives_for_the_others() {
    let (at, from) = (site(), site());
    let server = IpcServer::new(&at).unwrap();
    let client = IpcClient::new(&from, server.port());
    thread::scope(|scope| {
        let slow = scope.spawn(|| client.call(RawMsg::from("slow").unlimited()).unwrap());
        let (request, slow_id) = server.receive_request().unwrap();
        let quick = scope.spawn(|| {
            for _ in 0..100 {
                client.call("quick").unwrap();
            }
        });
        for _ in 0..100 {
            let (request, id) = server.receive_request().unwrap();
            server.send_reply(request, id).unwrap();
        }
        quick.join().unwrap();
        server.send_reply(request, slow_id).unwrap();
        assert_eq!(slow.join().unwrap().body(), "slow");
    });
}

/// The leader leaves while others follow, again and again: one of them leads on, and each gets its
/// reply though nobody else receives.
#[test]
fn a_leader_that_leaves_is_followed() {
    let (at, from) = (site(), site());
    let server = IpcServer::new(&at).unwrap();
    let client = &IpcClient::new(&from, server.port());
    thread::scope(|scope| {
        let calling: Vec<_> = (0..20)
            .map(|number: u32| scope.spawn(move || client.call(number.to_string()).unwrap()))
            .collect();
        let mut taken: Vec<_> = calling.iter().map(|_| server.receive_request().unwrap()).collect();
        // In some order that is neither first come nor last come.
        taken.sort_by_key(|(request, _)| {
            request.body().iter().map(|it| it ^ 5).rev().collect::<Vec<u8>>()
        });
        for (request, id) in taken {
            server.send_reply(request, id).unwrap();
        }
        for (number, thread) in calling.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap().body(), &number.to_string());
        }
    });
}

/// No thread of either process waits while a call is served for long: WORKING, heartbeats and answers
/// to them go on (R16, R27, R28).
#[test]
fn heartbeats_go_on_while_nobody_waits() {
    let config = Config { heartbeat_every: Duration::from_millis(100), ..Config::default() };
    let quick = || with(Options { config, ..Options::default() });
    let (at, from) = (quick(), quick());
    let server = IpcServer::new(&at).unwrap();
    let client = IpcClient::new(&from, server.port());
    let call = client.send_request("long").unwrap();
    let (request, id) = server.receive_request().unwrap();
    // More than may go unanswered.
    let enough = u64::from(config.heartbeats_missed_max) + 2;
    while from.counters().unwrap().get(Note::Heartbeat) < enough {
        thread::sleep(Duration::from_millis(5));
    }
    server.send_reply(request, id).unwrap();
    assert_eq!(client.receive_reply_of(call).unwrap().body(), "long");
}

/// A client whose site has a thread asleep with a far deadline sends: its retransmissions are in time
/// though the sleeper knew nothing of them (R5, R11).
#[test]
fn an_earlier_deadline_wakes_the_leader() {
    let lossy = Some(Link { drop: vec![1, 2], ..Link::default() });
    let (at, from) = (site(), with(Options { link: lossy, ..Options::default() }));
    let server = IpcServer::new(&at).unwrap();
    let client = IpcClient::new(&from, server.port());
    echo_in(server, 1);
    let idle = IpcServer::new(&from).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| idle.receive_request());
        client.call(RawMsg::from("hello").timeout(Duration::from_secs(20))).unwrap();
        idle.finish();
    });
    assert_eq!(from.counters().unwrap().get(Note::Retransmitted), 2);
}

/// The network loses, doubles and reorders in both directions: every call is replied to, every service
/// runs once (R1, R11, R22).
#[test]
fn a_bad_network_costs_time_only() {
    let config =
        Config { rto_initial: Duration::from_millis(20), retransmits_max: 20, ..Config::default() };
    let bad = |seed| Some(Link { loss: 0.1, double: 0.1, reorder: 0.1, seed, ..Link::default() });
    let at = with(Options { config, link: bad(1), ..Options::default() });
    let from = with(Options { config, link: bad(2), ..Options::default() });
    let server = IpcServer::new(&at).unwrap();
    let client = &IpcClient::new(&from, server.port());
    echo_in(server, 2);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for count in 0..50 {
                    client.call(count.to_string()).unwrap();
                }
            });
        }
    });
    let (served, asked) = (at.counters().unwrap(), from.counters().unwrap());
    assert_eq!(served.get(Note::Executed), 400);
    assert!(asked.get(Note::Retransmitted) > 0 && asked.get(Note::Orphan) > 0, "{asked:?}");
}

fn life(state: &Path, listen: SocketAddr, packet_lifetime: Duration) -> Site {
    let config = Config { packet_lifetime, ..Config::default() };
    let state = Some(state.into());
    Site::with(Options { listen, state, config, ..Options::default() }).unwrap()
}

/// A server restarts at its address. A client that is bound to its former life learns what it may
/// conclude, one that is bound to the name finds the new life (R7, R10, R29).
#[test]
fn a_restarted_server_is_another_life() {
    let state = tempfile::tempdir().unwrap();
    let packet_lifetime = Duration::from_millis(50);
    let first = life(state.path(), loopback(), packet_lifetime);
    let server = IpcServer::new(&first).unwrap();
    server.register("echo").unwrap();
    let from = site();
    let bound = IpcClient::new(&from, server.port());
    let url = format!("unavez://{}/echo", first.address());
    let named = IpcClient::open(&from, &url).unwrap();
    echo_in(server, 1);
    bound.call("hello").unwrap();
    named.call("hello").unwrap();
    let (id, epoch, address) = (first.id(), first.epoch(), first.address());
    first.stop();
    drop(first);
    // Its thread leaves, and the last handle goes with it.
    while std::net::UdpSocket::bind(address).is_err() {
        thread::yield_now();
    }

    let second = life(state.path(), address, packet_lifetime);
    assert_eq!((second.id(), second.epoch().counter), (id, epoch.counter + 1));
    let server = IpcServer::new(&second).unwrap();
    server.register("echo").unwrap();
    echo_in(server, 1);
    // Until a packet of before could not be on its way any more, and the socket was found empty.
    let restarted = CallError::NotExecuted(NotExecuted::ServerRestarted);
    loop {
        match bound.call("late").unwrap_err() {
            CallError::Unknown(Unknown::ServerRestarted) => thread::yield_now(),
            error => break assert_eq!(error, restarted),
        }
    }
    assert_eq!(named.call("hello").unwrap().body(), "hello");
}

/// A site cannot begin: one line says why.
#[test]
fn a_site_that_cannot_begin_says_why() {
    let state = tempfile::tempdir().unwrap();
    let options =
        || Options { listen: loopback(), state: Some(state.path().into()), ..Options::default() };
    let first = Site::with(options()).unwrap();
    let taken = Site::with(Options { listen: first.address(), ..Options::default() });
    assert_eq!(taken.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let text = Site::with(options()).unwrap_err().to_string();
    assert!(
        text.starts_with("state directory /") && text.ends_with("another site uses it"),
        "{text}"
    );
    drop(first);
    std::fs::write(state.path().join("life"), "7").unwrap();
    let text = Site::with(options()).unwrap_err().to_string();
    assert!(text.contains("the file \"life\" is damaged"), "{text}");
}

/// A site that listens everywhere gives out ports that can be reached, or those that it is told to.
#[test]
fn ports_bear_an_address_that_can_be_reached() {
    let everywhere = Site::embedded().unwrap();
    assert!(!everywhere.address().ip().is_unspecified());
    let service = serve(&everywhere, "echo", 1, |text: String| text).unwrap();
    let client = unavez::TypedClient::<String, String>::new(&everywhere, service.port());
    assert_eq!(client.call(&"hello".into()).unwrap(), "hello");
    let advertise = Some("192.0.2.7:7373".parse().unwrap());
    let behind = with(Options { advertise, ..Options::default() });
    let server = IpcServer::new(&behind).unwrap();
    assert!(server.port().to_string().starts_with("192.0.2.7:7373/"));
}

/// A site listens at an IPv6 address, and is found there, by port and by name.
#[test]
fn a_site_speaks_ipv6() {
    let listen = "[::1]:0".parse().unwrap();
    let Ok(site) = Site::with(Options { listen, ..Options::default() }) else {
        return println!("skipped: no IPv6 here");
    };
    let server = IpcServer::new(&site).unwrap();
    server.register("echo").unwrap();
    let by_port = IpcClient::open(&site, &server.port().to_string()).unwrap();
    let url = format!("unavez://{}/echo", site.address());
    let by_name = IpcClient::open(&site, &url).unwrap();
    echo_in(server, 1);
    assert_eq!(by_port.call("hello").unwrap().body(), "hello");
    assert_eq!(by_name.call("hello").unwrap().body(), "hello");
    site.stop();
}

/// A program looks at its site.
#[test]
fn a_site_shows_itself() {
    let (at, from) = (site(), site());
    let server = IpcServer::new(&at).unwrap();
    let client = IpcClient::new(&from, server.port());
    echo_in(server, 1);
    client.call("hello").unwrap();
    assert_eq!(from.counters().unwrap().get(Note::Replied), 1);
    assert_eq!(at.entries().unwrap().tombstones, 1);
    let (site, smoothed, _) = from.round_trips().unwrap()[0];
    assert!(site == at.id() && smoothed > Duration::ZERO && smoothed < Duration::from_secs(1));
    let shown = format!("{from:?}");
    assert_eq!(shown, format!("Site({}, {}, {})", from.address(), from.id(), from.epoch()));
}
