//! Bytes that were changed, cut, lengthened or made up: never another packet.

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use unavez::protocol::{DATAGRAM_LARGEST, DATAGRAM_MAX, Packet, WireError, packets};

use crate::samples::{bytes, samples};
use crate::seal;

#[test]
fn no_changed_byte_makes_another_packet() {
    // Every byte of one packet of each kind, changed to each of its 255 other values.
    for packet in samples() {
        let good = bytes(&packet);
        let mut damaged = good.clone();
        for position in 0..good.len() {
            for change in 1..=255 {
                damaged[position] = good[position] ^ change;
                let decoded = Packet::decode(&damaged);
                assert!(decoded.is_err(), "{packet}, byte {position} ^ {change}: {decoded:?}");
            }
            damaged[position] = good[position];
        }
    }
}

#[test]
fn no_swapped_bytes_make_another_packet() {
    // A sum would not see these; the checksum does.
    for packet in samples() {
        let good = bytes(&packet);
        for position in 1..good.len() {
            let mut damaged = good.clone();
            damaged.swap(position - 1, position);
            assert!(damaged == good || Packet::decode(&damaged).is_err(), "{packet} at {position}");
        }
    }
}

#[test]
fn no_beginning_of_a_packet_is_one() {
    for packet in samples() {
        let good = bytes(&packet);
        for length in 0..good.len() {
            let cut = &good[..length];
            assert_eq!(Packet::decode(cut), Err(WireError::Length), "{packet}, {length} bytes");
        }
    }
}

#[test]
fn no_header_cut_short_is_a_packet() {
    // With length and checksum put right, the codec itself finds out.
    for packet in samples() {
        for length in 76..packet.kind.header_len() {
            let mut cut = bytes(&packet)[..length].to_vec();
            seal(&mut cut);
            assert_eq!(Packet::decode(&cut), Err(WireError::Header), "{packet}, {length} bytes");
        }
    }
}

#[test]
fn a_claimed_length_is_believed_only_within_the_datagram() {
    // 16 bits can claim more than there is, or less than a header: refused before the checksum.
    for packet in samples() {
        let mut lying = bytes(&packet);
        let length = lying.len();
        for claim in (0..76).chain(length + 1..=usize::from(u16::MAX)) {
            lying[4..6].copy_from_slice(&(claim as u16).to_be_bytes());
            assert_eq!(Packet::decode(&lying), Err(WireError::Length), "{packet}, {claim}");
        }
    }
}

#[test]
fn packets_too_long_are_none() {
    // Longer than UDP carries (R40).
    for packet in samples().into_iter().filter(|packet| !packet.body.is_empty()) {
        let too_much = vec![7; DATAGRAM_LARGEST + 1 - packet.kind.header_len()].into();
        let long = bytes(&Packet { body: too_much, ..packet.clone() });
        assert_eq!(Packet::decode(&long), Err(WireError::Length), "{packet}");
        let mut datagram = bytes(&packet).repeat(DATAGRAM_MAX);
        datagram.truncate(10 * DATAGRAM_MAX);
        let whole = datagram.len() / packet.encoded_len();
        let found: Vec<_> = packets(&datagram).collect();
        assert!(found[..whole].iter().all(|it| *it == Ok(packet.clone())), "{packet}");
    }
}

#[test]
fn garbage_is_no_packet() {
    // 100,000 datagrams of random bytes; each second one begins as a packet does.
    let mut random = StdRng::seed_from_u64(1);
    let mut garbage = [0; DATAGRAM_MAX];
    for round in 0..100_000 {
        let length = random.random_range(0..=200);
        let datagram = &mut garbage[..length];
        random.fill_bytes(datagram);
        if round % 2 == 0 && length >= 8 {
            datagram[..6].copy_from_slice(&[b'U', b'V', 1, 0, 0, length as u8]);
        }
        assert!(Packet::decode(datagram).is_err(), "{datagram:02x?}");
    }
}
