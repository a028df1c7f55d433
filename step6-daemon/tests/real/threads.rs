//! What each thread of the daemon does, and that it reads like the bench's traces.

use std::net::UdpSocket;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{ipcd, state};
use step6_daemon::{
    Attachment, Config, Epoch, IpcClient, IpcServer, Kind, Packet, Port, RawMsg, Site,
};

lab::node!(
    /// This step's core.
    Step: step6_daemon, |epoch| Site::new(Config::default(), epoch), epochs
);

/// A call of the bench's bank through two daemons, which lose these of the packets that they send; and
/// what each daemon printed: the thread, then the line, without its time.
fn traced(service: u64, lost: [&str; 2]) -> Option<[Vec<(String, String)>; 2]> {
    let states = [state()?, state()?];
    let daemon = |at: usize| {
        let drop = ["--drop", lost[at]];
        let flags = if lost[at].is_empty() { &[][..] } else { &drop[..] };
        ipcd(states[at].path(), &[&["--trace"], flags].concat())
    };
    let mut daemons = [daemon(0), daemon(1)];
    call(states[0].path(), states[1].path(), service);
    let printed = daemons.each_mut().map(|daemon| {
        daemon.signal(nix::sys::signal::Signal::SIGTERM);
        let lines = daemon.lines();
        let lines = lines.iter().filter_map(|line| line.split_once(" ms  ")).map(|(_, line)| {
            let (thread, line) = line.split_at(9);
            (thread.trim().to_owned(), rounded(&named(line.trim())))
        });
        lines.collect()
    });
    Some(printed)
}

fn call(near: &Path, far: &Path, service: u64) {
    let server = IpcServer::new(&Attachment::new(far).unwrap()).unwrap();
    let client = IpcClient::new(&Attachment::new(near).unwrap(), server.port());
    thread::scope(|scope| {
        scope.spawn(|| {
            let (_, call) = server.receive_request().unwrap();
            thread::sleep(Duration::from_millis(service));
            server.send_reply(call, "balance 990".into()).unwrap();
        });
        let debit = RawMsg::from("debit 10").timeout(Duration::from_secs(20));
        let reply = client.receive_reply(client.send_request(debit).unwrap());
        assert_eq!(reply, Ok(RawMsg::from("balance 990")));
    });
}

/// Without the address: each daemon knows one other.
fn named(line: &str) -> String {
    match line.split_once("  ") {
        Some((way, packet)) if way.contains("127.0.0.1") => format!("{} {packet}", &way[..2]),
        _ => line.to_owned(),
    }
}

/// With its patience to a tenth of a second: real timers are a little late.
fn rounded(line: &str) -> String {
    let Some((before, patience)) = line.split_once("patience ") else { return line.to_owned() };
    let patience: f64 = patience.split(' ').next().unwrap().parse().unwrap();
    format!("{before}patience {} ms", (patience / 100.0).round() * 100.0)
}

/// What the bench shows of this site under the same plan, until all calls have ended.
fn simulated(plan: &str, site: usize) -> Vec<String> {
    let run = lab::run::<Step>(&plan.parse().unwrap());
    let events = run.events.iter().filter(|event| event.site == site);
    let lines = events.map(|event| {
        let line = event.to_string();
        let line = line.split_once(" ms  ").unwrap().1[1..].trim();
        let line = match line.split_once("  ") {
            Some((way, packet)) => format!("{} {packet}", &way[..2]),
            None => line.to_owned(),
        };
        rounded(
            &line.replace("call 1 ends", "call ends").replace("execute \"debit 10\"", "executed"),
        )
    });
    lines.filter(|line| line != "reply forgotten").collect()
}

/// What the bench would show of it: not what comes, nor what a process is asked.
fn as_on_the_bench(printed: &[(String, String)]) -> Vec<String> {
    let shown = printed.iter().map(|(_, line)| line).filter(|line| {
        let hidden = ["<-", "port "];
        !hidden.iter().any(|start| line.starts_with(start))
    });
    shown.map(|line| line.replace("answered \"balance 990\"", "executed")).collect()
}

#[test]
fn a_traced_call_reads_like_the_simulated_one() {
    // The same plans, for the bench and for two real daemons.
    for (plan, service, lost) in [
        ("no faults", 0, ["", ""]),
        ("drop request 1", 0, ["1", ""]),
        ("drop reply 1", 0, ["", "1"]),
        ("service takes 300 ms", 300, ["", ""]),
        ("service takes 300 ms; drop working 1", 300, ["", "1"]),
    ] {
        let Some(printed) = traced(service, lost) else { return };
        for (site, printed) in printed.iter().enumerate() {
            assert_eq!(as_on_the_bench(printed), simulated(plan, site), "{plan}, {printed:#?}");
        }
    }
}

#[test]
fn the_chapter_shows_what_each_thread_does() {
    // The reply is lost (§3.1): who sends the request again, and who answers it.
    let Some(printed) = traced(0, ["", "1"]) else { return };
    let sites = printed.map(|lines| {
        let lines = lines.iter().map(|(thread, line)| {
            let indent = if line.as_bytes()[2] == b' ' { "" } else { "   " };
            format!("{thread:<9}  {indent}{line}\n")
        });
        lines.collect::<String>()
    });
    let text = format!("the client's daemon\n{}\nthe server's daemon\n{}", sites[0], sites[1]);
    let chapter = concat!(env!("CARGO_MANIFEST_DIR"), "/../book/chapters/tables/daemon-trace.txt");
    assert_eq!(std::fs::read_to_string(chapter).unwrap(), text, "\n{text}");
}

#[test]
fn a_flood_does_not_keep_timer_from_its_work() {
    // The same request comes without end, faster than it is read; what is due is done all the same.
    let Some(state) = state() else { return };
    let daemon = ipcd(state.path(), &[]);
    let site: Port = daemon.first.strip_prefix("listening on ").unwrap().parse().unwrap();
    let kind = Kind::Request { patience: 2000, retransmit_after: 200 };
    let (client, body) = (Epoch { counter: 7, random: 7 }, vec![b'x'; 1000]);
    let request = Packet { kind, client, server: site.epoch, seq: 1, body }.encode();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let port = format!("{}/1-00c0ffee/1", silent.local_addr().unwrap()).parse().unwrap();
    let client = IpcClient::new(&Attachment::new(state.path()).unwrap(), port);
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let mut requests = 0;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while begun.elapsed() < Duration::from_secs(3) {
                    let _ = flood.send_to(&request, site.address);
                }
            });
        }
        thread::sleep(Duration::from_millis(200));
        client.send_request("ask".into()).unwrap();
        while begun.elapsed() < Duration::from_secs(3) {
            let mut bytes = [0; 1500];
            let Ok((length, _)) = silent.recv_from(&mut bytes) else { continue };
            requests += u32::from(Packet::decode(&bytes[..length]).is_ok());
        }
    });
    // Ten times on a machine with time to spare; once if Timer waits for the end of the flood.
    assert!(requests >= 2, "sent {requests} times");
}
