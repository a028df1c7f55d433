//! Where each field stands, for ever: other versions of this program must read it.

use std::fmt::Write;

use bytes::Bytes;
use unavez::protocol::{
    BODY_MAX, DATAGRAM_LARGEST, DATAGRAM_MAX, Flags, HEADER_MAX, Kind, Packet, Token, WireError,
};

use crate::samples::{KINDS, bytes, number, samples};
use crate::seal;

/// Up to the number of the kind, that included.
const HEADER_MIN: usize = 76;

#[test]
fn the_bytes_are_these() {
    // One packet of each kind, in hexadecimal, 16 bytes a line (PROTOCOL §3).
    let mut golden = String::new();
    for packet in samples() {
        writeln!(golden, "{}", packet.kind.name()).unwrap();
        for line in bytes(&packet).chunks(16) {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(golden, "  {}", hex.join(" ")).unwrap();
        }
    }
    insta::assert_snapshot!(golden);
}

#[test]
fn header_len_is_what_is_written() {
    // `encode` makes room by `header_len` before it writes: the two must agree for each kind.
    let codec = bincode::config::standard().with_big_endian().with_fixed_int_encoding();
    for packet in samples() {
        let kind = bincode::serde::encode_to_vec(packet.kind, codec).unwrap();
        let number_len = 4;
        assert_eq!(packet.kind.header_len(), HEADER_MIN - number_len + kind.len(), "{packet}");
        assert_eq!(bytes(&packet).len(), packet.encoded_len(), "{packet}");
        assert_eq!(packet.encoded_len(), packet.kind.header_len() + packet.body.len(), "{packet}");
    }
}

#[test]
fn the_longest_header_is_a_requests() {
    // A body that fits a REQUEST fits every datagram (R40).
    let longest = samples().into_iter().max_by_key(|packet| packet.kind.header_len()).unwrap();
    assert!(matches!(longest.kind, Kind::Request { .. }));
    assert_eq!(longest.kind.header_len(), HEADER_MAX);
    assert_eq!(BODY_MAX, DATAGRAM_MAX - HEADER_MAX);
}

#[test]
fn the_longest_request_fills_a_datagram() {
    // One that every path carries; a longer one where the path is known to carry it (R40).
    let mut packet = Packet { body: Bytes::from(vec![7; BODY_MAX]), ..samples().remove(0) };
    let full = bytes(&packet);
    assert_eq!(full.len(), DATAGRAM_MAX);
    assert_eq!(Packet::decode(&full), Ok((packet.clone(), DATAGRAM_MAX)));
    packet.body = Bytes::from(vec![7; DATAGRAM_LARGEST - HEADER_MAX]);
    let full = bytes(&packet);
    assert_eq!(Packet::decode(&full), Ok((packet.clone(), DATAGRAM_LARGEST)));
    packet.body = Bytes::from(vec![7; DATAGRAM_LARGEST - HEADER_MAX + 1]);
    assert_eq!(Packet::decode(&bytes(&packet)), Err(WireError::Length));
}

#[test]
fn the_numbers_of_the_kinds_are_these() {
    // The last four bytes that all headers share; a number without a kind is refused.
    for packet in samples() {
        let number = number(&packet.kind) as u32;
        assert_eq!(bytes(&packet)[HEADER_MIN - 4..HEADER_MIN], number.to_be_bytes(), "{packet}");
    }
    let mut unknown = bytes(&samples().remove(5));
    for number in (KINDS as u32..300).chain([1 << 16, 1 << 24, u32::MAX]) {
        unknown[HEADER_MIN - 4..HEADER_MIN].copy_from_slice(&number.to_be_bytes());
        seal(&mut unknown);
        assert_eq!(Packet::decode(&unknown), Err(WireError::Header), "kind {number}");
    }
}

#[test]
fn other_protocols_and_versions_are_refused() {
    // Two bytes of magic, one of version, one reserved (PROTOCOL §3).
    for packet in samples() {
        let good = bytes(&packet);
        for (position, error) in [
            (0, WireError::Version),
            (1, WireError::Version),
            (2, WireError::Version),
            (3, WireError::Header),
        ] {
            for value in (0..=255).filter(|value| *value != good[position]) {
                let mut other = good.clone();
                other[position] = value;
                seal(&mut other);
                assert_eq!(Packet::decode(&other), Err(error), "{packet}, byte {position}");
            }
        }
    }
}

#[test]
fn unknown_flags_are_refused() {
    // Nobody serves a call whose flags he does not understand (PROTOCOL §3); CERTAIN stays at home.
    let known = Flags::IDEMPOTENT | Flags::ORDERED;
    for packet in samples() {
        for unknown in (0..16).map(|bit| Flags(1 << bit)).filter(|flag| !known.has(*flag)) {
            let flags = packet.flags | unknown;
            let strange = bytes(&Packet { flags, ..packet.clone() });
            assert_eq!(Packet::decode(&strange), Err(WireError::Header), "{packet}, {flags:?}");
        }
    }
}

#[test]
fn impossible_fields_are_refused() {
    // What no site that follows the rules sends, each alone (R15, R33, R36).
    let refused = |kind: usize, change: fn(&mut Packet)| {
        let mut packet = samples().remove(kind);
        change(&mut packet);
        assert_eq!(Packet::decode(&bytes(&packet)), Err(WireError::Header), "{packet:?}");
    };
    let [request, heartbeat, no_call, abort] = [0, 3, 5, 9];
    refused(no_call, |it| it.seq = 0);
    refused(no_call, |it| it.client.site.0 = 0);
    refused(request, |it| it.attempt = 0);
    refused(request, |it| it.flags = Flags::NONE);
    refused(request, |it| set(it, |floor, _, _| *floor = 0));
    refused(request, |it| set(it, |floor, _, _| *floor = 100));
    refused(request, |it| set(it, |_, predecessor, _| *predecessor = 99));
    refused(request, |it| set(it, |_, _, rto| *rto = 0));
    refused(heartbeat, |it| it.attempt = 1);
    refused(heartbeat, |it| it.kind = Kind::Heartbeat { floor: 100, token: Token::NONE });
    refused(abort, |it| it.attempt = 1);
    refused(abort, |it| it.kind = Kind::Abort { floor: 0, token: Token::NONE });
    for packet in samples().into_iter().skip(2) {
        let with_body = Packet { body: Bytes::from_static(b"x"), ..packet };
        assert_eq!(Packet::decode(&bytes(&with_body)), Err(WireError::Header), "{with_body:?}");
    }
}

fn set(packet: &mut Packet, change: fn(&mut u64, &mut u64, &mut u32)) {
    if let Kind::Request { floor, predecessor, rto, .. } = &mut packet.kind {
        change(floor, predecessor, rto);
    }
}
