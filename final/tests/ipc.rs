//! The interface of §2: every operation, and what each error lets one conclude.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use unavez::protocol::{self, Config, NotExecuted, Note, Unknown};
use unavez::{
    CallError, Conclusion, IpcClient, IpcPort, IpcServer, MsgId, Options, RawMsg, SendError, Site,
    SiteError, TypedClient,
};

fn site() -> Site {
    site_with(Config::default())
}

fn site_with(config: Config) -> Site {
    let listen = "127.0.0.1:0".parse().unwrap();
    Site::with(Options { listen, config, ..Options::default() }).unwrap()
}

/// A server and a client, each at a site of its own.
fn pair() -> (IpcServer, IpcClient) {
    let server = IpcServer::new(&site()).unwrap();
    let client = IpcClient::new(&site(), server.port());
    (server, client)
}

/// Runs this while another thread leads at the client's site, so that those in here follow.
fn led(site: &Site, run: impl FnOnce()) {
    let idle = IpcServer::new(site).unwrap();
    thread::scope(|scope| {
        let leads = scope.spawn(|| idle.receive_request());
        // Long enough to be asleep; if it is not, the test claims less, and holds.
        thread::sleep(Duration::from_millis(20));
        run();
        idle.finish();
        assert_eq!(leads.join().unwrap(), Err(SiteError::Closed));
    });
}

fn echo(server: &IpcServer) {
    let (request, id) = server.receive_request().unwrap();
    server.send_reply(request, id).unwrap();
}

