use std::thread;
use std::time::{Duration, Instant};

use super::super::limits::{LINES_MAX, PORTS_MAX};
use super::{Client, Host, until};
use crate::local::Kind;
use crate::local::message::{Answer, Ended, Up};
use crate::observe::{ObserveError, Observer, Trace};
use crate::protocol::{Note, ProcessId, ServerPort, Target};
use crate::{IpcServer, Site};

impl Host {
    fn observe(&self) -> Observer {
        Observer::open(Some(&self.socket())).unwrap()
    }

    /// All calls of the next time that anything may take.
    fn trace(&self) -> Trace {
        self.observe().trace(Some(Instant::now() + super::LONG)).unwrap()
    }
}

/// One asks the other, which answers.
fn call(client: &mut Client, server: &mut Client, port: ServerPort, body: &[u8]) {
    client.ask(1, Target::Port(server.name_of(port)), body);
    server.echo();
    assert_eq!(client.hear_end(), (1, Ended::Reply, body.to_vec()));
}

/// One serves and has a request in hand, the other waits for its answer: both are seen, whose they are
/// and what they do; whoever looks is not.
#[test]
fn processes_and_ports_are_seen() {
    let host = Host::new();
    let (mut server, mut client) = (host.attach(Kind::Sysv), host.attach(Kind::Shm));
    let port = server.serve("one");
    server.say(&Up::Register { serial: 3, port, name: "two".into() }, &[]);
    assert_eq!(server.hear_answer(3), Answer::Done);
    server.say(&Up::Take { port }, &[]);
    call(&mut client, &mut server, port, b"warm");
    client.ask(1, Target::Port(server.name_of(port)), b"slow");
    server.hear();

    let mut observer = host.observe();
    let [of_server, of_client] = &observer.processes().unwrap()[..] else { panic!("two") };
    assert_eq!((of_server.id, of_client.id), (server.id(), client.id()));
    assert_eq!((of_server.kind, of_client.kind), (Kind::Sysv, Kind::Shm));
    let user = rustix::process::geteuid().as_raw();
    for process in [of_server, of_client] {
        assert_eq!((process.pid as u32, process.user), (std::process::id(), user));
        assert!(process.waiting == 0 && process.attached < super::LONG, "{process:?}");
    }
    assert_eq!((of_server.calls, of_server.ports, of_server.in_hand), (0, 1, 1));
    assert_eq!((of_client.calls, of_client.ports, of_client.in_hand), (1, 0, 0));

    let [seen] = &observer.ports().unwrap()[..] else { panic!("one") };
    assert_eq!(
        (seen.port, seen.process, &seen.names[..]),
        (port, server.id(), &names(&["one", "two"])[..])
    );
    assert_eq!((seen.in_hand, seen.free), (1, 1));
    assert_eq!(observer.counters().unwrap().get(Note::Executed), 2);
    assert_eq!(observer.entries().unwrap().calls, 1);
    let [(site, _, _)] = observer.round_trips().unwrap()[..] else { panic!("one") };
    assert_eq!((site, observer.site()), (host.daemon().id(), host.daemon().id()));
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().copied().map(String::from).collect()
}

/// More processes, ports and names than fit a message: all are seen, each once, in their order.
#[test]
fn what_does_not_fit_a_message_is_seen_nevertheless() {
    let host = Host::new();
    let mut processes: Vec<Client> = (0..100).map(|_| host.attach(Kind::Shm)).collect();
    let ids: Vec<u64> = processes.iter().map(Client::id).collect();
    let process = &mut processes[50];
    let mut expected = Vec::new();
    for number in 0..PORTS_MAX {
        process.say(&Up::OpenPort { serial: 1 }, &[]);
        let Answer::Opened(port) = process.hear_answer(1) else { panic!("it is not opened") };
        // Some have no name, some have more than fit.
        let names: Vec<String> =
            (0..(number % 50) / 2).map(|name| format!("{number}-{name:0>200}")).collect();
        for name in &names {
            process.say(&Up::Register { serial: 2, port, name: name.clone() }, &[]);
            assert_eq!(process.hear_answer(2), Answer::Done);
        }
        expected.push((port, names));
    }
    let mut observer = host.observe();
    let seen: Vec<u64> = observer.processes().unwrap().iter().map(|process| process.id).collect();
    assert_eq!(seen, ids);
    let seen = observer.ports().unwrap();
    let seen: Vec<_> = seen.into_iter().map(|seen| (seen.port, seen.names)).collect();
    assert_eq!(seen, expected);
}

