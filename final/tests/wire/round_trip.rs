//! There and back: packet, bytes, packet; and bytes, packet, bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use unavez::protocol::{
    BODY_MAX, ClientId, ClientPort, Credit, DATAGRAM_MAX, Epoch, Fate, Flags, Grant, Kind, Packet,
    Ran, Reason, ServerId, ServerPort, SiteId, Token,
};

use crate::samples::{KINDS, bytes, number};
use crate::seal;

proptest! {
    #[test]
    fn every_packet_comes_back(packet in packet()) {
        // Also with other bytes behind it.
        let mut sent = bytes(&packet);
        let length = sent.len();
        prop_assert_eq!(length, packet.encoded_len());
        prop_assert_eq!(Packet::decode(&sent), Ok((packet.clone(), length)));
        sent.resize(DATAGRAM_MAX, 0xaa);
        prop_assert_eq!(Packet::decode(&sent), Ok((packet, length)));
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        kind in 0..KINDS as u32 + 1,
        small in any::<bool>(),
        mut datagram in vec(any::<u8>(), 76..=DATAGRAM_MAX),
    ) {
        // Length and checksum are right, the rest is random; small numbers are possible more often.
        if small {
            datagram[16..76].iter_mut().filter(|byte| **byte > 3).for_each(|byte| *byte = 0);
            datagram[76..].iter_mut().for_each(|byte| *byte &= 1);
            datagram.truncate(140);
        }
        datagram[..4].copy_from_slice(b"UV\x01\0");
        datagram[6] = 0;
        datagram[7] &= 3;
        datagram[72..76].copy_from_slice(&kind.to_be_bytes());
        seal(&mut datagram);
        if let Ok((packet, used)) = Packet::decode(&datagram) {
            prop_assert_eq!(used, datagram.len());
            prop_assert_eq!(bytes(&packet), datagram);
        }
    }

    #[test]
    fn changed_packets_encode_to_the_same_bytes_or_are_refused(
        packet in packet(),
        changes in vec((6..DATAGRAM_MAX, any::<u8>()), 1..4),
    ) {
        // Near what is possible: a few bytes of a good packet are others, and the checksum is right.
        let mut changed = bytes(&packet);
        for (position, value) in changes {
            let length = changed.len();
            changed[6 + (position - 6) % (length - 6)] = value;
        }
        seal(&mut changed);
        if let Ok((packet, used)) = Packet::decode(&changed) {
            prop_assert_eq!(used, changed.len());
            prop_assert_eq!(bytes(&packet), changed);
        }
    }
}

