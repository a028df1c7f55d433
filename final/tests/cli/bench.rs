//! `unavez bench`: it measures all alike, says what it measured, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{done, run, signal, unavez};

/// Some contenders, two sizes, few rounds.
const SHORT: &str = "bench --on loopback --sizes 1,64k --starts 1 --rounds 1 --time 50ms --filter unavez,fast,quic-open";

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn every_contender_is_measured() {
    // A short run; each contender has a row in each table, or a reason why not.
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let (json, csv) = (out.join("result.json"), out.join("result.csv"));
    let mut bench = unavez(&words(SHORT));
    bench.arg("--out").arg(&out);
    let done = done(bench.env("TMPDIR", dir.path()).spawn().unwrap());
    assert_eq!((done.code, &*done.err), (Some(0), ""), "{done:?}");
    let report: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let tables = report["tables"].as_array().unwrap();
    let placements = report["machine"]["cores"].as_u64().unwrap().min(2) as usize;
    assert_eq!(tables.len(), placements * 3, "two sizes, and many calls at a time: {report}");
    let rows = |table: &Value| table["rows"].as_array().unwrap().clone();
    let lines: usize =
        tables.iter().map(|it| rows(it).len() + it["absent"].as_array().unwrap().len()).sum();
    // The exchanges: the echo, two kinds of TCP, one of QUIC, three of unavez.
    assert_eq!(lines, placements * (7 + 7 + 6), "{report}");
    is_a_table(&fs::read_to_string(&csv).unwrap(), lines);
    for row in tables.iter().flat_map(rows) {
        assert!(row["mean"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["client_cpu"].as_f64().unwrap() > 0.0, "{row}");
    }
    // Two packets for a call, where nobody else sends (R4).
    if report["private_network"] == true {
        let unavez = rows(&tables[0]).into_iter().find(|row| row["contender"] == "unavez").unwrap();
        assert!((2.0..2.5).contains(&unavez["packets"].as_f64().unwrap()), "{unavez}");
    } else {
        println!("packets are not looked at: this user may not make a network of its own");
    }
    assert!(out.join("loopback-one-core.svg").exists() && out.join("packets.svg").exists());
    is_drawn(&json);
    is_compared(&report);
    fs::remove_dir_all(out).unwrap();
    assert_eq!(left(dir.path()), 0, "a daemon has left its directory");
}

/// A result agrees with itself, and not with one where all takes twenty times as long.
fn is_compared(report: &Value) {
    let dir = tempfile::tempdir().unwrap();
    let [one, other] = ["one.json", "other.json"].map(|name| dir.path().join(name));
    let compare = || run(&["bench", "compare", one.to_str().unwrap(), other.to_str().unwrap()]);
    // As if it had been started so often.
    let with = |times: f64, starts: usize| {
        let mut report = report.clone();
        let tables = report["tables"].as_array_mut().unwrap();
        for row in tables.iter_mut().flat_map(|it| it["rows"].as_array_mut().unwrap()) {
            let first = row["starts"][0].clone();
            let start = |number: usize| {
                let luck = times * (1.0 + number as f64 / 100.0);
                let ratio = |name: &str| first[name].as_f64().map(|it| it * luck);
                json!({"number": number, "to_tcp": ratio("to_tcp"), "to_kept": ratio("to_kept")})
            };
            row["starts"] = (0..starts).map(start).collect();
        }
        report.to_string()
    };
    fs::write(&one, with(1.0, 6)).unwrap();
    fs::write(&other, with(1.0, 6)).unwrap();
    let same = compare();
    assert_eq!((same.code, &*same.err), (Some(0), ""), "{same:?}");
    assert!(same.out.starts_with("0 of ") && same.out.ends_with("The runs agree.\n"), "{same:?}");
    fs::write(&other, with(20.0, 6)).unwrap();
    let differ = compare();
    assert_eq!((differ.code, &*differ.err), (Some(1), ""), "{differ:?}");
    assert!(differ.out.ends_with("The runs differ.\n"), "{differ:?}");
    assert!(differ.out.contains("1 byte there and back: unavez beside TCP, one each: "));
    // What was started once, and nothing.
    fs::write(&one, with(1.0, 1)).unwrap();
    fs::write(&other, with(20.0, 1)).unwrap();
    let once = compare();
    assert_eq!((once.code, &*once.err), (Some(3), ""), "{once:?}");
    assert!(once.out.ends_with("It cannot be told: there were too few starts.\n"), "{once:?}");
    let mut nothing = report.clone();
    nothing["tables"] = Value::Array(Vec::new());
    fs::write(&other, nothing.to_string()).unwrap();
    assert_eq!(compare().code, Some(3));
}

/// The result that the book shows.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/chapters/comparison")
}

