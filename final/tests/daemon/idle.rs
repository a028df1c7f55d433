use std::fs;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use super::{Daemon, Place};

/// How often each thread of the daemon went to sleep.
fn sleeps(daemon: &Daemon) -> Vec<u64> {
    let mut tasks: Vec<_> = fs::read_dir(format!("/proc/{}/task", daemon.pid()))
        .unwrap()
        .map(|task| task.unwrap().path())
        .collect();
    tasks.sort();
    let sleeps = |text: String| {
        let line = text.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    tasks.iter().map(|task| sleeps(fs::read_to_string(task.join("status")).unwrap())).collect()
}

/// A hundred processes are attached and nothing happens: in ten seconds no thread wakes once.
#[test]
fn an_idle_daemon_sleeps() {
    let place = Place::new();
    let daemon = place.start(&["--log", "error"]);
    let attached: Vec<OwnedFd> = (0..100).map(|number| place.attach(number)).collect();
    thread::sleep(Duration::from_millis(200));
    let before = sleeps(&daemon);
    thread::sleep(Duration::from_secs(10));
    assert_eq!(sleeps(&daemon), before);
    drop(attached);
}
