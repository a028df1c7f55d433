use std::fs;
use std::thread;

use rustix::net::{SendFlags, SocketAddrUnix, connect, send};

use super::{Host, until};
use crate::local::Kind;
use crate::local::attach::{AttachError, attach};
use crate::local::hello::Refusal;
use crate::local::listen::new_socket;
use crate::local::message::{Answer, Ended, Up};
use crate::protocol::{CallId, ClientId, ProcessId, ServerPort, Target};

/// Another process still gets its answers.
fn still_serves(host: &Host) {
    let mut process = host.attach(Kind::Shm);
    let port = process.serve("alive");
    let target = Target::Port(process.name_of(port));
    process.ask(1, target, b"alive?");
    process.echo();
    assert_eq!(process.hear_end(), (1, Ended::Reply, b"alive?".to_vec()));
}

/// A process says what is no message: it is let go, and nobody else.
#[test]
fn garbage_ends_its_sender_only() {
    let host = Host::new();
    for kind in [Kind::Shm, Kind::Sysv] {
        for garbage in [&[][..], &[0xff; 100], &[0; 7]] {
            let mut process = host.attach(kind);
            process.serve("mine");
            let ring = process.it.outbox.push(garbage).unwrap();
            if ring {
                process.it.bell.ring();
            }
            assert!(process.is_let_go());
            host.wait_for(0);
        }
    }
    still_serves(&host);
}

/// A process names ports and calls that are another's: what has an answer is refused, and nothing else
/// comes of it.
#[test]
fn nobody_names_what_is_anothers() {
    let host = Host::new();
    let (mut one, mut other) = (host.attach(Kind::Shm), host.attach(Kind::Shm));
    let port = one.serve("mine");
    let call = CallId { client: ClientId::default(), seq: 1 };
    other.say(&Up::Register { serial: 1, port, name: "yours".into() }, &[]);
    assert!(matches!(other.hear_answer(1), Answer::Refused(_)));
    other.say(&Up::Reply { serial: 2, port, call, renew: true }, b"forged");
    assert!(matches!(other.hear_answer(2), Answer::Refused(_)));
    other.say(&Up::ClosePort { port }, &[]);
    other.say(&Up::Cancel { call: 1 }, &[]);
    let target = Target::Port(one.name_of(port));
    other.ask(1, target, b"still there?");
    one.echo();
    assert_eq!(other.hear_end().1, Ended::Reply);
    other.say(&Up::Take { port }, &[]);
    assert!(other.is_let_go(), "it would get requests of another");
}

/// A process uses one name for two calls: it could not tell them apart.
#[test]
fn a_name_that_is_used_twice_is_the_end() {
    let host = Host::new();
    let (mut server, mut client) = (host.attach(Kind::Shm), host.attach(Kind::Shm));
    let port = server.serve("slow");
    for _ in 0..2 {
        client.ask(1, Target::Port(server.name_of(port)), b"");
    }
    assert!(client.is_let_go());
    still_serves(&host);
}

/// More requests at once than were agreed.
#[test]
fn who_takes_too_many_is_let_go() {
    let host = Host::new();
    let mut process = host.attach(Kind::Shm);
    let port = process.serve("greedy");
    assert_eq!(process.it.welcome.terms.takes_max, super::super::limits::TAKES_MAX);
    for _ in 1..super::super::limits::TAKES_SEEN_MAX {
        process.say(&Up::Take { port }, &[]);
    }
    process.say(&Up::Finish { serial: 7, port: ServerPort(0) }, &[]);
    assert_eq!(process.hear_answer(7), Answer::Finished, "it may have said long replies");
    process.say(&Up::Take { port }, &[]);
    assert!(process.is_let_go());
    still_serves(&host);
}

/// Descriptors that say nothing, nonsense, or leave in the middle; then a real process.
#[test]
fn garbage_on_the_socket_is_refused() {
    let host = Host::new();
    let address = SocketAddrUnix::new(host.socket()).unwrap();
    let mut silent = Vec::new();
    for number in 0..50_usize {
        let socket = new_socket().unwrap();
        connect(&socket, &address).unwrap();
        let garbage = vec![number as u8; number * 7];
        let _ = send(&socket, &garbage, SendFlags::NOSIGNAL);
        if number % 3 == 0 {
            silent.push(socket);
        }
    }
    still_serves(&host);
    drop(silent);
    host.wait_for(0);
}