/// Figure 1 of the paper: one thread sends, another receives the reply; one thread receives the
/// request, another answers it.
#[test]
fn any_thread_sends_receives_and_answers() {
    let (server, client) = pair();
    let (hand, handed) = channel();
    thread::scope(|scope| {
        let (server, client) = (&server, &client);
        scope.spawn(move || hand.send(server.receive_request().unwrap()).unwrap());
        scope.spawn(move || {
            let (request, id): (RawMsg, MsgId) = handed.recv().unwrap();
            server.send_reply(format!("re: {:?}", request.body()), id).unwrap();
        });
        let sender = scope.spawn(|| client.send_request("hello").unwrap());
        let receiver = scope.spawn(|| client.receive_reply().unwrap());
        let (id, reply) = receiver.join().unwrap();
        assert_eq!(id, sender.join().unwrap());
        assert_eq!(reply.unwrap().body(), r#"re: b"hello""#);
    });
}

/// 500 calls are open at once, more than the window (R26), and are answered in the opposite order of
/// every eight: each reply goes to its own call.
#[test]
fn many_open_calls_each_get_their_own_reply() {
    let (server, client) = pair();
    let server = thread::spawn(move || {
        for round in 0..500usize.div_ceil(8) {
            let many = (500 - 8 * round).min(8);
            let taken: Vec<_> = (0..many).map(|_| server.receive_request().unwrap()).collect();
            for (request, id) in taken.into_iter().rev() {
                server.send_reply(request, id).unwrap();
            }
        }
        server
    });
    let ids: Vec<MsgId> =
        (0..500).map(|number: u32| client.send_request(number.to_string()).unwrap()).collect();
    let said = |number: usize, reply: RawMsg| assert_eq!(reply.body(), &number.to_string());
    for (number, id) in ids.iter().enumerate().skip(100).step_by(2) {
        said(number, client.receive_reply_of(*id).unwrap());
    }
    for _ in 0..300 {
        let (id, reply) = client.receive_reply().unwrap();
        said(ids.iter().position(|it| *it == id).unwrap(), reply.unwrap());
    }
    assert_eq!(client.try_receive_reply().unwrap(), None);
    server.join().unwrap();
}

/// A thread takes whatever reply comes while another one calls: neither gets the other's.
#[test]
fn a_call_is_not_robbed_of_its_reply() {
    let (server, client) = pair();
    let first = client.send_request("for anybody").unwrap();
    let (request, first_id) = server.receive_request().unwrap();
    thread::scope(|scope| {
        let anybody = scope.spawn(|| client.receive_reply().unwrap());
        let caller = scope.spawn(|| client.call("for the caller").unwrap());
        echo(&server);
        assert_eq!(caller.join().unwrap().body(), "for the caller");
        server.send_reply(request, first_id).unwrap();
        let (id, reply) = anybody.join().unwrap();
        assert_eq!((id, reply.unwrap().body().as_ref()), (first, b"for anybody".as_ref()));
    });
}

/// An outcome is taken once, by its own client; who asks for it again is told so, and so are two
/// threads that ask at once.
#[test]
fn an_outcome_is_taken_once() {
    let server = IpcServer::new(&site()).unwrap();
    let from = site();
    let client = IpcClient::new(&from, server.port());
    let id = client.send_request("once").unwrap();
    let other = IpcClient::new(&site(), server.port());
    let foreign = other.send_request("the first there, too").unwrap();
    assert_eq!(client.try_receive_reply_of(foreign), Some(Err(CallError::Taken)));
    led(&from, || {
        let outcomes = thread::scope(|scope| {
            let ask = || client.receive_reply_of(id).map(RawMsg::into_body);
            let asking = [scope.spawn(ask), scope.spawn(ask)];
            thread::sleep(Duration::from_millis(20));
            echo(&server);
            asking.map(|thread| thread.join().unwrap())
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert!(outcomes.contains(&Err(CallError::Taken)));
    });
    assert_eq!(client.receive_reply_of(id), Err(CallError::Taken));
    assert_eq!(client.try_receive_reply_of(id), Some(Err(CallError::Taken)));
}

/// Two threads ask for a call, and one of them does not wait for long: the other is not forgotten.
#[test]
fn one_that_waits_no_longer_leaves_the_other_waiting() {
    let server = IpcServer::new(&site()).unwrap();
    let from = site();
    let client = IpcClient::new(&from, server.port());
    let id = client.send_request("late").unwrap();
    led(&from, || {
        thread::scope(|scope| {
            let patient = scope.spawn(|| client.receive_reply_of(id));
            let soon = Duration::from_millis(40);
            assert_eq!(client.receive_reply_of_timeout(id, soon), None);
            echo(&server);
            assert_eq!(patient.join().unwrap().unwrap().body(), "late");
        });
    });
    assert_eq!(client.try_receive_reply().unwrap(), None);
}

/// Whoever does not want to wait does not, and a call goes on after somebody stopped waiting for it.
#[test]
fn waiting_can_be_limited() {
    let (server, client) = pair();
    let soon = Duration::from_millis(20);
    assert_eq!(server.try_receive_request().unwrap(), None);
    assert_eq!(server.receive_request_timeout(soon).unwrap(), None);
    let id = client.send_request("later").unwrap();
    assert_eq!(client.try_receive_reply().unwrap(), None);
    assert_eq!(client.receive_reply_timeout(soon).unwrap(), None);
    assert_eq!(client.try_receive_reply_of(id), None);
    assert_eq!(client.receive_reply_of_timeout(id, soon), None);
    let (request, taken) = server.receive_request_timeout(Duration::MAX).unwrap().unwrap();
    server.send_reply(request, taken).unwrap();
    let (ended, reply) = client.receive_reply_timeout(Duration::from_secs(9)).unwrap().unwrap();
    assert_eq!((ended, reply.unwrap().body().as_ref()), (id, b"later".as_ref()));
}

/// A client that nobody waits for is served by the background thread.
#[test]
fn a_reply_comes_while_nobody_waits() {
    let (server, client) = pair();
    let id = client.send_request("hello").unwrap();
    let request = loop {
        match server.try_receive_request().unwrap() {
            Some(request) => break request,
            None => thread::yield_now(),
        }
    };
    server.send_reply(request.0, request.1).unwrap();
    let reply = loop {
        match client.try_receive_reply_of(id) {
            Some(reply) => break reply,
            None => thread::yield_now(),
        }
    };
    assert_eq!(reply.unwrap().body(), "hello");
}

/// A request carries its flags, and how long its client still waits (R13, R33, R34).
#[test]
fn the_server_sees_flags_and_patience() {
    let (server, client) = pair();
    let config = *site().config();
    let asked = |message: RawMsg| {
        client.send_request(message).unwrap();
        let (request, id) = server.receive_request().unwrap();
        server.send_reply("", id).unwrap();
        client.receive_reply().unwrap().1.unwrap();
        request
    };
    assert_eq!(asked(RawMsg::from("x").unlimited()).timeout_of(&config), None);
    let limited = asked(RawMsg::from("x").timeout(Duration::from_secs(9)));
    assert!(limited.timeout_of(&config).unwrap() <= Duration::from_secs(9));
    let flags = asked(RawMsg::from("x").ordered().idempotent().certain()).flags();
    assert!(flags.has(protocol::Flags::ORDERED | protocol::Flags::IDEMPOTENT));
    assert!(!flags.has(protocol::Flags::CERTAIN), "it does not travel");
}

/// A call is called off before the service took it up: proved not to have run (R37, R38).
#[test]
fn a_call_is_called_off_before_it_is_begun() {
    let (server, client) = pair();
    let id = client.send_request(RawMsg::from("never").certain()).unwrap();
    client.cancel(id).unwrap();
    let error = client.receive_reply_of(id).unwrap_err();
    assert_eq!(error, CallError::NotExecuted(NotExecuted::Cancelled));
    assert_eq!(error.conclude(), Conclusion::NotExecuted);
    assert_eq!(server.receive_request_timeout(Duration::from_millis(20)).unwrap(), None);
}

/// A call is called off while the service is at it: the service sees that (R38), the caller waits no
/// longer (R37). Who waits in another thread is woken.
#[test]
fn a_call_is_called_off_in_service() {
    let (server, client) = pair();
    let id = client.send_request("long").unwrap();
    let (request, taken) = server.receive_request().unwrap();
    assert!(!server.is_cancelled(&taken));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| client.receive_reply_of(id));
        client.cancel(id).unwrap();
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(error, CallError::Unknown(Unknown::Cancelled));
        assert_eq!(error.conclude(), Conclusion::Unknown);
    });
    while !server.is_cancelled(&taken) {
        thread::yield_now();
    }
    server.send_reply(request, taken).unwrap();
    client.cancel(id).unwrap();
    client.cancel(taken).unwrap();
}