/// More sites were measured than fit a message: all are seen, each once.
#[test]
fn all_peers_are_seen() {
    let host = Host::new();
    let mut client = host.attach(Kind::Shm);
    let mut peers: Vec<_> = (0..40)
        .map(|_| {
            let site = Site::embedded().unwrap();
            let server = IpcServer::new(&site).unwrap();
            client.ask(1, Target::Port(server.port()), b"?");
            let (request, call) = server.receive_request().unwrap();
            server.send_reply(request, call).unwrap();
            assert_eq!(client.hear_end().1, Ended::Reply);
            site.id()
        })
        .collect();
    peers.sort_unstable();
    let trips = host.observe().round_trips().unwrap();
    assert_eq!(trips.iter().map(|(site, _, _)| *site).collect::<Vec<_>>(), peers);
}

/// Somebody watches a call: it sees the packets, the request and the end. When nobody watches any more,
/// nothing is kept of them.
#[test]
fn a_call_is_traced_while_somebody_watches() {
    let host = Host::new();
    let (mut server, mut client) = (host.attach(Kind::Shm), host.attach(Kind::Shm));
    let port = server.serve("echo");
    let body = [b"seen".as_slice(), &[0xff; 990]].concat();
    let is_traced = || host.daemon().door.enter(|inside| inside.network.trace().wants_packets());
    assert!(!is_traced());
    let mut trace = host.trace();
    call(&mut client, &mut server, port, &body);
    let mut lines = Vec::new();
    // The body, escaped, does not fit one message.
    let shown = format!("\"seen{}\"", "\\xff".repeat(990));
    let end = format!("   call ends: reply {shown}");
    while lines.last() != Some(&end) {
        lines.push(trace.next().unwrap().unwrap().text);
    }
    let address = host.daemon().address();
    for start in ["->", "<-"] {
        for kind in ["REQUEST", "REPLY"] {
            let start = format!("{start} {address}  {kind} ");
            assert!(lines.iter().any(|line| line.starts_with(&start)), "{start}: {lines:#?}");
        }
    }
    let asked = format!("   port {} is asked {shown}", port.0);
    for line in [&*asked, "   call", "   request handed over", "   call replied"] {
        assert!(lines.iter().any(|it| it == line), "{line}: {lines:#?}");
    }
    assert!(is_traced());
    drop(trace);
    until(|| !is_traced());
}

/// Somebody watches a call with a large body: it sees the beginning, and how long it is.
#[test]
fn of_a_large_body_the_beginning_is_traced() {
    let host = Host::new();
    let (mut server, mut client) = (host.attach(Kind::Shm), host.attach(Kind::Shm));
    let port = server.serve("echo");
    let mut trace = host.trace();
    let calls = thread::spawn(move || call(&mut client, &mut server, port, &[b'x'; 50_000]));
    let shown = format!("\"{}\"… (50000 bytes)", "x".repeat(40));
    let ends = ["   port 1 is asked ", "   call ends: reply "].map(|line| format!("{line}{shown}"));
    for end in ends {
        while trace.next().unwrap().unwrap().text != end {}
    }
    drop(trace);
    calls.join().unwrap();
}

