//! Who is who, and which life of it: R6, R7, R10, R29.

use bytes::Bytes;
use unavez::protocol::{
    Epoch, Flags, IpcPort, Kind, NotExecuted, Note, Outcome, Packet, Request, SiteId, SiteReply,
    SiteRequest, Target, Token, Unknown,
};

use crate::pair::{End, Pair, config, floor, ms, names, of_kind, request, secs};

fn is_fresh(packet: &Packet) -> bool {
    match packet.kind {
        Kind::Stale { fresh, .. } => fresh,
        _ => panic!("{packet} is not STALE"),
    }
}

/// The address belongs to another site now: it says so, which proves nothing, and the client goes on
/// (R6).
#[test]
fn another_site_at_the_address_says_so() {
    let mut pair = Pair::new(config());
    let (call, mut first) = pair.ask("debit 10");
    first.server.site = SiteId(77);
    let mut answer = pair.answer(&first);
    assert_eq!((answer.kind, pair.take()), (Kind::WrongSite, None));
    answer.server.site = pair.server.site.site();
    pair.at_client(&answer);
    assert_eq!((pair.outcome(call), pair.client.count(Note::WrongSite)), (None, 1));
}

/// A server without a state directory restarts, so another site is there. Whoever asks for a service by
/// name is told so, and asks anew who serves there for the next call (R6, R10).
#[test]
fn a_name_is_asked_for_anew_when_another_site_is_there() {
    let mut pair = Pair::new(config());
    let (_, sent) = pair.ask_for(&pair.by_name("bank"), request("debit 10")).unwrap();
    let resolved = pair.answer(&sent[0]);
    let sent = pair.at_client(&resolved);
    let reply = pair.run(&sent[0]);
    pair.at_client(&reply);
    let address = pair.server.address;
    pair.server = End { address, ..End::new(pair.config, pair.now, 0x6, 1) };
    pair.port = pair.serve("bank");
    let (call, sent) = pair.ask_for(&pair.by_name("bank"), request("debit 20")).unwrap();
    let wrong = pair.answer(&sent[0]);
    assert_eq!((wrong.kind, pair.at_client(&wrong)), (Kind::WrongSite, vec![]));
    assert_eq!(pair.outcome(call), None);
    let (call, sent) = pair.ask_for(&pair.by_name("bank"), request("debit 30")).unwrap();
    let resolved = pair.answer(&sent[0]);
    let sent = pair.at_client(&resolved);
    let reply = pair.run(&sent[0]);
    pair.at_client(&reply);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply("done".into())));
}

/// The client's address is no part of its name: a copy from elsewhere is a copy (R6).
#[test]
fn a_copy_from_another_address_is_a_copy() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    pair.run(&first);
    pair.server.give(pair.now, ([10, 7, 7, 7], 7).into(), &first);
    assert_eq!(pair.take(), None);
}

/// A packet bears this site's own name under another life: somebody cloned it, or it comes late (R7).
/// Lives are compared for equality: an earlier number is not an older life.
#[test]
fn a_clone_is_counted_and_lives_are_equal_or_not() {
    let mut pair = Pair::new(config());
    let (_, mut first) = pair.ask("debit 10");
    first.client.site = pair.server.site.site();
    first.client.epoch = Epoch { counter: 9, random: 9 };
    pair.at_server(&first);
    assert_eq!(pair.server.count(Note::Clone), 1);
    for counter in [0, 2] {
        let (_, mut other) = pair.ask("debit 10");
        other.server.epoch.counter = counter;
        assert_eq!(pair.answer(&other).kind.name(), "STALE");
    }
}

/// Port 0 answers whoever asks, in whichever life: names, pings and counters; no other port does (R10).
#[test]
fn port_zero_answers_whoever_asks() {
    let mut pair = Pair::new(config());
    let flags = unavez::protocol::Flags::IDEMPOTENT;
    let target = unavez::protocol::Target::Port(IpcPort::site_at(pair.server.address));
    let body = SiteRequest::Ping(b"hello".to_vec()).encode();
    let ping = Request { body, flags, ..request("") };
    let (call, sent) = pair.ask_for(&target, ping).unwrap();
    let pong = pair.answer(&sent[0]);
    pair.at_client(&pong);
    let Some(Outcome::Reply(body)) = pair.outcome(call) else { panic!("no reply") };
    assert_eq!(SiteReply::decode(body), Some(SiteReply::Pong(b"hello".to_vec())));
    let (_, mut first) = pair.ask("debit 10");
    first.server.site = SiteId(0);
    first.server.epoch = Epoch::default();
    assert_eq!(pair.answer(&first).kind, Kind::WrongSite);
    assert_eq!(pair.server.site.entries().tombstones, 0);
}

