//! What the kernel counts: a call costs two datagrams, the first one to a server included (R4).
//!
//! In a network namespace of its own, where nothing else sends: the kernel's counters are those of a
//! namespace. The test runs itself there.

use std::fs;
use std::process::Command;
use std::time::Duration;

use unavez::embedded::Options;
use unavez::ipc::Target;
use unavez::{IpcClient, IpcServer, Site};

const INSIDE: &str = "UNAVEZ_IN_NAMESPACE";

#[test]
fn a_call_costs_two_datagrams() {
    if std::env::var_os(INSIDE).is_some() {
        return count();
    }
    let this = std::env::current_exe().unwrap();
    // A namespace begins with its loopback interface down.
    let probe = unshare(&["ip", "link", "set", "lo", "up"]).output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        println!("skipped: needs unshare, ip, and a network namespace of its own: {probe:?}");
        return;
    }
    let script = "ip link set lo up && exec \"$0\" --exact a_call_costs_two_datagrams --nocapture";
    let output = unshare(&["sh", "-c", script, this.to_str().unwrap()]).env(INSIDE, "1").output();
    let output = output.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    assert!(printed.contains("counted"), "{printed}{errors}");
}

/// A command in a network namespace of its own.
fn unshare(command: &[&str]) -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net"]).args(command);
    unshare
}

fn count() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let site = || Site::with(Options { listen, ..Options::default() }).unwrap();
    let (far, near) = (site(), site());
    let server = IpcServer::new(&far).unwrap();
    server.register("echo").unwrap();
    let by_port = IpcClient::new(&near, server.port());
    let by_name = Target::Name { at: far.address(), name: "echo".into() };
    let by_name = IpcClient::new(&near, by_name);
    std::thread::spawn(move || {
        while let Ok((request, id)) = server.receive_request() {
            let _ = server.send_reply(request, id);
        }
    });
    let costs = |client: &IpcClient, calls: u32| {
        let before = sent();
        for _ in 0..calls {
            client.call("hello").unwrap();
        }
        sent() - before
    };
    assert_eq!(costs(&by_port, 1), 2, "the first call to a server");
    assert_eq!(costs(&by_port, 100), 200, "a hundred more");
    // Resolving a name costs two more, once.
    assert_eq!(costs(&by_name, 1), 4, "the first call by name");
    assert_eq!(costs(&by_name, 100), 200, "a hundred more");
    // Nothing is sent afterwards only to acknowledge a reply (§3.2 of the paper).
    let before = sent();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(sent(), before);
    println!("counted");
}

/// How many datagrams this namespace has sent.
fn sent() -> u64 {
    let table = fs::read_to_string("/proc/net/snmp").unwrap();
    let mut rows = table.lines().filter(|line| line.starts_with("Udp: "));
    let mut fields = || rows.next().unwrap().split_whitespace().map(str::to_owned);
    let (names, numbers): (Vec<_>, Vec<_>) = (fields().collect(), fields().collect());
    let at = names.iter().position(|name| name == "OutDatagrams").unwrap();
    numbers[at].parse().unwrap()
}
