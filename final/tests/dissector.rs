//! The Wireshark dissector beside the library: the same fields, and the same packets refused.
//!
//! Skipped where tshark is not installed (`apt-get install tshark`).

#[path = "wire/samples.rs"]
mod samples;

use std::fs;
use std::process::Command;

use crc32c::{crc32c, crc32c_append};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use samples::{KINDS, bytes, number, samples};
use unavez::protocol::{Credit, Flags, Fragment, Grant, Kind, Packet, Token, pieces};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/unavez.lua");
/// Fields that all packets have.
const HEADER: [&str; 20] = [
    "magic",
    "version",
    "form",
    "length",
    "flags",
    "flags.idempotent",
    "flags.ordered",
    "flags.begins",
    "checksum",
    "attempt",
    "client.site",
    "client.counter",
    "client.random",
    "client.port",
    "server.site",
    "server.counter",
    "server.random",
    "server.port",
    "seq",
    "kind",
];
/// Fields that some kinds have.
const OTHERS: [&str; 25] = [
    "floor",
    "predecessor",
    "patience",
    "rto",
    "max_reply",
    "hash",
    "token.issued",
    "token.mac",
    "service_time",
    "heartbeat",
    "window",
    "port_life",
    "present.counter",
    "present.random",
    "fresh",
    "after",
    "ran",
    "reason",
    "fate",
    "building",
    "newest",
    "granted",
    "room",
    "stalled",
    "body",
];

#[test]
fn every_field_of_every_kind_is_shown() {
    // One packet of each kind, each in a datagram of its own.
    let names = [&HEADER[..], &OTHERS[..]].concat();
    let datagrams: Vec<Vec<u8>> = samples().iter().map(bytes).collect();
    let Some(shown) = tshark(&datagrams, &names) else { return };
    assert_eq!(shown.len(), KINDS);
    for (packet, shown) in samples().iter().zip(shown) {
        let expected = expected(packet);
        for (name, shown) in names.iter().zip(shown) {
            let value = expected.iter().find(|(known, _)| known == name);
            let value = value.map_or("", |(_, value)| value);
            assert_eq!(shown, value, "{name} of {packet}");
        }
    }
}

#[test]
fn several_packets_of_a_datagram_are_shown() {
    // All kinds in one datagram; and a bad one, after which nothing is a packet.
    let all = samples().iter().flat_map(bytes).collect::<Vec<u8>>();
    let mut bad = [0, 1, 3].map(|kind| bytes(&samples()[kind]));
    bad[1][80] ^= 1;
    let names = ["kind", "length", "malformed"];
    let Some(shown) = tshark(&[all, bad.concat()], &names) else { return };
    let lengths: Vec<String> =
        samples().iter().map(|packet| packet.encoded_len().to_string()).collect();
    assert_eq!(shown[0], ["0,1,2,3,4,5,6,7,8,9,10,11,12,13", &lengths.join(","), ""]);
    assert_eq!(shown[1][0], "0,1");
    assert_eq!(shown[1][2], "1");
}

#[test]
fn lines_are_those_of_the_traces() {
    // What the list of packets shows begins as the library prints it.
    let datagrams: Vec<Vec<u8>> = samples().iter().map(bytes).collect();
    let Some(shown) = tshark(&datagrams, &["_ws.col.Info"]) else { return };
    for (packet, shown) in samples().iter().zip(shown) {
        let line = packet.to_string();
        let line = line.split([',', '"']).next().unwrap().trim_end();
        assert!(shown[0].ends_with(&format!(", {line}")), "{shown:?}, not {line}");
    }
}

#[test]
fn what_the_library_drops_is_shown_as_malformed() {
    // Cut, changed, lengthened and made up, most of them with length and checksum put right: nothing
    // makes an error of Lua, and exactly those are malformed that the library drops.
    let datagrams = damaged();
    let Some(shown) = tshark(&datagrams, &["form", "malformed", "_ws.lua.error"]) else { return };
    assert_eq!(shown.len(), datagrams.len());
    let mut dropped = 0;
    for (datagram, shown) in datagrams.iter().zip(shown) {
        assert_eq!(shown[2], "", "an error of Lua: {datagram:02x?}");
        let good = pieces(datagram).all(|piece| piece.is_ok());
        let shown_good = !shown[0].is_empty() && shown[1].is_empty();
        assert_eq!(shown_good, good, "{shown:?}: {datagram:02x?}");
        dropped += usize::from(!good);
    }
    let kept = datagrams.len() - dropped;
    assert!(dropped > 1000 && kept > 100, "{dropped} dropped, {kept} kept");
}

