//! What the chapters on the product say beyond what is generated: the layout of a packet, names, exit
//! codes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use unavez::protocol::{
    BODY_MAX, ClientId, ClientPort, Config, DATAGRAM_MAX, Epoch, FRAGMENT_HEADER, Flags, Fragment,
    Kind, Packet, ServerId, ServerPort, SiteId,
};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn chapter(name: &str) -> String {
    fs::read_to_string(workspace().join("book/chapters").join(name)).expect("it is there")
}

/// The cells of all rows of the Markdown tables below a heading.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = text.split_once(heading).expect("the heading is there").1;
    let section = section.split("\n#").next().expect("a split has a first part");
    let lines = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("|-"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The text of all Rust files below a folder.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("it is text"));
        }
    }
    text
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn fields_of_a_packet_are_where_the_page_says() {
    // One packet with another value in each field; each of them is looked for at its place.
    let epoch = |counter, random| Epoch { counter, random };
    let client = ClientId { site: SiteId(11), epoch: epoch(12, 13), port: ClientPort(14) };
    let server = ServerId { site: SiteId(15), epoch: epoch(16, 17), port: ServerPort(18) };
    let (flags, attempt, seq, kind) = (Flags::ORDERED, 10, 19, Kind::NoCall);
    let packet = Packet { flags, attempt, client, server, seq, kind, body: Default::default() };
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    let checksum =
        u64::from(u32::from_be_bytes(bytes[8..12].try_into().expect("it is long enough")));
    let (twelve, sixteen) = (12 << 32 | 13, 16 << 32 | 17);
    let values = [0x5556, 1, 0, 76, 2, checksum, 10, 11, twelve, 14, 15, sixteen, 18, 19, 5];
    let page = chapter("protocol.md");
    let rows = rows(&page, "## Packets");
    let rows = &rows[1..];
    assert_eq!(rows.len(), values.len());
    let mut end = 0;
    for (row, value) in rows.iter().zip(values) {
        let (at, len): (usize, usize) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        assert_eq!(at, end, "{row:?}");
        end = at + len;
        let found = bytes[at..end].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        assert_eq!(found, value, "{row:?}");
    }
    assert_eq!(end, kind.header_len());
}

#[test]
fn fields_of_a_fragment_are_where_the_page_says() {
    // As for a packet.
    let (body, asks) = (&[7; 100][..], true);
    let fragment = Fragment { tag: 11, serial: 12, offset: 13, asks, body };
    let bytes = fragment.header();
    let checksum = u64::from(u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]));
    let values = [0x5556, 1, 1, FRAGMENT_HEADER as u64 + 100, 1, checksum, 11, 12, 13];
    let page = chapter("protocol.md");
    let rows = rows(&page, "## Long messages");
    let rows = &rows[1..];
    assert_eq!(rows.len(), values.len());
    let mut end = 0;
    for (row, value) in rows.iter().zip(values) {
        let (at, len): (usize, usize) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        assert_eq!(at, end, "{row:?}");
        end = at + len;
        let found = bytes[at..end].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        assert_eq!(found, value, "{row:?}");
    }
    assert_eq!(end, FRAGMENT_HEADER);
}

#[test]
fn numbers_of_long_messages_are_those_of_the_code() {
    let page = chapter("protocol.md");
    let source = |file: &str| {
        let folder = workspace().join("final/src/protocol/fragments");
        fs::read_to_string(folder.join(file)).expect("it is there")
    };
    for (file, code, text) in [
        ("ranges.rs", "TOLD_MAX: usize = 64;", "the lowest 64 of them"),
        ("path.rs", "PROBES_MAX: u32 = 3;", "After 3 lost probes"),
        ("path.rs", "smoothed * 9 / 8", "nine eighths of a round trip"),
        ("path.rs", "WINDOW_MIN: usize = 2;", "it is two datagrams"),
        ("path.rs", "LOSS_REDUCTION: (usize, usize) = (1, 2);", "a loss halves it"),
        ("path.rs", "NEAR: Duration = Duration::from_millis(1);", "shorter than a millisecond"),
        ("sending.rs", "REORDERED_MAX: u32 = 3;", "a fragment sent three later"),
        ("mod.rs", "FIRST_WINDOW: usize = 10;", "It begins with 10 datagrams"),
        ("mod.rs", "FIRST_WINDOW: usize = 10;", "go on for 10 datagrams of 1,200 bytes"),
    ] {
        assert!(source(file).contains(code), "{file}: {code}");
        assert!(page.contains(text) || page.replace('\n', " ").contains(text), "{text}");
    }
    assert_eq!((BODY_MAX, DATAGRAM_MAX, Flags::BEGINS.0), (1072, 1200, 16));
    assert!(page.contains("travels in one packet: 1,072 bytes"));
}

