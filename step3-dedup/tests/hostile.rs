//! Datagrams from anybody, with any bytes: counted, and nothing else.

use lab::hostile;
use proptest::prelude::*;
use step3_dedup::wire::{BODY_MAX, DATAGRAM_MAX, checksum};
use step3_dedup::{Config, Kind, Packet, Site, WireError};

lab::node!(
    /// This step's core.
    Step: step3_dedup, |_life| Site::new(Config::default())
);

#[test]
fn bad_datagrams_do_nothing() {
    // Every byte of every kind of packet flipped, cut and lengthened, and 100,000 of random bytes.
    hostile::assert_ignored::<Step>(1, 100_000);
}

#[test]
fn the_layout_is_this() {
    // Magic, version, kind, number, body, checksum; a request has its patience before the number.
    let request =
        Packet { kind: Kind::Request { patience: 2000 }, seq: 3, body: b"ok".to_vec() }.encode();
    assert_eq!(request[..19], *b"UV\x02\0\0\0\0\x07\xd0\0\0\0\0\0\0\0\x03ok");
    let packet = Packet { kind: Kind::Reply, seq: 3, body: b"ok".to_vec() };
    let datagram = packet.encode();
    assert_eq!(datagram[..17], *b"UV\x02\0\0\0\x01\0\0\0\0\0\0\0\x03ok");
    assert_eq!(checksum(b"123456789"), 0xCBF4_3926, "the check value of CRC-32");
    assert_eq!(Packet::decode(&datagram), Ok(packet));
}

#[test]
fn the_largest_body_fills_a_datagram() {
    let packet = Packet { kind: Kind::Request { patience: 1 }, seq: 1, body: vec![7; BODY_MAX] };
    assert_eq!(packet.encode().len(), DATAGRAM_MAX);
}

#[test]
fn other_headers_are_refused() {
    // Right checksums, but another protocol, version or kind; and a header cut short.
    for (position, value) in [(0, b'X'), (2, 99), (6, 2), (3, 1)] {
        let mut datagram = Packet { kind: Kind::Reply, seq: 1, body: Vec::new() }.encode();
        datagram[position] = value;
        assert_eq!(Packet::decode(&sealed(&datagram[..15])), Err(WireError::Header));
    }
    assert_eq!(Packet::decode(&sealed(b"UV\x02")), Err(WireError::Header));
    assert_eq!(Packet::decode(b"UV\x02"), Err(WireError::TooShort));
    assert_eq!(Packet::decode(&[0; DATAGRAM_MAX + 1]), Err(WireError::TooLong));
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
        let start: &[u8] = if header { b"UV\x02\0\0\0" } else { b"" };
        let datagram = sealed(&[start, &bytes].concat());
        if let Ok(packet) = Packet::decode(&datagram) {
            prop_assert_eq!(packet.encode(), datagram);
        }
    }
}
