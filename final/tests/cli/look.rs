//! `unavez ping` and `unavez stat`: what is seen of a running site.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use nix::sys::signal::Signal;
use unavez::protocol::{DATAGRAM_MAX, Note, packets};

use super::{Serving, done, exposition, run, signal, unavez};

#[test]
fn ping_says_what_ping_says() {
    // Three pings: a line each, then the statistics.
    let serving = Serving::start(&["echo"]);
    let done = run(&["ping", &serving.url, "-c", "3", "-i", "10ms"]);
    assert_eq!((done.code, &*done.err), (Some(0), ""));
    let lines: Vec<&str> = done.out.lines().collect();
    assert!(lines[0].starts_with(&format!("PING {} ", serving.url)), "{done:?}");
    let from = format!("56 bytes from {}: seq=3 time=", serving.address());
    assert!(lines[3].starts_with(&from) && lines[3].ends_with(" ms"), "{done:?}");
    assert!(lines[6].starts_with("3 pings sent, 3 answered, 0% lost, "), "{done:?}");
    assert!(lines[7].starts_with("rtt min/avg/max/mdev = "), "{done:?}");
    assert_eq!(lines.len(), 8);
}

#[test]
fn ping_repairs_loss_and_counts_it() {
    // The first of five is lost on the way, and sent again: answered all the same, but late.
    let serving = Serving::start(&["echo"]);
    let site = serving.site();
    let report = run(&["ping", &site, "-c", "5", "-i", "1ms", "--drop", "1", "--json"]).json();
    assert_eq!((&report["sent"], &report["replies"]), (&5.into(), &5.into()), "{report}");
    assert!(report["sent_again"].as_u64().unwrap() >= 1, "{report}");
    let [min, max] = ["min_ms", "max_ms"].map(|which| report["rtt"][which].as_f64().unwrap());
    assert!(max > 900.0 && min < max, "{report}");
    assert_eq!(report["rtts_ms"].as_array().unwrap().len(), 5);
}

#[test]
fn ping_without_an_answer_fails() {
    // Nobody listens there, and nobody serves under this name.
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("unavez://{}", nobody.local_addr().unwrap());
    let done = run(&["ping", &url, "-c", "2", "-i", "1ms", "-W", "50ms"]);
    assert_eq!(done.code, Some(1));
    assert!(done.out.contains("seq=2 (no reply in time)"), "{done:?}");
    assert!(done.out.contains("2 pings sent, 0 answered, 100% lost"), "{done:?}");
    let report = run(&["ping", &url, "-c", "1", "-W", "50ms", "--json"]).json();
    assert_eq!((&report["loss_percent"], &report["rtt"]), (&100.0.into(), &().into()));
    let serving = Serving::start(&["echo"]);
    run(&["ping", &format!("{}/other", serving.site())]).fails(1, "no service of the name");
}

#[test]
fn interrupted_ping_prints_its_statistics() {
    // Ctrl-C after the first line, while it waits for the second ping.
    let serving = Serving::start(&["echo"]);
    let mut ping = unavez(&["ping", &serving.site(), "-i", "60s"]).spawn().unwrap();
    let mut out = BufReader::new(ping.stdout.take().unwrap());
    let (mut line, mut rest) = (String::new(), String::new());
    while !line.contains("seq=1") {
        out.read_line(&mut line).unwrap();
    }
    signal(&ping, Signal::SIGINT);
    out.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("1 pings sent, 1 answered"), "{rest}");
    assert_eq!(ping.wait().unwrap().code(), Some(0));
}

#[test]
fn pings_do_not_wait_for_each_other() {
    // Nobody answers: the third leaves long before the first is lost, and at Ctrl-C none has ended.
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("unavez://{}", nobody.local_addr().unwrap());
    let words = ["ping", &url, "-i", "10ms", "-W", "60s", "--json"];
    let ping = unavez(&words).spawn().unwrap();
    nobody.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut pings = HashSet::new();
    while pings.len() < 3 {
        let mut datagram = [0; DATAGRAM_MAX];
        let len = nobody.recv(&mut datagram).unwrap();
        pings.extend(packets(&datagram[..len]).map(|packet| packet.unwrap().seq));
    }
    signal(&ping, Signal::SIGINT);
    let done = done(ping);
    assert_eq!((done.code, &*done.err), (Some(1), ""));
    let report = done.json();
    assert!(report["sent"].as_u64().unwrap() >= 3, "{report}");
    assert_eq!((&report["open"], &report["loss_percent"]), (&report["sent"], &0.0.into()));
}

