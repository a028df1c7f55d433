//! The driver on real sockets, and two real processes on a lossy link.

use std::net::{SocketAddr, UdpSocket};

use lab::demo::{Args, Outcome, Step};
use step3_dedup::{Config, Deliver, Kind, Packet, Udp};

const STEP: Step = Step { name: "step3", survives: false, slows: false };

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[test]
fn garbage_is_counted_and_requests_are_served() {
    // A stranger sends garbage to a real socket, then a request.
    let mut server = Udp::bind(any_port(), Config::default()).unwrap();
    let address = server.socket().local_addr().unwrap();
    let stranger = UdpSocket::bind(any_port()).unwrap();
    for length in [0, 3, 100, 1200, 1201, 9000] {
        stranger.send_to(&vec![0x55; length], address).unwrap();
    }
    let request =
        Packet { kind: Kind::Request { patience: 1000 }, seq: 1, body: b"balance".to_vec() };
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
fn two_processes_on_a_lossy_link_debit_exactly_once() {
    // 30 % lost, 20 % doubled, over loopback.
    let outcome = Outcome::of(STEP, &Args::lossy(40)).unwrap();
    assert_eq!((outcome.replies, outcome.unknown), (40, 0), "{outcome}");
    assert_eq!(outcome.executed, 40, "{outcome}");
    assert!(outcome.held());
}
