//! Bytes from anybody, as a datagram and as text.

use crc32c::{crc32c, crc32c_append};
use unavez::protocol::{DATAGRAM_MAX, IpcPort, Piece, SiteReply, SiteRequest, pieces};

/// Nothing panics, and what is accepted is given back byte for byte.
pub(crate) fn decode(bytes: &[u8]) {
    datagram(bytes);
    datagram(&sealed(bytes));
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(port) = text.parse::<IpcPort>()
    {
        assert_eq!(port.to_string(), text);
    }
    if let Some(request) = SiteRequest::decode(bytes) {
        assert_eq!(request.encode(), bytes);
    }
    if let Some(reply) = SiteReply::decode(bytes) {
        assert_eq!(reply.encode(), bytes);
    }
}

fn datagram(bytes: &[u8]) {
    let mut again = Vec::new();
    let mut bad = 0;
    for piece in pieces(bytes) {
        let line = match piece {
            Ok(Piece::Packet(packet)) => {
                packet.encode(&mut again);
                packet.to_string()
            }
            Ok(Piece::Fragment(fragment)) => {
                fragment.encode(&mut again);
                fragment.to_string()
            }
            Err(_) => {
                bad += 1;
                continue;
            }
        };
        assert_eq!(bad, 0, "after a bad one there are no more");
        assert!(line.len() < 300, "a line of a trace is short: {line}");
    }
    assert!(bad <= 1 && bytes.starts_with(&again));
    assert_eq!(again.len() < bytes.len() || bytes.is_empty(), bad == 1);
}

/// The same bytes with magic, version, lengths and checksums put right, so that the fuzzer comes to what
/// lies behind them. The first byte of each packet says how long it is.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len().min(DATAGRAM_MAX)].to_vec();
    let mut rest = &mut bytes[..];
    while rest.len() >= 76 {
        let length = rest.len().min(76 + usize::from(rest[0]));
        let (packet, behind) = rest.split_at_mut(length);
        let form = packet[1] & 1;
        packet[..6].copy_from_slice(&[b'U', b'V', 1, form, (length >> 8) as u8, length as u8]);
        // Of a fragment over its header only.
        let to = if form == 1 { 28 } else { packet.len() };
        let sum = crc32c_append(crc32c_append(crc32c(&packet[..8]), &[0; 4]), &packet[12..to]);
        packet[8..12].copy_from_slice(&sum.to_be_bytes());
        rest = behind;
    }
    bytes
}
