use std::thread;
use std::time::Duration;

use super::{Host, until};
use crate::Site;
use crate::embedded::Options as SiteOptions;
use crate::ipc::{IpcClient, IpcServer};
use crate::local::Kind;
use crate::local::message::{Answer, Down, Ended, Seen, Up, What};
use crate::protocol::{Config, Flags, Note, SendError, ServerPort, Target, Unknown};

fn elsewhere() -> Site {
    let listen = "127.0.0.1:0".parse().unwrap();
    let config = Config::lan();
    Site::with(SiteOptions { listen, config, ..SiteOptions::default() }).unwrap()
}

/// A process asks a server at another site by its port, and one by its name; it hears the replies.
#[test]
fn a_process_asks_another_site() {
    let (host, site) = (Host::new(), elsewhere());
    let server = IpcServer::new(&site).unwrap();
    server.register("echo").unwrap();
    let (at, port) = (site.address(), server.port());
    let serves = thread::spawn(move || {
        for _ in 0..4 {
            let (request, id) = server.receive_request().unwrap();
            server.send_reply(request, id).unwrap();
        }
    });
    for kind in [Kind::Shm, Kind::Sysv] {
        let mut client = host.attach(kind);
        client.ask(1, Target::Port(port), b"one");
        assert_eq!(client.hear_end(), (1, Ended::Reply, b"one".to_vec()));
        client.ask(2, Target::Name { at, name: "echo".into() }, b"two");
        assert_eq!(client.hear_end(), (2, Ended::Reply, b"two".to_vec()));
    }
    serves.join().unwrap();
}

/// A process serves clients of another site, through each kind of channel.
#[test]
fn a_process_serves_another_site() {
    let (host, site) = (Host::new(), elsewhere());
    for (kind, name) in [(Kind::Shm, "shm"), (Kind::Sysv, "sysv")] {
        let mut server = host.attach(kind);
        server.serve(name);
        let url = format!("unavez://{}/{name}", host.daemon().address());
        let client = IpcClient::open(&site, &url).unwrap();
        let asks = thread::spawn(move || {
            for number in 0..100 {
                let body = format!("{number}");
                assert_eq!(client.call(body.clone()).unwrap().body(), body.as_bytes());
            }
        });
        for _ in 0..100 {
            server.echo();
        }
        asks.join().unwrap();
    }
    assert_eq!(host.daemon().counters().get(Note::Executed), 200);
}

/// Both are processes of one daemon.
#[test]
fn processes_of_one_site_ask_each_other() {
    let host = Host::new();
    let (mut server, mut client) = (host.attach(Kind::Sysv), host.attach(Kind::Shm));
    let port = server.serve("echo");
    let target = Target::Port(server.name_of(port));
    for number in 0..10 {
        client.ask(number, target.clone(), &number.to_be_bytes());
        server.echo();
        assert_eq!(client.hear_end(), (number, Ended::Reply, number.to_be_bytes().to_vec()));
    }
}

/// Two daemons, a process at each.
#[test]
fn a_call_goes_through_two_daemons() {
    let (here, there) = (Host::new(), Host::new());
    let (mut client, mut server) = (here.attach(Kind::Shm), there.attach(Kind::Shm));
    let port = server.serve("echo");
    let target = Target::Port(server.name_of(port));
    for number in 0..100 {
        client.ask(number, target.clone(), b"through two");
        server.echo();
        assert_eq!(client.hear_end(), (number, Ended::Reply, b"through two".to_vec()));
    }
}

/// A process that has not said that it takes one is handed no request; what waits is not run (R20).
#[test]
fn who_takes_nothing_is_handed_nothing() {
    let (here, there) = (Host::new(), Host::new());
    let (mut client, mut server) = (here.attach(Kind::Shm), there.attach(Kind::Shm));
    server.say(&Up::OpenPort { serial: 1 }, &[]);
    let Answer::Opened(port) = server.hear_answer(1) else { panic!() };
    client.ask(1, Target::Port(server.name_of(port)), b"patient");
    until(|| there.daemon().entries().records == 1);
    assert_eq!(server.hear_for(Duration::from_millis(100)), None);
    assert_eq!(there.daemon().counters().get(Note::Executed), 0);
    server.say(&Up::Take { port }, &[]);
    server.echo();
    assert_eq!(client.hear_end(), (1, Ended::Reply, b"patient".to_vec()));
}

