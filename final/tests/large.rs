//! Messages larger than a datagram, through sites with sockets of their own (R40 to R43).

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use unavez::embedded::Link;
use unavez::protocol::{BODY_MAX, Config, DATAGRAM_LARGEST, DATAGRAM_MAX, Note, Unknown};
use unavez::{CallError, Conclusion, IpcClient, IpcPort, IpcServer, MsgId, Options, Site};

const MB: usize = 1_000_000;
/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(30);

fn site() -> Site {
    with(Config::default(), Link::default())
}

fn with(config: Config, link: Link) -> Site {
    let listen = "127.0.0.1:0".parse().unwrap();
    let link = (link != Link::default()).then_some(link);
    Site::with(Options { listen, config, link, ..Options::default() }).unwrap()
}

/// Soon notices that nobody is there any more.
fn hasty() -> Config {
    Config {
        packet_lifetime: Duration::from_millis(100),
        rto_initial: Duration::from_millis(100),
        rto_max: Duration::from_millis(200),
        backoff_max: Duration::from_millis(200),
        heartbeat_every: Duration::from_millis(100),
        heartbeats_missed_max: 4,
        working_after_max: Duration::from_millis(5),
        patience_default: Duration::from_secs(3),
        ..Config::default()
    }
}

/// Bytes of which each piece is unlike the others.
fn body(len: usize) -> Bytes {
    let numbers = (0..len as u64 / 8 + 1).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = numbers.flat_map(u64::to_be_bytes).collect();
    bytes.truncate(len);
    bytes.into()
}

/// Echoes in a thread until the site stops.
fn echo(at: &Site) -> IpcPort {
    let server = IpcServer::new(at).unwrap();
    let port = server.port();
    thread::spawn(move || {
        while let Ok((request, id)) = server.receive_request() {
            let _ = server.send_reply(request, id);
        }
    });
    port
}

/// Nothing is on its way out of these sites, or half built there.
fn is_idle(sites: &[&Site]) -> bool {
    sites.iter().all(|site| {
        let entries = site.entries().unwrap();
        entries.sending + entries.building == 0
    })
}

#[track_caller]
fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "it does not come to hold");
        thread::sleep(Duration::from_millis(1));
    }
}

/// From nothing to some megabytes, and to both sides of what a datagram holds: each comes as it was sent,
/// runs once, and leaves nothing behind.
#[test]
fn every_length_travels() {
    let (at, from) = (site(), site());
    let client = IpcClient::new(&from, echo(&at));
    let lengths = [0, 1, BODY_MAX, BODY_MAX + 1, 2 * BODY_MAX, 65_507, 65_508, MB, 5 * MB];
    for len in lengths {
        let body = body(len);
        assert!(client.call(body.clone()).unwrap().into_body() == body, "{len}");
    }
    assert_eq!(at.counters().unwrap().get(Note::Executed), lengths.len() as u64);
    until(|| is_idle(&[&at, &from]));
}

/// The longest that a site takes by default, and one byte more: there and back.
#[test]
fn the_longest_message_travels() {
    let (at, from) = (site(), site());
    let client = IpcClient::new(&from, echo(&at));
    let longest = body(from.config().message_max);
    assert!(client.call(longest.clone()).unwrap().into_body() == longest);
    let longer = Bytes::from(vec![0; longest.len() + 1]);
    assert_eq!(client.call(longer).unwrap_err().conclude(), Conclusion::NotExecuted);
    until(|| is_idle(&[&at, &from]));
}

/// One in twenty datagrams is lost in each direction, as many are doubled and overtaken: what is missing is
/// asked for again (R41), and each runs once (R1).
#[test]
fn a_bad_link_carries_large_messages() {
    let link = |seed| Link { loss: 0.05, double: 0.05, reorder: 0.05, seed, ..Link::default() };
    let (at, from) = (with(Config::default(), link(1)), with(Config::default(), link(2)));
    let client = IpcClient::new(&from, echo(&at));
    for round in 0..5 {
        let body = body(MB + round);
        assert!(client.call(body.clone()).unwrap().into_body() == body);
    }
    // The word that the last one has arrived may be lost; the floor of the next call says as much (R24).
    client.call("the last").unwrap();
    assert_eq!(at.counters().unwrap().get(Note::Executed), 6);
    until(|| is_idle(&[&at, &from]));
}