fn damaged() -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(1);
    let mut datagrams = Vec::new();
    let mut good: Vec<Vec<u8>> = samples().iter().map(bytes).collect();
    good.push(fragment());
    for good in good {
        datagrams.extend((1..good.len()).map(|length| good[..length].to_vec()));
        datagrams.extend((76..good.len()).map(|length| sealed(&good[..length])));
        datagrams.push(sealed(&[&good[..], b"more"].concat()));
        datagrams.push([&good[..], b"more"].concat());
        datagrams.push([&good[..], &[0; 1200]].concat());
        for _ in 0..100 {
            let mut changed = good.clone();
            let at = random.random_range(0..good.len());
            changed[at] = *[0, 1, 2, random.random()].get(random.random_range(0..4)).unwrap();
            datagrams.push(sealed(&changed));
            datagrams.push(changed);
        }
    }
    for _ in 0..1000 {
        let mut garbage = vec![0; random.random_range(1..1300)];
        random.fill_bytes(&mut garbage);
        datagrams.push(garbage.clone());
        datagrams.push(sealed(&garbage));
    }
    datagrams
}

/// A piece of a large message.
fn fragment() -> Vec<u8> {
    let mut bytes = Vec::new();
    let body: &[u8] = b"a piece of a message";
    Fragment { tag: 0xa1a2_a3a4_a5a6_a7a8, serial: 3, offset: 1068, asks: true, body }
        .encode(&mut bytes);
    bytes
}

#[test]
fn fragments_are_shown() {
    // A packet and a fragment in one datagram.
    let both = [bytes(&samples()[0]), fragment()].concat();
    let names = ["form", "tag", "serial", "offset", "flags.asks", "_ws.col.Info"];
    let Some(shown) = tshark(&[both], &names) else { return };
    assert_eq!(shown[0][..5], ["0,1", "0xa1a2a3a4a5a6a7a8", "3", "1068", "1"]);
    assert!(shown[0][5].ends_with("FRAGMENT a1a2 1068..1088"), "{shown:?}");
}

/// With magic, version, length and checksum put right, if it has room for a header.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 12 {
        let length = (bytes.len() as u16).to_be_bytes();
        bytes[..3].copy_from_slice(b"UV\x01");
        bytes[4..6].copy_from_slice(&length);
        // Of a fragment over its header only.
        let to = if bytes[3] == 1 { bytes.len().min(28) } else { bytes.len() };
        let sum = crc32c_append(crc32c_append(crc32c(&bytes[..8]), &[0; 4]), &bytes[12..to]);
        bytes[8..12].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// What tshark has to show of a packet.
fn expected(packet: &Packet) -> Vec<(&'static str, String)> {
    let Packet { flags, attempt, client, server, seq, kind, body } = packet;
    let encoded = bytes(packet);
    let checksum = u32::from_be_bytes(encoded[8..12].try_into().unwrap());
    let mut all = vec![
        ("magic", "UV".into()),
        ("version", "1".into()),
        ("form", "0".into()),
        ("length", encoded.len().to_string()),
        ("flags", format!("{:#06x}", flags.0)),
        ("flags.idempotent", u8::from(flags.has(Flags::IDEMPOTENT)).to_string()),
        ("flags.ordered", u8::from(flags.has(Flags::ORDERED)).to_string()),
        ("flags.begins", u8::from(flags.has(Flags::BEGINS)).to_string()),
        ("checksum", format!("{checksum:#010x}")),
        ("attempt", attempt.to_string()),
        ("client.site", format!("{:#018x}", client.site.0)),
        ("client.counter", client.epoch.counter.to_string()),
        ("client.random", format!("{:#010x}", client.epoch.random)),
        ("client.port", format!("{:#018x}", client.port.0)),
        ("server.site", format!("{:#018x}", server.site.0)),
        ("server.counter", server.epoch.counter.to_string()),
        ("server.random", format!("{:#010x}", server.epoch.random)),
        ("server.port", server.port.0.to_string()),
        ("seq", seq.to_string()),
        ("kind", number(kind).to_string()),
    ];
    all.extend(expected_of_kind(kind));
    if !body.is_empty() {
        all.push(("body", body.iter().map(|byte| format!("{byte:02x}")).collect()));
    }
    all
}