/// A name is asked for once; the call goes to the port that it stands for (R10). One that nobody bears
/// did not run.
#[test]
fn a_name_is_resolved_at_port_zero() {
    let mut pair = Pair::new(config());
    let (call, sent) = pair.ask_for(&pair.by_name("bank"), request("debit 10")).unwrap();
    let resolved = pair.answer(&sent[0]);
    let sent = pair.at_client(&resolved);
    assert_eq!(sent[0].server.port, pair.port);
    let reply = pair.run(&sent[0]);
    pair.at_client(&reply);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply("done".into())));
    let (call, sent) = pair.ask_for(&pair.by_name("casino"), request("bet")).unwrap();
    let resolved = pair.answer(&sent[0]);
    pair.at_client(&resolved);
    let no_such_name = Outcome::NotExecuted(NotExecuted::NoSuchName);
    assert_eq!(pair.outcome(call), Some(&no_such_name));
}

/// Who serves is asked for as long as somebody waits to know it (R2, R10): whoever waits for less ends
/// sooner, and whoever comes later waits no less.
#[test]
fn a_name_is_asked_for_as_long_as_somebody_waits() {
    let mut pair = Pair::new(config());
    let call = |pair: &mut Pair, patience| {
        let request = Request { patience: Some(secs(patience)), ..request("debit 10") };
        pair.ask_for(&pair.by_name("bank"), request).unwrap().0
    };
    let patient = call(&mut pair, 100);
    pair.pass_at_client(secs(20));
    let hasty = call(&mut pair, 12);
    let late = call(&mut pair, 20);
    pair.pass_at_client(secs(15));
    let unresolved = Some(Outcome::NotExecuted(NotExecuted::Unresolved));
    let ends = |pair: &Pair| [patient, hasty, late].map(|call| pair.outcome(call).cloned());
    assert_eq!(ends(&pair), [None, unresolved.clone(), None]);
    pair.pass_at_client(secs(30));
    assert_eq!(ends(&pair), [None, unresolved.clone(), unresolved.clone()]);
    let (_, question) = pair.client.sent.last().unwrap().clone();
    let resolved = pair.answer(&question);
    let sent = pair.at_client(&resolved);
    let reply = pair.run(&sent[0]);
    pair.at_client(&reply);
    assert_eq!(ends(&pair)[0], Some(Outcome::Reply("done".into())));
    assert_eq!(pair.client.site.entries().calls, 0);
}

/// Whatever names another life is answered STALE and leaves nothing behind (R29).
#[test]
fn a_packet_for_another_life_has_no_effect() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    pair.restart_server();
    let token = Token::NONE;
    let kinds = [first.kind, Kind::Heartbeat { floor: 1, token }, Kind::Abort { floor: 1, token }];
    for kind in kinds {
        let request = matches!(kind, Kind::Request { .. });
        let (attempt, body) = if request { (1, first.body.clone()) } else { (0, Bytes::new()) };
        let stale = pair.answer(&Packet { kind, attempt, body, ..first.clone() });
        assert_eq!((stale.kind.name(), stale.attempt), ("STALE", attempt));
        assert_eq!(stale.server, first.server);
    }
    assert_eq!((pair.take(), pair.server.site.entries().tombstones), (None, 0));
}

/// A life is fresh when it has lasted for longer than a packet may, counted up to a moment at which its
/// queue was found empty (R29).
#[test]
fn a_life_is_fresh_when_all_older_packets_are_dead() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    pair.restart_server();
    let began = pair.now;
    assert!(!is_fresh(&pair.answer(&first)));
    pair.now.running += config().packet_lifetime + ms(1);
    // It read the clock before it looked.
    pair.server.site.handle_drained(began);
    assert!(!is_fresh(&pair.answer(&first)));
    pair.server.site.handle_drained(pair.now);
    assert!(is_fresh(&pair.answer(&first)));
}