/// Eight threads send large and small ones at once, both ways: each gets its own.
#[test]
fn many_large_ones_share_the_way() {
    let (at, from) = (site(), site());
    let port = echo(&at);
    thread::scope(|scope| {
        for thread in 0..8 {
            let client = IpcClient::new(&from, port);
            scope.spawn(move || {
                for round in 0..4 {
                    let len = if round % 2 == 0 { MB + 1000 * thread } else { 1 + thread };
                    let body = body(len);
                    assert!(client.call(body.clone()).unwrap().into_body() == body);
                }
            });
        }
    });
    until(|| is_idle(&[&at, &from]));
}

/// A large request is on its way over a link that loses some: two hundred small calls begin after it and end
/// before it.
#[test]
fn small_calls_pass_a_large_one() {
    let link = Link { loss: 0.02, ..Link::default() };
    let (at, from) = (site(), with(hasty(), link));
    let client = IpcClient::new(&from, echo(&at));
    client.call("the server gives a token").unwrap();
    let large = client.send_request(body(60 * MB)).unwrap();
    until(|| at.entries().unwrap().building == 1);
    let small = client.send_requests((0..200).map(|number: u32| number.to_string()));
    for (number, id) in small.into_iter().enumerate() {
        let reply = client.receive_reply_of(id.unwrap()).unwrap();
        assert_eq!(reply.body(), &number.to_string());
    }
    assert!(client.try_receive_reply_of(large).is_none(), "it is still on its way");
    assert_eq!(at.entries().unwrap().building, 1, "it is still on its way there");
    client.cancel(large).unwrap();
    until(|| is_idle(&[&at, &from]));
}

/// A reply is longer than its client takes, or than its server's site takes: the caller knows that the
/// service ran (R32), and nothing of it travels.
#[test]
fn a_reply_that_is_too_long_does_not_travel() {
    let short = || with(Config { message_max: MB, ..Config::default() }, Link::default());
    for (at, from) in [(site(), short()), (short(), site())] {
        let server = IpcServer::new(&at).unwrap();
        let client = IpcClient::new(&from, server.port());
        let id = client.send_request("how much?").unwrap();
        let (_, asked) = server.receive_request().unwrap();
        server.send_reply(vec![7; 5 * MB], asked).unwrap();
        let error = client.receive_reply_of(id).unwrap_err();
        assert_eq!(error, CallError::Unknown(Unknown::ReplyTooBig));
        assert_eq!(error.conclude(), Conclusion::Executed);
        assert!(is_idle(&[&at, &from]) && at.entries().unwrap().bytes == 0);
    }
}

/// A wire to a server that carries ten long datagrams, whichever way they go, and loses the others; nothing
/// at all once it is cut.
struct Wire {
    near: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Wire {
    fn to(server: SocketAddr) -> Wire {
        let [near, far] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let (cut, long) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let client = Arc::new(Mutex::new(server));
        let wire = Wire { near: near.local_addr().unwrap(), cut: Arc::clone(&cut) };
        let carry = |from: UdpSocket, by: UdpSocket, inwards: bool| {
            let (cut, long, client) = (Arc::clone(&cut), Arc::clone(&long), Arc::clone(&client));
            thread::spawn(move || {
                let mut datagram = vec![0; DATAGRAM_LARGEST];
                loop {
                    let Ok((len, sender)) = from.recv_from(&mut datagram) else { continue };
                    let to = match inwards {
                        true => server,
                        false => *client.lock().unwrap(),
                    };
                    if inwards {
                        *client.lock().unwrap() = sender;
                    }
                    let lost = len > DATAGRAM_MAX && long.fetch_add(1, Relaxed) >= 10;
                    if !lost && !cut.load(Relaxed) {
                        let _ = by.send_to(&datagram[..len], to);
                    }
                }
            });
        };
        carry(near.try_clone().unwrap(), far.try_clone().unwrap(), true);
        carry(far, near, false);
        wire
    }
}

/// Two sites, and a call between them of which one message stays half way.
struct Half {
    at: Site,
    from: Site,
    server: IpcServer,
    client: IpcClient,
    id: MsgId,
    wire: Wire,
}

impl Half {
    fn new(config: Config, request: Bytes) -> Half {
        let [at, from] = [(); 2].map(|()| with(config, Link::default()));
        let server = IpcServer::new(&at).unwrap();
        let wire = Wire::to(at.address());
        let port = IpcPort { address: wire.near, ..server.port() };
        let client = IpcClient::new(&from, port);
        let id = client.send_request(request).unwrap();
        Half { at, from, server, client, id, wire }
    }

