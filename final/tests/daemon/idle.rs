use std::fs;
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;

use super::Place;

/// How often each thread of the process went to sleep.
fn sleeps(process: Pid) -> Vec<u64> {
    let mut tasks: Vec<_> = fs::read_dir(format!("/proc/{process}/task"))
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

/// A hundred processes are attached, each with a thread that waits for requests, and nothing happens: in
/// ten seconds no thread of the daemon wakes once, and none of theirs.
#[test]
fn an_idle_daemon_sleeps() {
    let place = Place::new();
    let daemon = place.start(&["--log", "error"]);
    let attached: Vec<_> = (0..100).map(|number| place.serve(&format!("echo{number}"))).collect();
    thread::sleep(Duration::from_millis(500));
    let all = || {
        let processes = attached.iter().map(|process| process.pid());
        processes.chain([daemon.pid()]).map(sleeps).collect::<Vec<_>>()
    };
    let before = all();
    thread::sleep(Duration::from_secs(10));
    assert_eq!(all(), before);
}
