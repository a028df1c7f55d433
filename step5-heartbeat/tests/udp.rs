//! The driver on real sockets, and two real processes on a lossy link.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use lab::demo::{Args, Outcome, Step};
use step5_heartbeat::{Config, Deliver, Epoch, Kind, Packet, Udp};

const EPOCH: Epoch = Epoch { counter: 1, random: 2 };

const STEP: Step = Step { name: "step5", survives: true, slows: true };

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[test]
fn garbage_is_counted_and_requests_are_served() {
    // A stranger sends garbage to a real socket, then a request.
    let mut server = Udp::bind(any_port(), Config::default(), EPOCH).unwrap();
    let address = server.socket().local_addr().unwrap();
    let stranger = UdpSocket::bind(any_port()).unwrap();
    for length in [0, 3, 100, 1200, 1201, 9000] {
        stranger.send_to(&vec![0x55; length], address).unwrap();
    }
    let kind = Kind::Request { patience: 1000, retransmit_after: 200 };
    let request = Packet { kind, client: EPOCH, server: EPOCH, seq: 1, body: b"balance".to_vec() };
    stranger.send_to(&request.encode(), address).unwrap();

    let Deliver::Request { call, body } = server.receive().unwrap() else { panic!("no request") };
    assert_eq!(body, b"balance");
    assert_eq!(server.noted()["no packet, dropped: too short"], 2);
    assert_eq!(server.noted()["no packet, dropped: wrong checksum"], 2);
    assert_eq!(server.noted()["no packet, dropped: longer than a datagram may be"], 2);

    server.send_reply(call, b"balance 1000".to_vec()).unwrap();
    let mut buffer = [0; 2000];
    let (length, from) = stranger.recv_from(&mut buffer).unwrap();
    assert_eq!(from, address);
    assert_eq!(Packet::decode(&buffer[..length]).unwrap().body, b"balance 1000");
}

#[test]
fn a_copy_in_the_socket_finds_its_record() {
    // It comes in time, but the server looks at its socket only when the record is due to go.
    let config = Config { packet_lifetime: Duration::ZERO, ..Config::default() };
    let mut server = Udp::bind(any_port(), config, EPOCH).unwrap();
    let address = server.socket().local_addr().unwrap();
    let client = UdpSocket::bind(any_port()).unwrap();
    let send = |seq| {
        let kind = Kind::Request { patience: 1, retransmit_after: 200 };
        let packet = Packet { kind, client: EPOCH, server: EPOCH, seq, body: b"debit 10".to_vec() };
        client.send_to(&packet.encode(), address).unwrap();
    };
    send(1);
    let Deliver::Request { call, .. } = server.receive().unwrap() else { panic!("no request") };
    server.send_reply(call, b"balance 990".to_vec()).unwrap();
    send(1);
    send(2);
    let arrived = Instant::now();
    while arrived.elapsed() < Duration::from_millis(5) {}
    let Deliver::Request { call, .. } = server.receive().unwrap() else { panic!("no request") };
    assert_eq!(call.seq, 2);
    assert_eq!(server.noted()["duplicate, kept reply sent again"], 1);
}

#[test]
fn two_processes_on_a_lossy_link_debit_exactly_once() {
    // 30 % lost, 20 % doubled, over loopback. Rarely ten attempts are lost, and the end is unknown.
    let outcome = Outcome::of(STEP, &Args::lossy(40)).unwrap();
    assert!(outcome.held(), "{outcome}");
    assert!(outcome.replies >= 38, "{outcome}");
}

#[test]
fn a_bank_that_is_killed_debits_at_most_once() {
    // Four kills -9 and restarts on the way; what is unknown ran once or not at all.
    let outcome = Outcome::of(STEP, &Args { crashes: 4, ..Args::lossy(40) }).unwrap();
    assert!(outcome.held(), "{outcome}");
    assert_eq!(outcome.replies + outcome.unknown, 40, "{outcome}");
    assert!(outcome.unknown >= 1, "{outcome}");
}

#[test]
fn a_slow_bank_is_awaited() {
    // Three seconds for each request, longer than the client's patience, on the same bad link.
    let args = Args { service: Duration::from_secs(3), ..Args::lossy(3) };
    let outcome = Outcome::of(STEP, &args).unwrap();
    assert!(outcome.held(), "{outcome}");
    assert_eq!((outcome.replies, outcome.executed), (3, 3), "{outcome}");
}
