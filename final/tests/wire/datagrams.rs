//! Several packets in one datagram.

use std::net::SocketAddr;

use bytes::Bytes;
use unavez::protocol::{DATAGRAM_MAX, Datagrams, Packet, WireError, packets};

use crate::samples::{bytes, samples};

const FIRST: &str = "127.0.0.1:7373";
const SECOND: &str = "127.0.0.1:7374";

#[test]
fn packets_for_one_host_share_datagrams() {
    // All kinds to one host, twice: as few datagrams as they fit in, and the same packets in them.
    let twice: Vec<Packet> = samples().into_iter().chain(samples()).collect();
    let sent = joined(twice.iter().map(|packet| (FIRST, packet.clone())));
    let all: usize = twice.iter().map(Packet::encoded_len).sum();
    assert_eq!(sent.len(), all.div_ceil(DATAGRAM_MAX));
    let received = sent.iter().flat_map(|(_, datagram)| packets(datagram)).map(Result::unwrap);
    assert_eq!(received.collect::<Vec<_>>(), twice);
}

#[test]
fn packets_for_other_hosts_do_not() {
    // A packet never leaves in a datagram to somebody else, nor out of order.
    let [request, reply] = [samples().remove(0), samples().remove(1)];
    let pushed = [(FIRST, &request), (SECOND, &reply), (FIRST, &reply), (FIRST, &request)];
    let sent = joined(pushed.map(|(to, packet)| (to, packet.clone())));
    let expected = [
        (FIRST, bytes(&request)),
        (SECOND, bytes(&reply)),
        (FIRST, [bytes(&reply), bytes(&request)].concat()),
    ];
    assert_eq!(sent, expected.map(|(to, datagram)| (address(to), datagram)));
}

#[test]
fn no_datagram_is_too_long() {
    // One that is just full, then one byte more: two datagrams (R40).
    let small = samples().remove(5);
    let rest = DATAGRAM_MAX - small.encoded_len();
    for (more, datagrams) in [(0, 1), (1, 2)] {
        let mut large = samples().remove(1);
        large.body = Bytes::from(vec![7; rest - large.kind.header_len() + more]);
        let sent = joined([(FIRST, large), (FIRST, small.clone())]);
        assert_eq!(sent.len(), datagrams);
        assert!(sent.iter().all(|(_, datagram)| datagram.len() <= DATAGRAM_MAX));
    }
}

#[test]
fn nothing_waits_and_nothing_is_sent_twice() {
    let mut datagrams = Datagrams::default();
    let mut count = 0;
    datagrams.flush(|_, _| count += 1);
    datagrams.push(address(FIRST), &samples()[0], |_, _| count += 10);
    datagrams.flush(|_, _| count += 1);
    datagrams.flush(|_, _| count += 1);
    assert_eq!(count, 1);
}

#[test]
fn a_bad_packet_ends_its_datagram() {
    // Where the next begins is not known any more: those before it count, those after it do not.
    let mut three = [0, 1, 3].map(|kind| bytes(&samples()[kind]));
    let whole = three.concat();
    assert_eq!(packets(&whole).filter(Result::is_ok).count(), 3);
    three[1][80] ^= 1;
    let received: Vec<_> = packets(&three.concat()).collect();
    assert_eq!(received, [Ok(samples().remove(0)), Err(WireError::Checksum)]);
}

#[test]
fn what_follows_a_packet_is_one_or_nothing() {
    // Trailing bytes are counted as one that is none; so is the empty datagram.
    let mut datagram = bytes(&samples()[5]);
    datagram.push(0);
    let received: Vec<_> = packets(&datagram).collect();
    assert_eq!(received, [Ok(samples().remove(5)), Err(WireError::Length)]);
    assert_eq!(packets(b"").collect::<Vec<_>>(), [Err(WireError::Length)]);
}

fn joined<'a>(pushed: impl IntoIterator<Item = (&'a str, Packet)>) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut sent = Vec::new();
    let mut datagrams = Datagrams::default();
    let mut send = |to, datagram: &[u8]| sent.push((to, datagram.to_vec()));
    for (to, packet) in pushed {
        datagrams.push(address(to), &packet, &mut send);
    }
    datagrams.flush(send);
    sent
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
