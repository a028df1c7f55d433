//! A site with nothing to do, in a process of its own.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{fs, thread};

use unavez::{IpcClient, IpcServer, Options, Site, serve};

/// How often each thread but the test's own two was given the processor.
fn switches() -> BTreeMap<i32, u64> {
    let own = [nix::unistd::getpid(), nix::unistd::gettid()].map(|it| it.as_raw());
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
    let seen = tasks.map(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap();
        let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
        let counts = counts.map(|line| line.split_whitespace().last().unwrap().parse::<u64>());
        let thread = task.file_name().to_str().unwrap().parse().unwrap();
        (thread, counts.map(Result::unwrap).sum())
    });
    seen.filter(|(thread, _)| !own.contains(thread)).collect()
}

/// Clients, servers and a pool wait, and no packet comes: no thread runs (R5). After calls by which
/// everybody was awake the same holds again.
#[test]
fn an_idle_site_sleeps() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let site = || Site::with(Options { listen, ..Options::default() }).unwrap();
    let (at, from) = (site(), site());
    let service = serve(&at, "echo", 3, |text: String| text).unwrap();
    let client = unavez::TypedClient::<String, String>::new(&from, service.port());
    for _ in 0..1000 {
        client.call(&"hello".into()).unwrap();
    }
    let idle = IpcServer::new(&from).unwrap();
    let waits = IpcClient::new(&from, idle.port());
    thread::scope(|scope| {
        scope.spawn(|| idle.receive_request());
        scope.spawn(|| waits.receive_reply());
        // What the calls left to do is done: the socket is found empty twice (R23), threads rest.
        thread::sleep(Duration::from_millis(500));
        let before = switches();
        thread::sleep(Duration::from_secs(3));
        let after = switches();
        at.stop();
        from.stop();
        assert_eq!(after, before);
        // Two background threads, three workers, and the two here.
        assert_eq!(before.len(), 7);
    });
}