/// A client is dropped with a call in service: the call is called off (R16).
#[test]
fn a_client_that_is_dropped_calls_off() {
    let (server, from) = (IpcServer::new(&site()).unwrap(), site());
    let client = IpcClient::new(&from, server.port());
    client.send_request("long").unwrap();
    let (_, taken) = server.receive_request().unwrap();
    drop(client);
    while !server.is_cancelled(&taken) {
        thread::yield_now();
    }
}

/// A server is dropped: what it had not taken did not run, what it had may have (R28). Later calls find
/// nobody.
#[test]
fn calls_end_when_their_server_is_dropped() {
    let at = site();
    let server = IpcServer::new(&at).unwrap();
    let client = IpcClient::new(&site(), server.port());
    let begun = client.send_request("begun").unwrap();
    let _taken = server.receive_request().unwrap();
    let queued = client.send_request("queued").unwrap();
    while at.entries().unwrap().records < 2 {
        thread::yield_now();
    }
    server.finish();
    assert_eq!(server.receive_request(), Err(SiteError::Closed));
    assert_eq!(client.try_receive_reply().unwrap(), None);
    drop(server);
    let not_executed = |why| Err(CallError::NotExecuted(why));
    assert_eq!(client.receive_reply_of(queued), not_executed(NotExecuted::ServerDied));
    let unknown = Err(CallError::Unknown(Unknown::ServerDied));
    assert_eq!(client.receive_reply_of(begun), unknown);
    assert_eq!(client.call("late"), not_executed(NotExecuted::NoSuchPort));
}

/// A request is answered once, by the server that received it.
#[test]
fn a_request_is_answered_once() {
    let at = site();
    let (server, other) = (IpcServer::new(&at).unwrap(), IpcServer::new(&at).unwrap());
    let client = IpcClient::new(&site(), server.port());
    let not_serving = Err(SendError::Refused(protocol::SendError::NotServing));
    let sent = client.send_request("x").unwrap();
    let (_, id) = server.receive_request().unwrap();
    assert_eq!(other.send_reply("forged", id), not_serving);
    assert_eq!(server.send_reply("none of mine", sent), not_serving);
    server.send_reply("true", id).unwrap();
    assert_eq!(server.send_reply("again", id), not_serving);
    assert_eq!(client.receive_reply_of(sent).unwrap().body(), "true");
}

/// What is longer than a site takes is refused: a request before it is sent, a reply after the service
/// ran, whether it is too long for the server's site or for the client's (R32). What is not passes, far
/// longer than a datagram (R40).
#[test]
fn what_is_too_long_is_refused() {
    const MOST: usize = 100_000;
    let short = || site_with(Config { message_max: MOST, ..Config::default() });
    for (at, from) in [(short(), site()), (site(), short())] {
        let server = IpcServer::new(&at).unwrap();
        let client = IpcClient::new(&from, server.port());
        let echo = |len: usize| {
            let id = client.send_request("how long?").unwrap();
            let (_, asked) = server.receive_request().unwrap();
            server.send_reply(vec![7; len], asked).unwrap();
            client.receive_reply_of(id)
        };
        assert_eq!(echo(MOST).unwrap().body(), &vec![7; MOST]);
        let error = echo(MOST + 1).unwrap_err();
        assert_eq!(error, CallError::Unknown(Unknown::ReplyTooBig));
        assert_eq!(error.conclude(), Conclusion::Executed);
    }
    let server = IpcServer::new(&site()).unwrap();
    let client = IpcClient::new(&short(), server.port());
    let error = client.call(vec![0; MOST + 1]).unwrap_err();
    assert_eq!(error, CallError::NotSent(SendError::Refused(protocol::SendError::TooLong)));
    assert_eq!(error.conclude(), Conclusion::NotExecuted);
    let longest = client.send_request(vec![7; MOST]).unwrap();
    echo(&server);
    assert_eq!(client.receive_reply_of(longest).unwrap().body(), &vec![7; MOST]);
}