#[test]
fn figures_of_the_book_are_those_of_its_result() {
    // Drawn again from the kept result, each is byte for byte what is kept. To accept a change:
    // `unavez bench plot result.json --out .` in that directory.
    let dir = tempfile::tempdir().unwrap();
    let (json, out) = (kept().join("result.json"), dir.path().to_str().unwrap());
    let done = run(&["bench", "plot", json.to_str().unwrap(), "--out", out]);
    assert_eq!((done.code, &*done.err), (Some(0), ""), "{done:?}");
    for path in done.out.lines().map(Path::new) {
        let name = path.file_name().unwrap();
        assert!(fs::read(path).unwrap() == fs::read(kept().join(name)).unwrap(), "{name:?}");
    }
    let is_figure = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".svg");
    let names = fs::read_dir(kept()).unwrap().map(|it| it.unwrap().file_name());
    assert_eq!(
        done.out.lines().count(),
        names.filter(|it| is_figure(it)).count(),
        "there are others"
    );
}

/// Each placement has a figure with the names of those who could do two sizes, and packets have one.
fn is_drawn(json: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let (json, out) = (json.to_str().unwrap(), dir.path().join("figures"));
    let done = run(&["bench", "plot", json, "--out", out.to_str().unwrap(), "--filter", "udp,tcp"]);
    assert_eq!((done.code, &*done.err), (Some(0), ""), "{done:?}");
    assert!(done.out.contains("loopback-one-core.svg") && done.out.contains("packets.svg"));
    for path in done.out.lines() {
        let svg = fs::read_to_string(path).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("TCP, one each"), "{path}");
        assert!(!svg.contains("NaN") && !svg.contains("#FFFFFF"), "{path}");
    }
}

/// Each line has as many columns, and there are at least so many.
fn is_a_table(csv: &str, lines: usize) {
    let columns = |line: &str| line.split(',').count();
    assert!(csv.lines().count() > lines, "{csv}");
    let first = csv.lines().next().unwrap();
    for line in csv.lines().filter(|it| !it.contains('"')) {
        assert_eq!(columns(line), columns(first), "{line}");
    }
}

/// The tables of a short run on that network, unless it may not be made here, which is said.
fn tables_of(words: &str) -> Option<Vec<Value>> {
    let dir = tempfile::tempdir().unwrap();
    let (json, csv) = (dir.path().join("result.json"), dir.path().join("result.csv"));
    let line =
        format!("bench {words} --sizes 64,32k --starts 1 --rounds 1 --time 50ms --filter unavez");
    let mut bench = unavez(&self::words(&line));
    bench.arg("--json").arg(&json).arg("--csv").arg(&csv);
    let done = done(bench.spawn().unwrap());
    assert_eq!((done.code, &*done.err), (Some(0), ""), "{done:?}");
    let left_out: Vec<&str> = done.out.lines().filter(|it| it.contains(" left out: ")).collect();
    if let [why, ..] = left_out[..] {
        println!("{why}");
    }
    let report: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let tables = report["tables"].as_array().unwrap().clone();
    is_a_table(&fs::read_to_string(&csv).unwrap(), tables.len());
    (!tables.is_empty()).then_some(tables)
}

/// What was done on networks of this loss.
fn workloads(tables: &[Value], loss: f64) -> Vec<&str> {
    let those = tables.iter().filter(|it| it["network"]["loss"] == loss);
    those.map(|it| it["workload"].as_str().unwrap()).collect()
}

