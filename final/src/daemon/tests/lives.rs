use std::fs;
use std::time::Duration;

use super::{Host, LONG, until};
use crate::local::Kind;
use crate::local::attach::attach;
use crate::local::bell::Heard;
use crate::local::message::{Down, Ended, Up};
use crate::protocol::{NotExecuted, Note, Target, Unknown};

/// A server process dies with a request in hand, and one that was not begun: the first may have run,
/// the second has not (R28).
#[test]
fn a_dead_server_is_not_vouched_for() {
    for kind in [Kind::Shm, Kind::Sysv] {
        let (here, there) = (Host::new(), Host::new());
        let (mut client, mut server) = (here.attach(kind), there.attach(kind));
        let port = server.serve("mortal");
        for call in [1, 2] {
            client.ask(call, Target::Port(server.name_of(port)), b"?");
        }
        let (Down::Request { .. }, _) = server.hear() else { panic!() };
        until(|| there.daemon().entries().records == 2);
        drop(server);
        let mut ends = [client.hear_end(), client.hear_end()];
        ends.sort_by_key(|(call, ..)| *call);
        assert_eq!(ends[0].1, Ended::Unknown(Unknown::ServerDied));
        assert_eq!(ends[1].1, Ended::NotExecuted(NotExecuted::ServerDied));
        there.wait_for(0);
    }
}

/// A server process writes its reply and dies before the daemon looks: the reply counts (R28).
#[test]
fn the_last_words_of_a_process_are_heard() {
    for kind in [Kind::Shm, Kind::Sysv] {
        let host = Host::new();
        let (mut client, mut server) = (host.attach(Kind::Shm), host.attach(kind));
        let port = server.serve("mortal");
        client.ask(1, Target::Port(server.name_of(port)), b"?");
        let (Down::Request { call, .. }, _) = server.hear() else { panic!() };
        // It never rings.
        Up::Reply { serial: 0, port, call, renew: false }.encode(b"last", &mut server.buffer);
        server.it.outbox.push(&server.buffer).unwrap();
        drop(server);
        assert_eq!(client.hear_end(), (1, Ended::Reply, b"last".to_vec()));
    }
}

/// A client process dies: its call is called off, and the server's process told (R16, R38).
#[test]
fn a_dead_clients_calls_are_called_off() {
    let (here, there) = (Host::new(), Host::new());
    let (mut client, mut server) = (here.attach(Kind::Sysv), there.attach(Kind::Shm));
    let port = server.serve("slow");
    client.ask(1, Target::Port(server.name_of(port)), b"?");
    let (Down::Request { call, .. }, _) = server.hear() else { panic!() };
    drop(client);
    assert_eq!(server.hear().0, Down::Cancelled { port, call });
    assert_eq!(here.daemon().entries().calls, 0);
}

/// The daemon stops in good order: every call ends, processes are told, and nothing is left.
#[test]
fn a_daemon_that_stops_says_so() {
    let mut host = Host::new();
    let mut processes = [host.attach(Kind::Shm), host.attach(Kind::Sysv)];
    let port = processes[0].serve("slow");
    let target = Target::Port(processes[0].name_of(port));
    processes[1].ask(5, target, b"?");
    let (Down::Request { .. }, _) = processes[0].hear() else { panic!() };
    let daemon = host.daemon.take().unwrap();
    let stops = std::thread::spawn(move || drop(daemon));
    for process in &mut processes {
        assert_eq!(process.hear().0, Down::Stopping, "before anything ends");
    }
    assert!(matches!(processes[1].hear_end(), (5, Ended::Unknown(_), _)));
    for mut process in processes {
        process.it.outbox.channel().remove();
    }
    stops.join().unwrap();
    assert!(!host.socket().exists());
    let state = host.place.path().join("state");
    assert_eq!(fs::read_dir(state.join("queues")).unwrap().count(), 0);
    assert!(!state.join("pid").exists());
}

/// A process that does not leave does not keep the daemon: it hears the end.
#[test]
fn nobody_keeps_a_daemon_that_stops() {
    let mut host = Host::new();
    let process = host.attach(Kind::Shm);
    host.wait_for(1);
    let began = std::time::Instant::now();
    drop(host.daemon.take());
    assert!(began.elapsed() < LONG / 2);
    while process.it.bell.sleep(Some(Duration::from_secs(1))) != Heard::End {}
    assert!(attach(&host.socket(), Kind::Shm).is_err());
}

/// The next life of the daemon is the same site in another epoch, and its processes attach again.
#[test]
fn the_next_life_is_another() {
    let mut host = Host::new();
    let first = host.attach(Kind::Shm).it.welcome.clone();
    drop(host.daemon.take());
    host.start(|_| {});
    let second = host.attach(Kind::Shm).it.welcome.clone();
    assert_eq!(first.site, second.site);
    assert_eq!(first.epoch.counter + 1, second.epoch.counter);
    assert_eq!(host.daemon().counters().get(Note::Called), 0);
}