#[test]
fn pings_leave_or_are_not_made() {
    // Nobody answers: 64 are on the way. One more would wait here, and that time is not the network's.
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("unavez://{}", nobody.local_addr().unwrap());
    let ping = unavez(&["ping", &url, "-i", "1ms", "-W", "60s", "--json"]).spawn().unwrap();
    nobody.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // Until one is sent again, a second later.
    let mut attempts = 0;
    while attempts < 2 {
        let mut datagram = [0; DATAGRAM_MAX];
        let len = nobody.recv(&mut datagram).unwrap();
        let newest = packets(&datagram[..len]).map(|packet| packet.unwrap().attempt).max();
        attempts = attempts.max(newest.unwrap());
    }
    signal(&ping, Signal::SIGINT);
    let report = done(ping).json();
    assert_eq!((&report["sent"], &report["open"]), (&64.into(), &64.into()), "{report}");
}

#[test]
fn counters_are_those_of_the_site() {
    // Two calls, one of them for a name that is not there: one ran. All counters in their order.
    let serving = Serving::start(&["echo"]);
    serving.call(&["x"]).is(0, "x");
    assert_eq!(run(&["call", &format!("{}/other", serving.site()), "x"]).code, Some(3));
    let done = run(&["stat", &serving.url]);
    assert_eq!((done.code, &*done.err), (Some(0), ""));
    for (line, note) in done.out.lines().zip(Note::ALL) {
        assert_eq!(line.split_whitespace().nth(1), Some(&*format!("{note:?}")));
        assert!(line.ends_with(note.describe()), "{line}");
    }
    let report = run(&["stat", &serving.site(), "--json"]).json();
    assert_eq!(report["counters"]["Executed"], 1);
    assert_eq!(report["counters"]["SiteAnswered"], 3);
    for table in ["calls", "sending", "building"] {
        assert_eq!(report["entries"][table], 0, "{table}");
    }
    assert_eq!(report["site"].as_str().unwrap().len(), 16);
}

#[test]
fn stat_is_watched_until_it_is_interrupted() {
    // Two looks at least; the second one says what was added.
    let serving = Serving::start(&["echo"]);
    let mut stat = unavez(&["stat", &serving.site(), "--watch", "10ms"]).spawn().unwrap();
    let mut lines = BufReader::new(stat.stdout.take().unwrap()).lines();
    let mut some = lines.by_ref().take(20 * Note::ALL.len());
    assert!(some.any(|line| line.unwrap().contains("+1  SiteAnswered")));
    signal(&stat, Signal::SIGINT);
    lines.for_each(drop);
    assert_eq!(stat.wait().unwrap().code(), Some(0));
}

#[test]
fn prometheus_reads_what_stat_prints() {
    // One call, and one to find the service; every counter and table of a site is there.
    let serving = Serving::start(&["echo"]);
    serving.call(&["x"]).is(0, "x");
    let done = run(&["stat", &serving.site(), "--prometheus"]);
    assert_eq!((done.code, &*done.err), (Some(0), ""));
    let read = exposition::read(&done.out).unwrap();
    assert_eq!(read["unavez_executed_total"], 1.0);
    assert_eq!(read["unavez_site_answered_total"], 1.0);
    assert_eq!(read["unavez_calls"], 0.0);
    assert_eq!(read.len(), 1 + Note::ALL.len() + 8);
}

#[test]
fn a_host_without_daemon_is_said_to_be_one() {
    // In one line that says what to do.
    for tool in ["stat", "ps", "trace"] {
        let done = run(&[tool, "--socket", "/nowhere/unavezd.sock"]);
        done.fails(1, "no daemon is reached at /nowhere/unavezd.sock: ");
        done.fails(1, "start `unavezd`, or say where with --socket or $UNAVEZ_SOCKET");
    }
}

#[test]
fn stat_of_nobody_fails() {
    // A socket that is read by nobody.
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("unavez://{}", nobody.local_addr().unwrap());
    run(&["stat", &url, "--timeout", "50ms"]).fails(1, "no reply in time");
}