/// A request that is served for long is called off: both sides are told, and the reply is for nobody.
#[test]
fn a_call_that_is_called_off_ends() {
    let (here, there) = (Host::new(), Host::new());
    let (mut client, mut server) = (here.attach(Kind::Shm), there.attach(Kind::Sysv));
    let port = server.serve("slow");
    client.ask(7, Target::Port(server.name_of(port)), b"never mind");
    let (Down::Request { call, .. }, _) = server.hear() else { panic!() };
    client.say(&Up::Cancel { call: 7 }, &[]);
    assert_eq!(client.hear_end().1, Ended::Unknown(Unknown::Cancelled));
    assert_eq!(server.hear().0, Down::Cancelled { port, call });
    server.say(&Up::Reply { serial: 9, port, call, renew: false }, b"too late");
    server.say(&Up::Reply { serial: 10, port, call, renew: false }, b"twice");
    assert_eq!(server.hear_answer(10), Answer::Refused(SendError::NotServing));
}

/// A port is closed with a request in hand, and another one waiting: nobody can tell whether the first
/// ran, and the second did not (R28).
#[test]
fn a_port_that_closes_ends_what_it_has() {
    let (here, there) = (Host::new(), Host::new());
    let (mut client, mut server) = (here.attach(Kind::Shm), there.attach(Kind::Shm));
    let port = server.serve("short");
    for call in [1, 2] {
        client.ask(call, Target::Port(server.name_of(port)), b"?");
    }
    let (Down::Request { .. }, _) = server.hear() else { panic!() };
    until(|| there.daemon().entries().records == 2);
    server.say(&Up::ClosePort { port }, &[]);
    let mut ends = [client.hear_end(), client.hear_end()];
    ends.sort_by_key(|(call, ..)| *call);
    assert_eq!(ends[0].1, Ended::Unknown(Unknown::ServerDied));
    assert!(matches!(ends[1].1, Ended::NotExecuted(_)), "{ends:?}");
}

/// What is asked of the daemon itself is answered, refusals, too.
#[test]
fn what_is_asked_of_the_daemon_is_answered() {
    let host = Host::new();
    let mut process = host.attach(Kind::Shm);
    let port = process.serve("once");
    process.say(&Up::Register { serial: 5, port, name: "once".into() }, &[]);
    assert_eq!(process.hear_answer(5), Answer::Refused(SendError::BadName));
    let nobodys = ServerPort(77);
    process.say(&Up::Register { serial: 6, port: nobodys, name: "else".into() }, &[]);
    assert_eq!(process.hear_answer(6), Answer::Refused(SendError::NoSuchPort));
    for what in [What::Counters, What::Entries, What::RoundTrips] {
        process.say(&Up::Look { serial: 7, what }, &[]);
        let (Down::Answer { serial: 7, answer: Answer::Seen }, body) = process.hear() else {
            panic!()
        };
        let seen = Seen::decode(&body).unwrap();
        assert!(matches!(
            (what, seen),
            (What::Counters, Seen::Counters(_))
                | (What::Entries, Seen::Entries(_))
                | (What::RoundTrips, Seen::RoundTrips(_))
        ));
    }
    process.ask(8, Target::Name { at: host.daemon().address(), name: String::new() }, b"");
    assert_eq!(process.hear_end().1, Ended::NotSent(SendError::BadName));
}

/// A patience that is over when the daemon reads the request ends it at home (R14).
#[test]
fn a_patience_that_is_over_ends_the_call() {
    let host = Host::new();
    let mut process = host.attach(Kind::Shm);
    let port = process.serve("late");
    let target = Target::Port(process.name_of(port));
    process.ask_with(1, target, b"", Flags::NONE, Some(1));
    assert!(matches!(process.hear_end().1, Ended::NotExecuted(_)));
}
