//! The line that a packet is in a trace or a log.

use bytes::Bytes;
use unavez::protocol::{Kind, Packet, UNLIMITED};

use crate::samples::{CLIENT, samples};

#[test]
fn the_lines_are_these() {
    let lines: Vec<String> = samples().iter().map(Packet::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn unlimited_patience_is_said_so() {
    let mut packet = samples().remove(0);
    if let Kind::Request { patience, .. } = &mut packet.kind {
        *patience = UNLIMITED;
    }
    assert!(packet.to_string().ends_with("patience unlimited"), "{packet}");
}

#[test]
fn no_line_is_long_or_raw() {
    // A body may hold anything: terminal codes, lines, a kilobyte (PROTOCOL §9).
    let body: Vec<u8> = (0..1000).map(|i| i as u8).collect();
    let packet = Packet { body: Bytes::from(body), ..samples().remove(0) };
    let line = packet.to_string();
    assert!(line.len() < 300 && line.contains("(1000 bytes)"), "{line}");
    assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
}

#[test]
fn client_ports_are_never_shown_whole() {
    // Who knows one can forge replies to its calls (R8).
    let port = CLIENT.port.0;
    let shown: Vec<String> = samples()
        .iter()
        .flat_map(|packet| [format!("{packet}"), format!("{packet:?}"), format!("{packet:#?}")])
        .chain([format!("{} {:?}", CLIENT.port, CLIENT.port), format!("{CLIENT:?}")])
        .collect();
    let rest =
        [format!("{:x}", port & 0xffff_ffff), format!("{port}"), format!("{:x}", port >> 32)];
    for text in shown {
        let lower = text.to_lowercase();
        assert!(rest.iter().all(|rest| !lower.contains(rest)), "{text}");
        assert!(lower.contains("feed"), "a part of it is, to tell ports apart: {text}");
    }
}
