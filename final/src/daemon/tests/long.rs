//! Long messages between processes and their daemon. What the protocol takes of them is its own affair.

use bytes::Bytes;

use super::{Client, Host, in_ten_seconds, until};
use crate::local::Kind;
use crate::local::message::{Down, Ended, Up, What};
use crate::local::parts::{Part, long_bytes};
use crate::protocol::{
    Call, CallId, ClientId, Flags, Note, Outcome, ProcessId, SendError, ServerPort, Target, Unknown,
};

const BODY_MAX: usize = 1 << 20;
const KINDS: [Kind; 2] = [Kind::Shm, Kind::Sysv];

impl Host {
    /// How much is held of long messages.
    fn held(&self) -> usize {
        self.daemon().door.enter(|inside| inside.long.room.held())
    }

    /// A process has a call open, whose body was so long, and which the core does not know.
    fn open_call(&self, client: &Client, number: u64, body: usize) {
        let id = ProcessId(client.it.welcome.process);
        let bytes = long_bytes(&Bytes::from(vec![0; body]));
        until(|| self.daemon().door.enter(|inside| inside.processes.contains_key(&id)));
        self.daemon().door.enter(|inside| {
            let process = inside.processes.get_mut(&id).unwrap();
            process.called(number, Call(number << 40), bytes, &mut inside.long.room);
        });
    }

    /// Such a call is answered.
    fn end_call(&self, client: &Client, number: u64, body: usize) {
        let id = ProcessId(client.it.welcome.process);
        let reply = Outcome::Reply(vec![number as u8; body].into());
        self.daemon().door.enter(|inside| inside.end_call(id, Call(number << 40), &reply));
    }

    /// Tells a process something, whatever the core has to say.
    fn tell(&self, client: &Client, what: &Down, body: Vec<u8>) {
        let id = ProcessId(client.it.welcome.process);
        self.daemon().door.enter(|inside| inside.tell(id, what, body.into()));
    }
}

impl Client {
    /// Says a part of something, and nothing more.
    fn say_part(&mut self, number: u64, whole: &[u8], part: std::ops::Range<usize>) {
        let total = whole.len() as u32;
        Part { number, total }.encode(&mut self.buffer);
        self.buffer.extend_from_slice(&whole[part]);
        if self.it.outbox.push(&self.buffer).unwrap() {
            self.it.bell.ring();
        }
    }

    /// Says the first parts of a message, with a body of so many bytes.
    fn say_half(&mut self, up: &Up, body: usize) {
        let mut whole = Vec::new();
        up.encode(&[], &mut whole);
        whole.resize(whole.len() + body, 7);
        self.say_part(1 << 40, &whole, 0..8000);
        self.say_part(1 << 40, &whole, 8000..body.min(16_000));
    }

    fn asks(&self, call: u64, port: ServerPort) -> Up {
        let target = Target::Port(self.name_of(port));
        let (flags, patience_ends) = (Flags::NONE, in_ten_seconds());
        Up::Ask { call, target, flags, patience_ends, max_reply: u32::MAX }
    }

    /// Says it to the end.
    fn say_all(&mut self, up: &Up, body: &[u8]) {
        self.say(up, body);
        until(|| {
            if self.it.outbox.flush().unwrap() {
                self.it.bell.ring();
            }
            self.it.outbox.waiting() == 0
        });
    }

    /// It is handed a request.
    fn handed(&mut self) -> CallId {
        let (Down::Request { call, .. }, _) = self.hear() else { panic!("nothing is asked") };
        call
    }
}

/// A long request reaches the core whole, and so does a long reply: the core says that they are too
/// long for it.
#[test]
fn long_messages_go_up() {
    for kind in KINDS {
        let host = Host::with_bodies(BODY_MAX, |_| {});
        let (mut client, mut server) = (host.attach(Kind::Shm), host.attach(kind));
        let port = server.serve("long");
        server.say(&server.asks(1, port), &vec![1; BODY_MAX]);
        assert_eq!(server.hear_end().1, Ended::NotSent(SendError::TooLong));
        client.ask(1, Target::Port(server.name_of(port)), b"?");
        let call = server.handed();
        server.say_all(&Up::Reply { serial: 0, port, call, renew: false }, &vec![2; BODY_MAX]);
        assert_eq!(client.hear_end().1, Ended::Unknown(Unknown::ReplyTooBig));
        assert_eq!(host.held(), 0);
    }
}