#[test]
fn wire_is_as_fast_as_it_is_said_to_be() {
    // Two hosts and a wire: TCP fills it, and does not exceed it.
    let Some(tables) = tables_of("--on lan --rates 10M --losses 1%") else { return };
    assert_eq!(workloads(&tables, 0.0), ["exchange", "exchange", "bulk", "share", "beside"]);
    assert_eq!(workloads(&tables, 0.01), ["exchange", "bulk"]);
    let tcp = &tables[2]["rows"][0];
    assert_eq!(tcp["contender"], "tcp-each");
    let on_link = tcp["on_link"]["median"].as_f64().unwrap();
    assert!((7e6..12e6).contains(&on_link), "{tcp}");
}

#[test]
fn way_is_as_long_as_it_is_said_to_be() {
    // Three routers: an echo takes the delays of all links there and back, and not much more.
    let Some(tables) = tables_of("--on man") else { return };
    assert_eq!(workloads(&tables, 0.0), ["exchange", "exchange", "bulk", "share", "beside"]);
    let echo = &tables[0]["rows"][0];
    assert_eq!(echo["contender"], "udp");
    let took = echo["exchanges"]["p50"].as_f64().unwrap();
    assert!((4400.0..20_000.0).contains(&took), "{echo}");
}

#[test]
fn killed_bench_takes_its_processes_along() {
    // It is killed in the middle, and cannot tell anybody.
    let dir = tempfile::tempdir().unwrap();
    let mut bench = begun(dir.path());
    let family = children(bench.id());
    assert!(family.len() >= 4, "a client, a server and two daemons: {family:?}");
    bench.kill().unwrap();
    bench.wait().unwrap();
    let began = Instant::now();
    while family.iter().any(|pid| is_alive(*pid)) || left(dir.path()) > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "{family:?}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn interrupted_bench_says_so() {
    // Ctrl-C in the middle: what is done is kept.
    let dir = tempfile::tempdir().unwrap();
    let bench = begun(dir.path());
    let family = children(bench.id());
    signal(&bench, Signal::SIGINT);
    done(bench).fails(1, "stopped before the end");
    assert!(family.iter().all(|pid| !is_alive(*pid)), "{family:?}");
    assert_eq!(left(dir.path()), 0);
}

/// A bench whose processes are all there.
fn begun(dir: &Path) -> Child {
    let line = "bench --on loopback --sizes 1 --rounds 100000 --time 1h --filter unavezd";
    let bench = unavez(&words(line)).env("TMPDIR", dir).spawn().unwrap();
    let began = Instant::now();
    while children(bench.id()).len() < 4 {
        assert!(began.elapsed() < Duration::from_secs(20));
        sleep(Duration::from_millis(20));
    }
    bench
}

fn left(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// Started by any of its threads.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()
        })
        .collect()
}

/// A process that has ended may still have to be waited for.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn mistakes_are_said_before_the_work() {
    // Each is refused at once, and says what is allowed.
    for (line, part) in [
        ("bench plott", "allowed: plot, compare"),
        ("bench --sizes 0", "a size is from 1 to 16M: 64, 1k (1,024 bytes) or 3.5M"),
        ("bench --sizes 1,big", "a size is from 1 to 16M"),
        ("bench --filter sctp", "allowed is a part of: udp, udp-batch, tcp-each"),
        ("bench --rounds 0", "1..=100000"),
        ("bench --starts 0", "1..=1000"),
        ("bench --time 5", "500us, 200ms, 5s"),
        ("bench --open 0", "1..=1024"),
        ("bench --on wan", "possible values: loopback, lan, man"),
        ("bench --hops 10M", "RATE/DELAY or RATE/DELAY/LOSS, like 10M/1ms or 2M/20ms/1%"),
        ("bench --hops 10M/2s", "the longest delay of a hop is 1s"),
        ("bench --rates 10", "a rate is from 100k to 100G bits in a second, like 10M; or `none`"),
        ("bench --losses 101%", "from 0% to 100%"),
        ("bench compare /etc/passwd /etc/passwd", "/etc/passwd: not a result of"),
        ("bench --out /proc/nowhere", "/proc/nowhere: "),
        ("bench plot /nowhere/result.json", "/nowhere/result.json: "),
        ("bench plot /etc/passwd", "/etc/passwd: not a result of `unavez bench`"),
        ("bench --json /nowhere/result.json", "/nowhere/result.json: "),
    ] {
        let done = run(&words(line));
        done.fails(2, part);
        assert_eq!(done.out, "", "{line}");
    }
}
