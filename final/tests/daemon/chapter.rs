//! What the book's chapter on the daemon shows: the help of the program, its first line, what the tools
//! print, and a program that runs at both kinds of site.
//!
//! To accept a change: `INSTA_UPDATE=always cargo test -p unavez --test daemon chapter`.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;

use nix::unistd::geteuid;

use super::program::Program;
use super::{Place, until};

/// A busy machine may send something again: then it is tried once more, so often.
const TRIES: usize = 10;

/// The text is the one that the chapter includes.
fn is_in_the_chapter(name: &str, text: &str) {
    if !matches(name, text) {
        assert_eq!(fs::read_to_string(table(name)).unwrap_or_default(), text, "{name}");
    }
}

fn matches(name: &str, text: &str) -> bool {
    if env::var("INSTA_UPDATE").is_ok_and(|it| it == "always") {
        fs::write(table(name), text).unwrap();
    }
    fs::read_to_string(table(name)).is_ok_and(|shown| shown == text)
}

fn table(name: &str) -> String {
    format!("{}/../book/chapters/tables/{name}.txt", env!("CARGO_MANIFEST_DIR"))
}

/// `unavezd --help`, word for word.
#[test]
fn the_chapter_shows_the_help() {
    let done = Command::new(env!("CARGO_BIN_EXE_unavezd")).arg("--help").output().unwrap();
    is_in_the_chapter("unavezd-help", &String::from_utf8(done.stdout).unwrap());
}

/// The line that says that it has started; only the places are others.
#[test]
fn the_chapter_shows_the_first_line() {
    let place = Place::new();
    let daemon = place.start(&["--log", "error"]);
    let line = daemon.line.replace(&daemon.address().to_string(), "192.0.2.1:7373");
    let line = line.replace(place.socket().to_str().unwrap(), "/run/unavez/unavezd.sock");
    is_in_the_chapter("unavezd-first-line", &line);
}

/// The program of the chapter serves and asks, at a site of its own and at the daemon's, in all four
/// ways.
#[test]
fn the_program_runs_at_both_kinds_of_site() {
    let place = Place::new();
    let _daemon = place.start(&["--log", "error"]);
    for serves_attached in [false, true] {
        let mut server = Program::start(&place, serves_attached, "serve");
        let url = server.line();
        for asks_attached in [false, true] {
            let words = format!("ask {} hello", url.trim());
            assert_eq!(Program::start(&place, asks_attached, &words).line(), "HELLO\n");
        }
    }
}

/// What the tools show of a daemon with one server, which a client elsewhere has called once.
#[test]
fn the_chapter_shows_what_the_tools_print() {
    for _ in 1..TRIES {
        if shown().iter().all(|(name, text)| matches(name, text)) {
            return;
        }
    }
    for (name, text) in shown() {
        is_in_the_chapter(name, &text);
    }
}

fn shown() -> [(&'static str, String); 4] {
    let place = Place::new();
    let daemon = place.start(&["--log", "error"]);
    let mut server = Program::start(&place, true, "serve");
    let url = server.line();
    let mut trace = place.tool(&["trace"]).spawn().unwrap();
    // It watches when what it asked was read, and `stat` asks later.
    until(|| place.shows(&["ps"]).lines().count() == 3);
    place.shows(&["stat"]);
    let mut client = Program::start(&place, false, &format!("ask {} hello", url.trim()));
    assert_eq!(client.line(), "HELLO\n");
    let lines = BufReader::new(trace.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut traced = String::new();
    for line in lines {
        traced.push_str(&format!("{line}\n"));
        if line.contains("REPLY") && line.contains("HELLO") {
            break;
        }
    }
    let _ = trace.kill();
    let _ = trace.wait();
    until(|| place.shows(&["ps"]).lines().count() == 2);
    let (ps, stat) = (place.shows(&["ps"]), place.shows(&["stat"]));
    let scraped = place.shows(&["stat", "--prometheus"]);
    let mask = Mask { daemon: daemon.address().to_string(), pid: server.pid() };
    [
        ("unavez-ps", mask.hides(&ps)),
        ("unavez-stat", keep(&mask.hides(&stat), |line| !line.trim_start().starts_with("0 "))),
        ("unavez-prometheus", keep(&mask.hides(&scraped), |line| line.contains("unavez_executed"))),
        ("unavez-trace", mask.hides_in_trace(&traced)),
    ]
}

fn keep(text: &str, wanted: impl Fn(&str) -> bool) -> String {
    text.lines().filter(|line| wanted(line)).map(|line| format!("{line}\n")).collect()
}

/// What differs each time is always the same.
struct Mask {
    daemon: String,
    pid: u32,
}

impl Mask {
    fn hides(&self, text: &str) -> String {
        let user = geteuid();
        let text = text.replace(&self.daemon, "192.0.2.1:7373");
        text.replace(&format!("{:>7}  {user:>7}", self.pid), "   4711     1000")
    }

    /// Of each line the time; the client's address, epoch and ports; and the port that is named in the
    /// answer of the site.
    fn hides_in_trace(&self, text: &str) -> String {
        let (mut lines, mut ports) = (String::new(), Vec::new());
        for line in text.lines() {
            let (_, rest) = line.split_once(" ms  ").expect("each has its time");
            let rest = rest.replace(r#""\x00\x00\x00\x00\x01"#, "\0");
            let rest = rest.split('\0').next().unwrap_or_default();
            let words: Vec<String> = rest.split(' ').map(|word| hide(word, &mut ports)).collect();
            let end = if rest.ends_with("from e0 ") { "…" } else { "" };
            lines.push_str(&format!("     0 ms  {}{end}\n", words.join(" ")));
        }
        lines
    }
}

/// `127.0.0.1:43907`, or the name of a call: `e3851058475.501d.1`.
fn hide(word: &str, ports: &mut Vec<String>) -> String {
    if word.starts_with("127.0.0.1:") {
        return "198.51.100.7:40001".into();
    }
    // A patience of which some was spent on the way.
    if word.parse::<u32>().is_ok_and(|ms| (20_000..30_000).contains(&ms)) {
        return "30000".into();
    }
    let parts: Vec<&str> = word.split('.').collect();
    match parts[..] {
        [epoch, port, number] if epoch.starts_with('e') => {
            if !ports.iter().any(|it| it == port) {
                ports.push(port.into());
            }
            let at = ports.iter().position(|it| it == port).unwrap_or_default();
            format!("e7.{}.{number}", ["a0a0", "b1b1"][at])
        }
        _ => word.into(),
    }
}