/// Long requests and replies come down as they were said, and a short word before them.
#[test]
fn long_messages_come_down() {
    for kind in KINDS {
        let host = Host::with_bodies(BODY_MAX, |_| {});
        let mut process = host.attach(kind);
        let body: Vec<u8> = (0..BODY_MAX).map(|at| (at / 3) as u8).collect();
        let (port, call) = (ServerPort(9), CallId { client: ClientId::default(), seq: 1 });
        let (flags, patience_ends) = (Flags::NONE, None);
        let request = Down::Request { port, call, flags, patience_ends };
        let reply = Down::End { call: 5, ended: Ended::Reply };
        host.tell(&process, &request, body.clone());
        host.tell(&process, &Down::Cancelled { port, call }, Vec::new());
        host.tell(&process, &reply, body[..50_000].to_vec());
        let short = Down::End { call: 6, ended: Ended::Reply };
        host.tell(&process, &short, b"short".to_vec());
        assert_eq!(process.hear(), (short, b"short".to_vec()));
        assert!(process.hear() == (reply, body[..50_000].to_vec()));
        assert!(process.hear() == (request, body));
        assert_eq!(process.hear(), (Down::Cancelled { port, call }, Vec::new()), "in order");
    }
}

/// Long messages are half way, and a call goes through: it does not wait for them.
#[test]
fn a_call_passes_a_long_one() {
    for kind in KINDS {
        let host = Host::with_bodies(BODY_MAX, |_| {});
        let mut process = host.attach(kind);
        let port = process.serve("echo");
        process.say_half(&process.asks(1, port), BODY_MAX);
        process.ask(2, Target::Port(process.name_of(port)), b"short");
        process.echo();
        assert_eq!(process.hear_end(), (2, Ended::Reply, b"short".to_vec()));
        assert!(host.held() > BODY_MAX, "the long one is held");
    }
}

/// A process dies in the middle of a request: it was never asked (R28). What was held of it is free.
#[test]
fn half_a_request_is_none() {
    for kind in KINDS {
        let host = Host::with_bodies(BODY_MAX, |_| {});
        let (mut client, mut server) = (host.attach(kind), host.attach(Kind::Shm));
        let port = server.serve("never");
        client.say_half(&server.asks(1, port), BODY_MAX);
        until(|| host.held() > 0);
        drop(client);
        host.wait_for(1);
        assert_eq!(host.held(), 0);
        assert_eq!(host.daemon().counters().get(Note::Called), 0);
    }
}

/// A process dies in the middle of a reply: it died serving (R28). One that has said all of it has
/// answered, also if nobody has read it yet.
#[test]
fn half_a_reply_is_none() {
    for kind in KINDS {
        let host = Host::with_bodies(BODY_MAX, |_| {});
        let (mut client, mut server) = (host.attach(Kind::Shm), host.attach(kind));
        let port = server.serve("mortal");
        client.ask(1, Target::Port(server.name_of(port)), b"?");
        let call = server.handed();
        server.say_half(&Up::Reply { serial: 0, port, call, renew: false }, BODY_MAX);
        drop(server);
        assert_eq!(client.hear_end().1, Ended::Unknown(Unknown::ServerDied));
        assert_eq!(host.held(), 0);

        let mut server = host.attach(kind);
        let port = server.serve("mortal");
        client.ask(2, Target::Port(server.name_of(port)), b"?");
        let call = server.handed();
        let up = Up::Reply { serial: 0, port, call, renew: false };
        up.encode(&[], &mut server.buffer);
        // It never rings.
        let body = Bytes::from(vec![7; 12_000]);
        server.it.outbox.push_all(&server.buffer, body, up.order()).unwrap();
        assert_eq!(server.it.outbox.waiting(), 0, "all of it is in the channel");
        drop(server);
        assert_eq!(client.hear_end().1, Ended::Unknown(Unknown::ReplyTooBig));
    }
}