/// One watches and reads nothing, another one reads: calls go on, and what waits for the first is
/// bounded. When it reads it gets some lines, and is told how many it has not got.
#[test]
fn who_watches_and_does_not_read_loses_lines() {
    let host = Host::new();
    let (mut server, mut client) = (host.attach(Kind::Shm), host.attach(Kind::Shm));
    let port = server.serve("echo");
    let (deaf, other) = (host.trace(), host.trace());
    let other = thread::spawn(|| all(other));
    let mut observer = host.observe();
    for _ in 0..500 {
        call(&mut client, &mut server, port, b"again");
    }
    let waiting = observer.processes().unwrap().iter().map(|process| process.waiting).max();
    let bound = LINES_MAX as u32;
    assert!((bound..bound + 3).contains(&waiting.unwrap()), "{waiting:?}");
    let deaf = thread::spawn(|| all(deaf));
    until(|| observer.processes().unwrap().iter().all(|process| process.waiting == 0));
    call(&mut client, &mut server, port, b"the end");
    let (deaf, other) = (deaf.join().unwrap(), other.join().unwrap());
    assert!(deaf.lost > 500, "{deaf:?}");
    assert_eq!(deaf.lost + deaf.seen, other.lost + other.seen, "{deaf:?}, {other:?}");
}

/// What was seen of a trace up to its last call.
#[derive(Debug, Default)]
struct Seen {
    seen: u64,
    lost: u64,
}

fn all(trace: Trace) -> Seen {
    let mut all = Seen::default();
    for line in trace.map(|line| line.unwrap().text) {
        match line.strip_suffix(" lines lost") {
            Some(lost) => all.lost += lost.strip_prefix("… ").unwrap().parse::<u64>().unwrap(),
            None => all.seen += 1,
        }
        if line == "   call ends: reply \"the end\"" {
            return all;
        }
    }
    panic!("it ended too early: {all:?}")
}

/// A process of another user, to whom the daemon was allowed: it sees how the site is, and nothing of
/// others.
#[test]
fn other_users_see_only_the_site() {
    let host = Host::new();
    let mut observer = host.observe();
    host.wait_for(1);
    let user = 65534;
    host.daemon().door.enter(|inside| {
        inside.processes.values_mut().for_each(|process| process.who.user = user);
    });
    let owner = rustix::process::geteuid().as_raw();
    let refused = ObserveError::NotAllowed { user, owner };
    assert_eq!(observer.processes().unwrap_err(), refused);
    assert_eq!(observer.ports().unwrap_err(), refused);
    observer.counters().unwrap();
    observer.entries().unwrap();
    observer.round_trips().unwrap();
    assert_eq!(observer.trace(None).unwrap_err(), refused);
    let watched = host.daemon().door.enter(|inside| inside.network.trace().wants_packets());
    assert!(!watched, "it gets no lines");
}

/// A trace ends when its time is over, when it is stopped from another thread, and when the daemon ends,
/// which is an error.
#[test]
fn a_trace_ends() {
    let mut host = Host::new();
    let moment = Instant::now() + Duration::from_millis(10);
    assert_eq!(host.observe().trace(Some(moment)).unwrap().next(), None);
    let mut trace = host.trace();
    let stopper = trace.stopper();
    let stopped = thread::spawn(move || trace.next());
    stopper.stop();
    assert_eq!(stopped.join().unwrap(), None);
    let mut trace = host.trace();
    host.daemon = None;
    assert_eq!(trace.next(), Some(Err(ObserveError::Gone)));
    assert_eq!(trace.next(), None);
}

/// It is the last that hears of the end: the calls of others end before, and are seen to.
#[test]
fn who_watches_sees_the_end_of_others() {
    let mut host = Host::new();
    let trace = host.trace();
    let (mut server, mut client) = (host.attach(Kind::Shm), host.attach(Kind::Shm));
    let port = server.serve("slow");
    client.ask(1, Target::Port(server.name_of(port)), b"?");
    server.hear();
    host.daemon = None;
    let lines: Vec<String> = trace.map_while(Result::ok).map(|line| line.to_string()).collect();
    assert!(lines.iter().any(|line| line.contains(" ms     call ends: unknown: ")), "{lines:#?}");
}

impl Client {
    fn id(&self) -> u64 {
        ProcessId(self.it.welcome.process).0
    }
}