#[test]
fn words_of_the_glossary_are_in_the_code() {
    let product = sources(&workspace().join("final/src"));
    let daemon = sources(&workspace().join("step6-daemon/src"));
    let mut words = 0;
    let page = chapter("glossary.md");
    for row in rows(&page, "# Glossary") {
        let source = if row[2].starts_with("step 6") { &daemon } else { &product };
        for word in code(row[2]) {
            words += 1;
            assert!(source.contains(word), "{word}");
        }
    }
    assert!(words > 30, "{words} words");
}

#[test]
fn tests_that_the_paper_is_held_by_exist() {
    let folders = ["step1-udp", "step2-retransmit", "step3-dedup", "step4-epochs"];
    let steps = folders.iter().chain(&["step5-heartbeat", "step6-daemon"]);
    let steps: String = steps.map(|step| sources(&workspace().join(step).join("tests"))).collect();
    let product = sources(&workspace().join("final/tests"));
    let mut tests = BTreeSet::new();
    let page = chapter("coverage.md");
    for row in &rows(&page, "# What became of the paper")[1..] {
        for (cell, source) in [(row[2], &steps), (row[3], &product)] {
            for test in code(cell) {
                assert!(source.contains(&format!("fn {test}(")), "{test}");
                tests.insert(test);
            }
        }
    }
    assert!(tests.len() > 25, "{} tests", tests.len());
    let broken = "every_rule_that_is_broken_is_caught";
    assert!(chapter("final.md").contains(broken) && product.contains(&format!("fn {broken}(")));
}

#[test]
fn numbers_of_the_chapter_are_those_of_the_code() {
    let page = chapter("final.md");
    let (usual, lan) = (Config::default(), Config::lan());
    let longest = usual.message_max >> 20;
    assert!(page.contains(&format!("of up to [{longest} MiB](#large-messages)")));
    assert!(page.contains(&format!("`message_max`, {longest} MiB unless you say otherwise")));
    let (mpl, lan) = (usual.packet_lifetime.as_secs(), lan.packet_lifetime.as_secs());
    assert!(
        page.contains(&format!("{mpl} seconds suit the\n  Internet; `Config::lan()` says {lan}."))
    );
    let patience = usual.patience_default.as_secs();
    assert!(page.contains(&format!("{patience} s unless said otherwise")));
    assert!(page.contains(&format!("than the usual {patience} seconds")));
    assert_eq!(usual.heartbeat_every.as_secs(), 1, "wait up to a second more");
    assert_eq!(usual.port_life_max.as_secs(), 3600, "by default up to an hour");
}

#[test]
fn exit_codes_are_those_of_the_programs_help() {
    let help = workspace().join("final/src/bin/unavez/call.rs");
    let help = fs::read_to_string(help).expect("it is there");
    let page = chapter("final.md");
    let rows = rows(&page, "**From a shell.**");
    let rows = &rows[1..];
    assert_eq!(rows.len(), 7);
    for row in rows {
        assert!(help.contains(&format!("\n  {}  {}", row[0], row[1])), "{row:?}");
    }
}

#[test]
fn tests_that_the_chapter_on_the_daemon_names_exist() {
    // All of its words that look like a claim.
    let all = sources(&workspace().join("final"));
    let page = chapter("daemon.md");
    let claims: BTreeSet<&str> = code(&page)
        .filter(|word| word.matches('_').count() >= 3 && !word.contains(['(', ' ', '/', '.']))
        .collect();
    assert!(claims.len() > 18, "{claims:?}");
    for claim in claims {
        assert!(all.contains(&format!("fn {claim}(")), "{claim}");
    }
}

#[test]
fn numbers_of_the_chapter_on_the_daemon_are_those_of_the_code() {
    let page = chapter("daemon.md");
    let source = |file: &str| {
        fs::read_to_string(workspace().join("final/src").join(file)).expect("it is there")
    };
    for (file, code, text) in [
        ("local/mod.rs", "MESSAGE_MAX: usize = 8184;", "at most 8,184 bytes here"),
        ("local/shm.rs", "RING_LEN: usize = 8192;", "| 64 KiB |"),
        ("local/sysv.rs", "MODE: c_int = 0o600;", "they have mode 0600"),
        ("daemon/limits.rs", "STOP_WAIT: Duration = Duration::from_millis(500);", "half a second"),
        ("daemon/limits.rs", "DESCRIPTORS: usize = 3;", "each process takes three descriptors"),
        ("attached/calls.rs", "GRACE: Duration = Duration::from_secs(2);", "2 seconds after its"),
    ] {
        assert!(source(file).contains(code), "{file}: {code}");
        assert!(page.contains(text), "{text}");
    }
}