/// What a process claims and cannot be is its end, and nobody else's.
#[test]
fn false_claims_are_the_end() {
    let host = Host::with_bodies(BODY_MAX, |options| options.process_bytes_max = 4 * BODY_MAX);
    let whole = vec![0xee; 10_000];
    for kind in KINDS {
        for number in 0..5 {
            let mut process = host.attach(kind);
            match number {
                0 => process.say_part(1, &vec![0; 2 * BODY_MAX], 0..100),
                1 => process.say_part(1, &whole, 0..0),
                2 => (0..17).for_each(|number| process.say_part(number, &whole, 0..100)),
                3 => (0..5).for_each(|number| process.say_part(number, &[0; BODY_MAX], 0..100)),
                // It is whole, and no message.
                _ => {
                    process.say_part(1, &whole, 0..8000);
                    process.say_part(1, &whole, 8000..10_000);
                }
            }
            assert!(process.is_let_go(), "{number}");
            host.wait_for(0);
            assert_eq!(host.held(), 0);
        }
    }
}

/// Another process has all the room: a request is not sent, a reply is lost and its client told that the
/// service ran. When that process is gone there is room again.
#[test]
fn without_room_a_long_message_is_refused() {
    let host = Host::with_bodies(BODY_MAX, |options| options.bytes_max = BODY_MAX + 20_000);
    let (mut client, mut server) = (host.attach(Kind::Shm), host.attach(Kind::Shm));
    let port = server.serve("long");
    let target = Target::Port(server.name_of(port));
    let mut other = host.attach(Kind::Shm);
    other.say_half(&server.asks(1, port), BODY_MAX);
    until(|| host.held() > 0);

    client.say(&client.asks(1, port), &vec![1; 100_000]);
    assert_eq!(client.hear_end().1, Ended::NotSent(SendError::TooManyCalls));
    client.ask(2, target.clone(), b"?");
    let call = server.handed();
    server.say_all(&Up::Reply { serial: 0, port, call, renew: true }, &vec![2; 100_000]);
    assert_eq!(client.hear_end().1, Ended::Unknown(Unknown::ReplyTooBig));

    drop(other);
    host.wait_for(2);
    client.say(&client.asks(3, port), &vec![1; 100_000]);
    assert_eq!(client.hear_end().1, Ended::NotSent(SendError::TooLong), "by the core");
    client.ask(4, target, b"?");
    server.echo();
    assert_eq!(client.hear_end().1, Ended::Reply);
}

/// A reply is too long for the daemon, and said to be: its client is told so (R32), and the next request
/// comes.
#[test]
fn a_reply_that_stays_where_it_is_is_too_long() {
    let host = Host::with_bodies(BODY_MAX, |_| {});
    let (mut client, mut server) = (host.attach(Kind::Shm), host.attach(Kind::Sysv));
    let port = server.serve("long");
    let target = Target::Port(server.name_of(port));
    client.ask(1, target.clone(), b"?");
    let call = server.handed();
    server.say(&Up::TooLong { serial: 0, port, call, renew: true }, &[]);
    assert_eq!(client.hear_end().1, Ended::Unknown(Unknown::ReplyTooBig));
    client.ask(2, target, b"?");
    server.echo();
    assert_eq!(client.hear_end().1, Ended::Reply);
}

/// Long requests of a process are open, and have as many bytes as may be: the next is not sent. When one
/// has ended it is.
#[test]
fn the_bytes_of_open_calls_are_limited() {
    let host = Host::with_bodies(BODY_MAX, |options| options.process_bytes_max = 3 * BODY_MAX);
    let mut process = host.attach(Kind::Shm);
    let port = process.serve("long");
    host.open_call(&process, 1, BODY_MAX);
    host.open_call(&process, 2, BODY_MAX);
    process.say_all(&process.asks(3, port), &vec![1; BODY_MAX]);
    assert_eq!(process.hear_end(), (3, Ended::NotSent(SendError::TooManyCalls), Vec::new()));
    host.end_call(&process, 1, 0);
    assert_eq!(process.hear_end(), (1, Ended::Reply, Vec::new()));
    process.say_all(&process.asks(4, port), &vec![1; BODY_MAX]);
    assert_eq!(process.hear_end().1, Ended::NotSent(SendError::TooLong), "by the core");
    host.end_call(&process, 2, 0);
    assert_eq!(host.held(), 0);
}