/// Nobody is there: the call ends with its patience, and nobody can tell (R13). To an address that
/// this site cannot send to, it never left (R3).
#[test]
fn a_call_to_nobody_ends() {
    let (server, _) = pair();
    let mut port: IpcPort = server.port();
    // The site stops with its last handle, and the address is nobody's.
    drop(server);
    let (site, soon) = (site(), Duration::from_millis(50));
    let call = |port| IpcClient::new(&site, port).call(RawMsg::from("x").timeout(soon));
    assert_eq!(call(port), Err(CallError::Unknown(Unknown::TimedOut)));
    port.address = "[::1]:9".parse().unwrap();
    assert_eq!(call(port), Err(CallError::NotExecuted(NotExecuted::Unsendable)));
}

/// A site is stopped under threads that wait: all return, all calls end, nothing begins.
#[test]
fn all_ends_when_the_site_is_stopped() {
    let (server, _) = pair();
    let site = site();
    let client = IpcClient::new(&site, server.port());
    let idle = IpcServer::new(&site).unwrap();
    let other = IpcClient::new(&site, idle.port());
    let open = client.send_request("open").unwrap();
    let certain = client.send_request(RawMsg::from("certain").certain()).unwrap();
    server.receive_request().unwrap();
    server.receive_request().unwrap();
    thread::scope(|scope| {
        let serving = scope.spawn(|| idle.receive_request());
        let waiting = scope.spawn(|| client.receive_reply_of(open));
        let any = scope.spawn(|| other.receive_reply());
        site.stop();
        site.stop();
        assert_eq!(serving.join().unwrap(), Err(SiteError::Stopped));
        assert_eq!(any.join().unwrap(), Err(SiteError::Stopped));
        let cancelled = Err(CallError::Unknown(Unknown::Cancelled));
        assert_eq!(waiting.join().unwrap(), cancelled);
        assert_eq!(client.receive_reply().unwrap(), (certain, cancelled));
    });
    let stopped = SendError::Site(SiteError::Stopped);
    assert_eq!(client.call("late"), Err(CallError::NotSent(stopped)));
    assert_eq!(client.receive_reply(), Err(SiteError::Stopped));
    assert_eq!(IpcServer::new(&site).unwrap_err(), stopped);
    assert_eq!(site.counters().unwrap().get(Note::Called), 2);
}

/// A program takes no replies: there is a limit to how many are kept for it.
#[test]
fn replies_that_nobody_takes_are_limited() {
    let site = site_with(Config { calls_max: 4, ..Config::default() });
    let server = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&site, server.port());
    for _ in 0..4 {
        client.send_request("x").unwrap();
        echo(&server);
    }
    let full = SendError::Refused(protocol::SendError::TooManyCalls);
    assert_eq!(client.send_request("x"), Err(full));
    client.receive_reply().unwrap().1.unwrap();
    client.send_request("x").unwrap();
}

/// Each kind of handle can be shared between threads, and shown.
#[test]
fn handles_are_shared_between_threads() {
    fn shared<T: Send + Sync + std::fmt::Debug>() {}
    shared::<Site>();
    shared::<IpcServer>();
    shared::<IpcClient>();
    shared::<TypedClient<String, String>>();
    shared::<MsgId>();
    shared::<RawMsg>();
    shared::<CallError>();
}

/// No sum of times overflows, whatever a caller says.
#[test]
fn the_longest_timeout_is_as_good_as_none() {
    let (server, client) = pair();
    let id = client.send_request(RawMsg::from("hello").timeout(Duration::MAX)).unwrap();
    let (request, call) = server.receive_request_timeout(Duration::MAX).unwrap().unwrap();
    server.send_reply(request, call).unwrap();
    assert_eq!(client.receive_reply_of(id).unwrap().body(), "hello");
    // A request carries 49 days at most; more is that, and never less.
    let day = Duration::from_secs(24 * 3600);
    let id = client.send_request(RawMsg::from("hello").timeout(50 * day)).unwrap();
    let (request, call) = server.receive_request().unwrap();
    assert!(request.timeout_of(&Config::default()) >= Some(49 * day), "{request:?}");
    server.send_reply(request, call).unwrap();
    assert!(client.receive_reply_of(id).is_ok());
}