    /// A request of which the first pieces come.
    fn request(config: Config) -> Half {
        let it = Half::new(config, body(5 * MB));
        until(|| it.at.entries().unwrap().building == 1 && it.from.entries().unwrap().sending == 1);
        it
    }

    /// A reply of which the first pieces come.
    fn reply(config: Config) -> Half {
        let it = Half::new(config, "all of it".into());
        let (_, asked) = it.server.receive_request().unwrap();
        it.server.send_reply(body(5 * MB), asked).unwrap();
        until(|| it.from.entries().unwrap().building == 1 && it.at.entries().unwrap().sending == 1);
        it
    }
}

const HALVES: [fn(Config) -> Half; 2] = [Half::request, Half::reply];

/// A call is called off half way, in either direction: it ends at once, the request never runs, and nothing
/// is left of either.
#[test]
fn what_is_called_off_half_way_leaves_nothing() {
    for half in HALVES {
        let Half { at, from, server, client, id, .. } = &half(Config::default());
        let began = Instant::now();
        client.cancel(*id).unwrap();
        let ended = client.receive_reply_of(*id);
        assert_eq!(ended, Err(CallError::Unknown(Unknown::Cancelled)));
        until(|| is_idle(&[at, from]));
        assert_eq!(server.try_receive_request().unwrap(), None);
        assert!(began.elapsed() < Duration::from_secs(5), "not by time");
    }
}

/// A client is dropped half way, in either direction: the same.
#[test]
fn a_client_that_is_dropped_half_way_leaves_nothing() {
    for half in HALVES {
        let Half { at, from, server, client, .. } = half(Config::default());
        let began = Instant::now();
        drop(client);
        until(|| is_idle(&[&at, &from]));
        assert_eq!(server.try_receive_request().unwrap(), None);
        assert!(began.elapsed() < Duration::from_secs(5), "not by time");
    }
}

/// The wire is cut half way: the client gives up, as nobody can tell, and the server forgets the half in
/// time (R43).
#[test]
fn a_wire_that_is_cut_half_way_leaves_nothing() {
    for half in HALVES {
        let Half { at, from, server, client, id, wire } = half(hasty());
        wire.cut.store(true, Relaxed);
        let error = client.receive_reply_of(id).unwrap_err();
        assert_eq!(error.conclude(), Conclusion::Unknown, "{error}");
        assert!(is_idle(&[&from]));
        drop((client, from));
        until(|| is_idle(&[&at]));
        assert_eq!(server.try_receive_request().unwrap(), None);
    }
}

/// A server's site is stopped half way: its client's call ends, and nothing is left of it.
#[test]
fn a_server_that_is_stopped_half_way_leaves_nothing() {
    for half in HALVES {
        let Half { at, from, server, client, id, .. } = half(hasty());
        drop((server, at));
        let error = client.receive_reply_of(id).unwrap_err();
        assert_eq!(error.conclude(), Conclusion::Unknown, "{error}");
        assert!(is_idle(&[&from]));
    }
}