/// A process does not read while long replies come: what waits for it is bounded, and it is told which
/// calls were answered in vain. It reads, and all is as before.
#[test]
fn the_bytes_that_wait_are_limited() {
    for kind in KINDS {
        let host = Host::with_bodies(BODY_MAX, |options| options.process_bytes_max = 3 * BODY_MAX);
        let mut deaf = host.attach(kind);
        for _ in 0..2 {
            for number in 1..=20 {
                host.open_call(&deaf, number, 0);
                host.end_call(&deaf, number, BODY_MAX);
                assert!(host.held() <= 3 * BODY_MAX);
            }
            host.open_call(&deaf, 21, 0);
            host.end_call(&deaf, 21, 100);
            let mut ends: Vec<_> = (1..=21).map(|_| deaf.hear_end()).collect();
            ends.sort_by_key(|(call, ..)| *call);
            let in_vain = (Ended::Unknown(Unknown::ReplyTooBig), Vec::new());
            for (call, ended, body) in ends {
                match call {
                    1 | 2 => assert!(body == vec![call as u8; BODY_MAX]),
                    21 => assert_eq!(body, [21; 100]),
                    _ => assert_eq!((ended, body), in_vain),
                }
            }
            until(|| host.held() == 0);
        }
    }
}

/// All processes together have as many bytes waiting as may be: the next reply is in vain, also for one
/// that reads.
#[test]
fn the_bytes_of_all_are_limited() {
    let host = Host::with_bodies(BODY_MAX, |options| options.bytes_max = 10 * BODY_MAX);
    let mut deaf: Vec<Client> = (0..10).map(|_| host.attach(Kind::Shm)).collect();
    for process in &deaf {
        host.open_call(process, 1, 0);
        host.end_call(process, 1, BODY_MAX);
    }
    assert!(host.held() <= 5 * BODY_MAX, "as much is left for other users");
    let ends: Vec<Ended> = deaf.iter_mut().map(|process| process.hear_end().1).collect();
    let in_vain = Ended::Unknown(Unknown::ReplyTooBig);
    assert_eq!(ends, [[Ended::Reply; 4].as_slice(), &[in_vain; 6]].concat());
    until(|| host.held() == 0);
}

/// A server process does not read what it was handed: it is handed no more, and what waits is not begun
/// (R20). When it has read it gets the rest.
#[test]
fn who_does_not_read_is_handed_no_more() {
    for kind in KINDS {
        let host = Host::with_bodies(BODY_MAX, |options| options.process_bytes_max = 2 * BODY_MAX);
        let (mut client, mut deaf) = (host.attach(Kind::Shm), host.attach(kind));
        let port = deaf.serve("deaf");
        deaf.say(&Up::Look { serial: 9, what: What::Entries }, &[]);
        deaf.hear();
        let reply = Down::End { call: 5, ended: Ended::Reply };
        for _ in 0..3 {
            host.tell(&deaf, &reply, vec![3; BODY_MAX]);
        }
        client.ask(1, Target::Port(deaf.name_of(port)), b"?");
        until(|| host.daemon().entries().records == 1);
        assert_eq!(host.daemon().counters().get(Note::Executed), 0);
        let mut read = 0;
        for _ in 0..4 {
            match deaf.hear() {
                (Down::Request { port, call, .. }, body) => {
                    assert!(read > 0);
                    deaf.say(&Up::Reply { serial: 0, port, call, renew: false }, &body);
                }
                said => {
                    assert!(said == (reply.clone(), vec![3; BODY_MAX]));
                    read += 1;
                }
            }
        }
        assert_eq!(client.hear_end(), (1, Ended::Reply, b"?".to_vec()));
    }
}