#[test]
fn every_kind_is_tried() {
    // Or the claims above would say nothing of it.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = [0; KINDS];
    for _ in 0..1000 {
        let packet = packet().new_tree(&mut runner).unwrap().current();
        seen[number(&packet.kind)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}

prop_compose! {
    /// A packet that a site may send.
    fn packet()(
        kind in kind(),
        flags in (0..4u16).prop_map(Flags),
        attempt in 1..=u32::MAX,
        client in (1..=u64::MAX, epoch(), any::<u64>()),
        server in (any::<u64>(), epoch(), any::<u64>()),
        seq in prop_oneof![1..10u64, 1..=u64::MAX],
        body in body(),
    ) -> Packet {
        let client =
            ClientId { site: SiteId(client.0), epoch: client.1, port: ClientPort(client.2) };
        let server =
            ServerId { site: SiteId(server.0), epoch: server.1, port: ServerPort(server.2) };
        possible(Packet { flags, attempt, client, server, seq, kind, body })
    }
}

/// What the kind asks of the other fields.
fn possible(mut packet: Packet) -> Packet {
    let seq = packet.seq;
    let within = |floor: u64| 1 + floor % seq;
    match &mut packet.kind {
        Kind::Request { floor, predecessor, .. } => {
            *floor = within(*floor);
            *predecessor = if packet.flags.has(Flags::ORDERED) { *predecessor % seq } else { 0 };
        }
        Kind::Reply { .. } => {}
        Kind::Heartbeat { floor, .. } | Kind::Abort { floor, .. } => {
            *floor = within(*floor);
            packet.attempt = 0;
            packet.body = Bytes::new();
        }
        Kind::Fetch { floor, .. } => {
            *floor = within(*floor);
            packet.attempt = 0;
            packet.body = ranges(&packet.body);
        }
        Kind::Credit { .. } => packet.body = ranges(&packet.body),
        _ => packet.body = Bytes::new(),
    }
    packet
}

fn kind() -> impl Strategy<Value = Kind> {
    let times = (any::<u32>(), 1..=u32::MAX, any::<u32>());
    let request = (any::<u64>(), any::<u64>(), times, any::<u64>(), token()).prop_map(
        |(floor, predecessor, (patience, rto, max_reply), hash, token)| Kind::Request {
            floor,
            predecessor,
            patience,
            rto,
            max_reply,
            hash,
            token,
        },
    );
    let working = (any::<u32>(), any::<u32>(), grant());
    prop_oneof![
        request,
        (any::<u32>(), grant())
            .prop_map(|(service_time, grant)| Kind::Reply { service_time, grant }),
        working.prop_map(|(service_time, heartbeat, grant)| Kind::Working {
            service_time,
            heartbeat,
            grant,
        }),
        (any::<u64>(), token()).prop_map(|(floor, token)| Kind::Heartbeat { floor, token }),
        (epoch(), any::<bool>()).prop_map(|(present, fresh)| Kind::Stale { present, fresh }),
        Just(Kind::NoCall),
        any::<u32>().prop_map(|after| Kind::Busy { after }),
        refused(),
        token().prop_map(|token| Kind::Challenge { token }),
        (any::<u64>(), token()).prop_map(|(floor, token)| Kind::Abort { floor, token }),
        proptest::sample::select(&[Fate::NotRun, Fate::Stopping, Fate::Maybe][..])
            .prop_map(|fate| Kind::Aborted { fate }),
        Just(Kind::WrongSite),
        credit().prop_map(|credit| Kind::Credit { credit }),
        (any::<u64>(), token(), credit()).prop_map(|(floor, token, credit)| Kind::Fetch {
            floor,
            token,
            credit
        }),
    ]
}

fn refused() -> impl Strategy<Value = Kind> {
    let ran = proptest::sample::select(&[Ran::No, Ran::Maybe, Ran::Once][..]);
    let reasons = [
        Reason::NoSuchPort,
        Reason::Expired,
        Reason::Aborted,
        Reason::ServerDied,
        Reason::Orphaned,
        Reason::Forgotten,
        Reason::PortClosed,
        Reason::FalseRetry,
        Reason::ReplyTooBig,
        Reason::RequestTooBig,
    ];
    let reason = proptest::sample::select(reasons.to_vec());
    (ran, reason).prop_map(|(ran, reason)| Kind::Refused { ran, reason })
}

fn body() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), BODY_MAX)].prop_map(Bytes::from)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (any::<u32>(), any::<u32>()).prop_map(|(counter, random)| Epoch { counter, random })
}

fn credit() -> impl Strategy<Value = Credit> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<bool>());
    numbers.prop_map(|(building, newest, granted, room, stalled)| Credit {
        building,
        newest,
        granted,
        room,
        stalled,
    })
}

/// Ranges of bytes, as many as these, and as far from each other.
fn ranges(bytes: &[u8]) -> Bytes {
    let mut end = 0;
    let pairs = bytes.chunks(2).take(64).flat_map(|chunk| {
        let from = end + 1 + u32::from(chunk[0]);
        end = from + 1 + u32::from(chunk[chunk.len() - 1]);
        [from.to_be_bytes(), end.to_be_bytes()].concat()
    });
    pairs.collect()
}

fn token() -> impl Strategy<Value = Token> {
    (any::<u64>(), any::<u64>()).prop_map(|(issued, mac)| Token { issued, mac })
}

fn grant() -> impl Strategy<Value = Grant> {
    (any::<u32>(), any::<u32>(), token()).prop_map(|(window, port_life, token)| Grant {
        window,
        port_life,
        token,
    })
}
