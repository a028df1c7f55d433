//! Bad input: datagrams from anybody, with any bytes.

use std::net::{Ipv4Addr, SocketAddr};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::node::{Action, Node, Time};

/// What any datagram may be: 64 KiB less the headers.
const UDP_MAX: usize = 65_507;

/// Feeds a core damaged, truncated, lengthened and random datagrams while it has a call outstanding
/// and another in service. Each must give one note, and nothing else.
///
/// # Panics
/// A datagram did something.
pub fn assert_ignored<N: Node>(seed: u64, random: usize) {
    let mut victim = Victim::<N>::new();
    for datagram in victim.valid.clone() {
        for position in 0..datagram.len() {
            for flip in 1..=u8::MAX {
                let mut damaged = datagram.clone();
                damaged[position] ^= flip;
                victim.feed(&damaged);
            }
            victim.feed(&datagram[..position]);
        }
        for extra in [1, 4, 1200, UDP_MAX - datagram.len()] {
            let mut longer = datagram.clone();
            longer.resize(datagram.len() + extra, 0);
            victim.feed(&longer);
        }
    }
    let mut generator = Pcg64Mcg::seed_from_u64(seed);
    for _ in 0..random {
        let mut datagram = vec![0; generator.random_range(0..=1400)];
        generator.fill(&mut datagram[..]);
        victim.feed(&datagram);
    }
    victim.still_works();
}

struct Victim<N: Node> {
    node: N,
    /// The request in service, the reply to the outstanding call, and that call's request.
    valid: Vec<Vec<u8>>,
    serving: N::Call,
    entries: usize,
}

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 7373);

impl<N: Node> Victim<N> {
    fn new() -> Self {
        let mut client = N::start(1);
        client.send_request(Time::ZERO, PEER, b"debit 10").expect("a first call is allowed");
        let request = sent(&mut client);
        let mut node = N::start(1);
        let serving = received(&mut node, &request);
        node.send_request(Time::ZERO, PEER, b"debit 20").expect("a first call is allowed");
        let asked = sent(&mut node);
        let valid = vec![request, answer_to::<N>(&asked), asked];
        let entries = node.entries();
        Victim { node, valid, serving, entries }
    }

    fn feed(&mut self, datagram: &[u8]) {
        self.node.handle_packet(Time::ZERO, PEER, datagram);
        let first = self.node.poll_action();
        assert!(
            matches!(first, Some(Action::Note(_))),
            "{first:?} after {}",
            datagram.escape_ascii()
        );
        assert_eq!(self.node.poll_action(), None, "after {}", datagram.escape_ascii());
        assert_eq!(self.node.entries(), self.entries, "after {}", datagram.escape_ascii());
    }

    fn still_works(&mut self) {
        self.node.send_reply(Time::ZERO, self.serving, b"balance 990");
        sent(&mut self.node);
    }
}

fn answer_to<N: Node>(request: &[u8]) -> Vec<u8> {
    let mut server = N::start(1);
    let call = received(&mut server, request);
    server.send_reply(Time::ZERO, call, b"balance 980");
    sent(&mut server)
}

fn received<N: Node>(node: &mut N, request: &[u8]) -> N::Call {
    node.handle_packet(Time::ZERO, PEER, request);
    match node.poll_action() {
        Some(Action::Request { call, .. }) => call,
        other => panic!("hands the request to the service, but: {other:?}"),
    }
}

fn sent<N: Node>(node: &mut N) -> Vec<u8> {
    match node.poll_action() {
        Some(Action::Send { datagram, .. }) => datagram,
        other => panic!("sends, but: {other:?}"),
    }
}