fn expected_of_kind(kind: &Kind) -> Vec<(&'static str, String)> {
    match *kind {
        Kind::Request { floor, predecessor, patience, rto, max_reply, hash, token } => {
            let mut all = vec![
                ("floor", floor.to_string()),
                ("predecessor", predecessor.to_string()),
                ("patience", patience.to_string()),
                ("rto", rto.to_string()),
                ("max_reply", max_reply.to_string()),
                ("hash", format!("{hash:#018x}")),
            ];
            all.extend(of_token(token));
            all
        }
        Kind::Reply { service_time, grant } => of_grant(service_time, None, grant),
        Kind::Working { service_time, heartbeat, grant } => {
            of_grant(service_time, Some(heartbeat), grant)
        }
        Kind::Heartbeat { floor, token } | Kind::Abort { floor, token } => {
            let mut all = vec![("floor", floor.to_string())];
            all.extend(of_token(token));
            all
        }
        Kind::Stale { present, fresh } => vec![
            ("present.counter", present.counter.to_string()),
            ("present.random", format!("{:#010x}", present.random)),
            ("fresh", u8::from(fresh).to_string()),
        ],
        Kind::Busy { after } => vec![("after", after.to_string())],
        Kind::Refused { ran, reason } => {
            vec![("ran", (ran as u32).to_string()), ("reason", (reason as u32).to_string())]
        }
        Kind::Challenge { token } => of_token(token).into(),
        Kind::Aborted { fate } => vec![("fate", (fate as u32).to_string())],
        Kind::NoCall | Kind::WrongSite => vec![],
        Kind::Credit { credit } => of_credit(credit).into(),
        Kind::Fetch { floor, token, credit } => {
            let mut all = vec![("floor", floor.to_string())];
            all.extend(of_token(token));
            all.extend(of_credit(credit));
            all
        }
    }
}

fn of_credit(credit: Credit) -> [(&'static str, String); 5] {
    [
        ("building", credit.building.to_string()),
        ("newest", credit.newest.to_string()),
        ("granted", credit.granted.to_string()),
        ("room", credit.room.to_string()),
        ("stalled", u8::from(credit.stalled).to_string()),
    ]
}

fn of_grant(service: u32, heartbeat: Option<u32>, grant: Grant) -> Vec<(&'static str, String)> {
    let Grant { window, port_life, token } = grant;
    let mut all = vec![
        ("service_time", service.to_string()),
        ("window", window.to_string()),
        ("port_life", port_life.to_string()),
    ];
    all.extend(heartbeat.map(|heartbeat| ("heartbeat", heartbeat.to_string())));
    all.extend(of_token(token));
    all
}

fn of_token(token: Token) -> [(&'static str, String); 2] {
    [("token.issued", token.issued.to_string()), ("token.mac", format!("{:#018x}", token.mac))]
}

/// What tshark shows of these fields of these datagrams; `None` if there is no tshark.
fn tshark(datagrams: &[Vec<u8>], names: &[&str]) -> Option<Vec<Vec<String>>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    fs::write(&file, pcap(datagrams)).unwrap();
    let mut command = Command::new("tshark");
    // Nobody's own settings or plugins.
    command.env("WIRESHARK_CONFIG_DIR", folder.path()).env("HOME", folder.path());
    command.arg("-n").arg("-X").arg(format!("lua_script:{SCRIPT}")).arg("-r").arg(&file);
    command.args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
    for name in names {
        let known = name.starts_with('_') || name.contains("frame");
        command.arg("-e").arg(if known { name.to_string() } else { format!("unavez.{name}") });
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: tshark does not start ({error}); apt-get install tshark");
            return None;
        }
    };
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    let err = String::from_utf8_lossy(&err);
    assert!(output.status.success(), "{err}");
    assert!(!err.contains("Lua") && !out.contains("Lua"), "{err}{out}");
    Some(out.lines().map(|line| line.split('\t').map(String::from).collect()).collect())
}

/// A capture file (the classic format, Ethernet) with a frame for each datagram.
fn pcap(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65535, 1] {
        file.extend(word.to_be_bytes());
    }
    for (second, datagram) in datagrams.iter().enumerate() {
        let udp_len = 8 + datagram.len() as u16;
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
        frame.extend((20 + udp_len).to_be_bytes());
        // Identification, do not fragment, 64 hops, UDP, no checksum; from and to.
        frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2]);
        for half in [40_000, 7373, udp_len, 0] {
            frame.extend(half.to_be_bytes());
        }
        frame.extend(datagram);
        for word in [second as u32, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_be_bytes());
        }
        file.extend(frame);
    }
    file
}