/// A restarted server that nobody asks is woken to look at its queue, so its first STALE proves (R29).
#[test]
fn an_idle_life_becomes_fresh_by_itself() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    pair.restart_server();
    let site = &mut pair.server.site;
    let deadline = site.deadline().expect("a new life looks at its queue once");
    assert!(deadline > pair.now.running + config().packet_lifetime);
    pair.now.running = deadline;
    site.handle_drained(pair.now);
    site.handle_timeout(pair.now);
    assert_eq!(site.deadline(), None);
    assert!(is_fresh(&pair.answer(&first)));
}

/// STALE proves only if it is fresh, answers the first copy, and no WORKING was seen (R29).
#[test]
fn a_stale_first_copy_proves() {
    let fresh = |pair: &mut Pair| {
        pair.restart_server();
        pair.now.running += config().packet_lifetime + ms(1);
        pair.server.site.handle_drained(pair.now);
    };
    for (attempt, working, waits, proves) in [
        (1, false, true, true),
        (2, false, true, false),
        (1, true, true, false),
        (1, false, false, false),
    ] {
        let mut pair = Pair::new(config());
        let (call, first) = pair.ask_with(Request { patience: None, ..request("debit 10") });
        if working {
            pair.at_server(&first);
            pair.pass_at_server(ms(100));
            let said = of_kind(&pair.server, "WORKING")[0].clone();
            pair.at_client(&said);
        }
        if waits {
            fresh(&mut pair);
        } else {
            pair.restart_server();
        }
        let stale = pair.answer(&Packet { attempt, ..first });
        pair.at_client(&stale);
        let expected = match proves {
            true => Outcome::NotExecuted(NotExecuted::ServerRestarted),
            false => Outcome::Unknown(Unknown::ServerRestarted),
        };
        assert_eq!(pair.outcome(call), Some(&expected), "{attempt} {working} {waits}");
    }
}

/// An ordered call is in service when its site restarts, and the next one is for the new life: it leaves
/// when the first is found to be lost (R29, R33).
#[test]
fn an_ordered_call_waits_for_one_of_the_former_life() {
    let mut pair = Pair::new(config());
    let ordered = |body| Request { flags: Flags::ORDERED, patience: None, ..request(body) };
    let (before, first) = pair.ask_with(ordered("one"));
    pair.at_server(&first);
    pair.pass_at_server(ms(100));
    let working = of_kind(&pair.server, "WORKING")[0].clone();
    pair.at_client(&working);
    pair.restart_server();
    let target = Target::Port(pair.ipc_port());
    assert_eq!(pair.ask_for(&target, ordered("two")).unwrap().1, []);
    pair.pass_at_client(secs(2));
    let heartbeat = of_kind(&pair.client, "HEARTBEAT")[0].clone();
    let stale = pair.answer(&heartbeat);
    assert_eq!(names(&pair.at_client(&stale)), ["REQUEST"]);
    assert_eq!(pair.outcome(before), Some(&Outcome::Unknown(Unknown::ServerRestarted)));
}

/// Proved not to have run, a call by name goes to the new life by itself, from attempt 1 (R29).
#[test]
fn a_call_by_name_follows_a_restart() {
    let mut pair = Pair::new(config());
    let (_, sent) = pair.ask_for(&pair.by_name("bank"), request("debit 10")).unwrap();
    let resolved = pair.answer(&sent[0]);
    let sent = pair.at_client(&resolved);
    let reply = pair.run(&sent[0]);
    pair.at_client(&reply);
    pair.restart_server();
    pair.now.running += config().packet_lifetime + ms(1);
    pair.server.site.handle_drained(pair.now);
    let (call, sent) = pair.ask_for(&pair.by_name("bank"), request("debit 20")).unwrap();
    let stale = pair.answer(&sent[0]);
    let asked = pair.at_client(&stale);
    let resolved = pair.answer(&asked[0]);
    let sent = pair.at_client(&resolved);
    assert_eq!((names(&sent), sent[0].attempt, floor(&sent[0])), (vec!["REQUEST"], 1, 1));
    let reply = pair.run(&sent[0]);
    pair.at_client(&reply);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply("done".into())));
    assert_eq!(pair.client.count(Note::Resent), 1);
    pair.pass(secs(1));
}