/// Three hundred come at once where ten may: these are told why, and those that are attached go on.
#[test]
fn a_crowd_is_told_that_it_is_one() {
    let host = Host::with(|options| options.processes_max = 10);
    let socket = host.socket();
    let crowd: Vec<_> = (0..8)
        .map(|_| {
            let socket = socket.clone();
            thread::spawn(move || {
                let all: Vec<_> = (0..40).map(|_| attach(&socket, Kind::Shm)).collect();
                let refused = all.iter().filter(|it| {
                    matches!(it, Err(AttachError::Refused(Refusal::TooManyProcesses)))
                });
                (all.iter().filter(|it| it.is_ok()).count(), refused.count())
            })
        })
        .collect();
    for crowd in crowd {
        let (attached, refused) = crowd.join().unwrap();
        assert_eq!(attached + refused, 40);
    }
    host.wait_for(0);
    still_serves(&host);
}

/// A process asks for a great deal and reads nothing: it is read no further, what waits for it stays
/// bounded, and others are served.
#[test]
fn who_does_not_read_stops_only_itself() {
    let host = Host::new();
    let mut deaf = host.attach(Kind::Shm);
    let nobody = Target::Name { at: host.daemon().address(), name: String::new() };
    for call in 0..20_000 {
        deaf.ask(call, nobody.clone(), b"");
    }
    assert!(deaf.it.outbox.waiting() > 10_000, "it is not read any further");
    still_serves(&host);
    // It reads after all: everything has its end, in order.
    for call in 0..20_000 {
        assert_eq!(deaf.hear_end().0, call);
    }
}

/// A process removes its queues: it is let go.
#[test]
fn who_removes_its_queues_is_let_go() {
    let host = Host::new();
    let mut process = host.attach(Kind::Sysv);
    let port = process.serve("queues");
    process.it.outbox.channel().remove();
    // The daemon finds out when it has something to say.
    process.it.outbox.channel().try_send(b"?", &[]).unwrap_err();
    let mut other = host.attach(Kind::Shm);
    other.ask(1, Target::Port(process.name_of(port)), b"?");
    assert!(process.is_let_go());
    until(|| fs::read_dir(host.place.path().join("state/queues")).unwrap().count() == 0);
    still_serves(&host);
}

/// The number of the removed queue comes round again, for another process: the first one is let go, so
/// that it does not hear what is the other's.
#[test]
fn a_queue_that_comes_again_is_not_the_old_one() {
    let host = Host::new();
    let mut robber = host.attach(Kind::Sysv);
    robber.serve("robber");
    let mut names = robber.it.welcome.queues.unwrap();
    let id = ProcessId(robber.it.welcome.process);
    // As the daemon would find it: its own note of another process has the number.
    names[0].key ^= 1;
    let (channel, _memory) = crate::local::shm::Shm::make().unwrap();
    let outbox = crate::local::outbox::Outbox::new(Box::new(channel));
    let bell = std::sync::Arc::new(crate::local::bell::Bell::new(new_socket().unwrap()));
    let door = &host.daemon().door;
    let new = ProcessId(u64::MAX >> 2);
    let who = door.enter(|inside| inside.processes[&id].who);
    door.enter(|inside| inside.attach(new, who, outbox, bell, Some(names)));
    assert!(door.enter(|inside| !inside.processes.contains_key(&id)));
    assert!(robber.is_let_go());
}

/// A port that never was.
#[test]
fn a_reply_to_nothing_is_refused() {
    let host = Host::new();
    let mut process = host.attach(Kind::Shm);
    let call = CallId { client: ClientId::default(), seq: 1 };
    let port = ServerPort(u64::MAX);
    process.say(&Up::Reply { serial: 3, port, call, renew: false }, b"");
    assert!(matches!(process.hear_answer(3), Answer::Refused(_)));
}

/// Processes leave and keep what they rang by: the daemon does not hear it any more, and nothing of
/// them is left in it.
#[test]
fn who_left_does_not_ring() {
    let host = Host::new();
    let kept: Vec<_> = (0..300)
        .map(|_| {
            let process = host.attach(Kind::Shm);
            let kept = process.it.bell.rings().try_clone().unwrap();
            drop(process);
            host.wait_for(0);
            kept
        })
        .collect();
    // As many as any descriptor of this process is told of.
    let told = fs::read_dir("/proc/self/fdinfo").unwrap().map(|entry| {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("tfd:")).count()
    });
    assert!(told.max() < Some(kept.len() / 2));
}
