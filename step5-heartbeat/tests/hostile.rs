//! Datagrams from anybody, with any bytes: counted, and nothing else.

use lab::hostile;
use proptest::prelude::*;
use step5_heartbeat::wire::{BODY_MAX, DATAGRAM_MAX, checksum};
use step5_heartbeat::{Config, Epoch, Kind, Packet, Site, WireError};

lab::node!(
    /// This step's core.
    Step: step5_heartbeat, |epoch| Site::new(Config::default(), epoch), epochs
);

#[test]
fn bad_datagrams_do_nothing() {
    // Every byte of every kind of packet flipped, cut and lengthened, and 100,000 of random bytes.
    hostile::assert_ignored::<Step>(1, 100_000);
}

#[test]
fn the_layout_is_this() {
    // Magic, version, kind, both epochs, number, body, checksum; a request has its times, and a
    // refusal the present epoch, after the kind.
    let request = packet(Kind::Request { patience: 2000, retransmit_after: 200 }, b"ok").encode();
    let rest = *b"\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\0\0\0\0\x05ok";
    assert_eq!(request[..11], *b"UV\x04\0\0\0\0\x07\xd0\0\xc8");
    assert_eq!(request[11..37], rest);
    let present = Epoch { counter: 6, random: 7 };
    let stale = packet(Kind::Stale { present }, b"ok").encode();
    assert_eq!(stale[..15], *b"UV\x04\0\0\0\x02\0\0\0\x06\0\0\0\x07");
    assert_eq!(stale[15..41], rest);
    let kinds = [(1, Kind::Reply), (3, Kind::Working), (4, Kind::Heartbeat), (5, Kind::NoCall)];
    for (number, kind) in kinds {
        let datagram = packet(kind, b"ok").encode();
        assert_eq!(datagram[..7], [b"UV\x04\0\0\0", &[number][..]].concat());
        assert_eq!(datagram[7..33], rest);
    }
    let packet = packet(Kind::Reply, b"ok");
    let datagram = packet.encode();
    assert_eq!(checksum(b"123456789"), 0xCBF4_3926, "the check value of CRC-32");
    assert_eq!(Packet::decode(&datagram), Ok(packet));
}

#[test]
fn the_largest_body_fills_a_datagram() {
    let packet = packet(Kind::Stale { present: EPOCH }, &[7; BODY_MAX]);
    assert_eq!(packet.encode().len(), DATAGRAM_MAX);
}

#[test]
fn other_headers_are_refused() {
    // Right checksums, but another protocol, version or kind; and a header cut short.
    for (position, value) in [(0, b'X'), (2, 99), (6, 6), (3, 1)] {
        let mut datagram = packet(Kind::Reply, b"").encode();
        datagram[position] = value;
        assert_eq!(Packet::decode(&sealed(&datagram[..31])), Err(WireError::Header));
    }
    assert_eq!(Packet::decode(&sealed(b"UV\x04")), Err(WireError::Header));
    assert_eq!(Packet::decode(b"UV\x04"), Err(WireError::TooShort));
    assert_eq!(Packet::decode(&[0; DATAGRAM_MAX + 1]), Err(WireError::TooLong));
}

const EPOCH: Epoch = Epoch { counter: 1, random: 2 };

fn packet(kind: Kind, body: &[u8]) -> Packet {
    let server = Epoch { counter: 3, random: 4 };
    Packet { kind, client: EPOCH, server, seq: 5, body: body.to_vec() }
}

/// With a checksum that is right, so that what lies behind it is tried, too.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    [bytes, &checksum(bytes).to_be_bytes()].concat()
}

proptest! {
    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        header in any::<bool>(),
    ) {
        let start: &[u8] = if header { b"UV\x04\0\0\0" } else { b"" };
        let datagram = sealed(&[start, &bytes].concat());
        if let Ok(packet) = Packet::decode(&datagram) {
            prop_assert_eq!(packet.encode(), datagram);
        }
    }
}
