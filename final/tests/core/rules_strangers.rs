//! Clients that are forgotten, and addresses that nobody vouches for: R35, R36.

use bytes::Bytes;
use unavez::protocol::{
    Config, Fate, Kind, NotExecuted, Note, Outcome, Packet, ProcessId, Ran, Reason, Request,
    Target, Token, Unknown,
};

use crate::pair::{Pair, bytes, config, ms, names, of_kind, refused, request, secs};

/// As soon as nothing of a client is kept, and it was silent for some seconds.
fn forgetful() -> Config {
    Config { port_life: secs(8), port_life_max: secs(8), ..config() }
}

/// The server lives on while the client stands still, and forgets it.
fn evicted(pair: &mut Pair) {
    let now = pair.now;
    pair.pass_at_server(secs(60));
    pair.now = unavez::protocol::Now { boot: now.boot, ..pair.now };
    assert_eq!(pair.server.count(Note::Evicted), 1);
}

/// A client is remembered while anything of it is kept, or it was heard, or a copy may come; then it is
/// evicted, and never taken up again (R35).
#[test]
fn an_evicted_client_is_never_taken_up_again() {
    let mut pair = Pair::new(forgetful());
    let (_, first) = pair.ask("debit 10");
    pair.run(&first);
    pair.pass_at_server(secs(8));
    assert_eq!(pair.server.site.entries().tombstones, 1);
    evicted(&mut pair);
    let token = Token::NONE;
    let closed = (Ran::Maybe, Reason::PortClosed);
    let answer = pair.answer(&first);
    assert_eq!((refused(&answer), answer.attempt), (closed, 1));
    let kind = Kind::Heartbeat { floor: 1, token };
    let answer = pair.answer(&Packet { kind, attempt: 0, body: Bytes::new(), ..first.clone() });
    assert_eq!((refused(&answer), answer.attempt), (closed, 0));
    let kind = Kind::Abort { floor: 1, token };
    let answer = pair.answer(&Packet { kind, attempt: 0, body: Bytes::new(), ..first.clone() });
    assert_eq!(answer.kind, Kind::Aborted { fate: Fate::Maybe });
    assert_eq!((pair.take(), pair.server.site.entries()), (None, Default::default()));
}

/// PortClosed proves if it answers the only copy of a call that no WORKING was said of: it begins anew
/// by another port, and so do later ones (R35).
#[test]
fn a_closed_port_proves_for_a_first_and_only_copy() {
    let mut pair = Pair::new(forgetful());
    let (_, first) = pair.ask("debit 10");
    let reply = pair.run(&first);
    pair.at_client(&reply);
    evicted(&mut pair);
    let (call, second) = pair.ask("debit 20");
    assert_eq!(second.client.port, first.client.port);
    let closed = pair.answer(&second);
    let sent = pair.at_client(&closed);
    assert_eq!((names(&sent), sent[0].attempt, sent[0].seq), (vec!["REQUEST"], 1, 1));
    assert_ne!(sent[0].client.port, first.client.port);
    let reply = pair.run(&sent[0]);
    pair.at_client(&reply);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply("done".into())));
}

/// It proves nothing for a call that was sent twice, or that WORKING was said of, or if it answers no
/// request (R35).
#[test]
fn a_closed_port_proves_nothing_else() {
    for (copies, working, attempt) in [(2, false, 1), (2, false, 2), (1, true, 1), (1, false, 0)] {
        let mut pair = Pair::new(config());
        let (call, first) = pair.ask_with(Request { patience: None, ..request("debit 10") });
        if copies == 2 {
            pair.pass_at_client(secs(2));
            assert_eq!(of_kind(&pair.client, "REQUEST").len(), 2);
        }
        if working {
            pair.at_server(&first);
            pair.pass_at_server(ms(100));
            let said = of_kind(&pair.server, "WORKING")[0].clone();
            pair.at_client(&said);
        }
        let kind = Kind::Refused { ran: Ran::Maybe, reason: Reason::PortClosed };
        pair.at_client(&Packet { kind, attempt, body: Bytes::new(), ..first });
        assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::Forgotten)));
    }
}

/// A call begins anew so many times, then it is said not to have run (R35).
#[test]
fn a_call_begins_anew_only_so_often() {
    let mut pair = Pair::new(config());
    let (call, mut sent) = pair.ask("debit 10");
    let kind = Kind::Refused { ran: Ran::Maybe, reason: Reason::PortClosed };
    for _ in 0..config().resends_max {
        let closed = Packet { kind, body: Bytes::new(), ..sent.clone() };
        sent = pair.at_client(&closed).pop().unwrap();
        assert_eq!(sent.attempt, 1);
    }
    pair.at_client(&Packet { kind, body: Bytes::new(), ..sent });
    assert_eq!(pair.outcome(call), Some(&Outcome::NotExecuted(NotExecuted::PortClosed)));
}

/// Without room for another client the least recently heard one leaves, if its time is over; if it is
/// not, strangers are put off (R35, R26).
#[test]
fn who_was_heard_least_recently_leaves_first() {
    let few = Config { clients_max: 4, windows_sum_max: 4 * 64, port_life: secs(8), ..config() };
    let mut pair = Pair::new(few);
    let ask = |pair: &mut Pair, process| {
        let target = Target::Port(pair.ipc_port());
        let request = Request { patience: Some(secs(1)), ..request("debit 10") };
        let process = ProcessId(process);
        pair.client.site.send_request(pair.now, process, &target, request).unwrap();
        let sent = pair.client.drain().pop().unwrap();
        let challenge = pair.at_server(&sent);
        let Some(Kind::Challenge { .. }) = challenge.first().map(|it| it.kind) else {
            return (sent, challenge);
        };
        let sent = pair.at_client(&challenge[0]).pop().unwrap();
        let answers = pair.at_server(&sent);
        (sent, answers)
    };
    let first = ask(&mut pair, 1).0;
    for process in 2..=4 {
        pair.pass_at_server(ms(10));
        assert_eq!(names(&ask(&mut pair, process).1), [] as [&str; 0]);
    }
    while let Some(taken) = pair.take() {
        pair.reply(taken.call, "done");
    }
    assert_eq!(names(&ask(&mut pair, 5).1), ["BUSY"]);
    pair.pass_at_server(secs(30));
    ask(&mut pair, 6);
    pair.pass_at_server(secs(1));
    assert!(pair.server.count(Note::Evicted) > 0);
    assert_eq!(refused(&pair.answer(&first)), (Ran::Maybe, Reason::PortClosed));
    assert_eq!(names(&ask(&mut pair, 7).1), [] as [&str; 0]);
}

/// To an address that nobody vouches for go at most three times the bytes that came from it, whatever
/// it asks and however long the reply is (R36).
#[test]
fn a_stranger_gets_three_times_its_bytes_at_most() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let stranger = ([192, 0, 2, 1], 53).into();
    let (mut came, mut went) = (0, 0);
    let mut give = |pair: &mut Pair, packet: &Packet| {
        came += bytes(packet).len();
        let answers = pair.server.give(pair.now, stranger, packet);
        went += answers.iter().map(|packet| bytes(packet).len()).sum::<usize>();
        assert!(went <= 3 * came, "{went} for {came}");
    };
    give(&mut pair, &first);
    pair.pass_at_server(ms(100));
    let taken = pair.take().unwrap();
    let long = Bytes::from(vec![b'x'; 1000]);
    pair.server.site.send_reply(pair.now, pair.port, taken.call, long).unwrap();
    pair.server.drain();
    let unasked: usize = pair.server.sent.iter().map(|(_, packet)| bytes(packet).len()).sum();
    assert!(unasked <= 3 * bytes(&first).len(), "{unasked}");
    for attempt in 2..40 {
        let kind = Kind::Heartbeat { floor: 1, token: Token::NONE };
        give(&mut pair, &Packet { kind, attempt: 0, body: Bytes::new(), ..first.clone() });
        give(&mut pair, &Packet { attempt, ..first.clone() });
        let kind = Kind::Abort { floor: 1, token: Token::NONE };
        give(&mut pair, &Packet { kind, attempt: 0, body: Bytes::new(), ..first.clone() });
    }
}

/// A long reply to a stranger is challenged; with the token it comes, and the next call needs no more
/// (R36).
#[test]
fn a_token_brings_a_long_reply() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    pair.at_server(&first);
    let taken = pair.take().unwrap();
    let long = Bytes::from(vec![b'x'; 1000]);
    pair.server.site.send_reply(pair.now, pair.port, taken.call, long.clone()).unwrap();
    let challenge = pair.server.drain().pop().unwrap();
    assert_eq!((challenge.kind.name(), challenge.attempt), ("CHALLENGE", 1));
    let second = pair.at_client(&challenge).pop().unwrap();
    assert_eq!(second.attempt, 2);
    let reply = pair.answer(&second);
    pair.at_client(&reply);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply(long.clone())));
    let (_, third) = pair.ask("debit 20");
    pair.at_server(&third);
    let taken = pair.take().unwrap();
    pair.server.site.send_reply(pair.now, pair.port, taken.call, long).unwrap();
    assert_eq!(names(&pair.server.drain()), ["REPLY"]);
    assert_eq!(pair.server.count(Note::Executed), 2);
}

/// A challenge is heeded once a call, and only if it answers the newest copy: else anybody could make a
/// client send (R36, R11).
#[test]
fn a_challenge_is_heeded_once() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let challenge = |attempt, issued| Packet {
        kind: Kind::Challenge { token: Token { issued, mac: 7 } },
        attempt,
        body: Bytes::new(),
        ..first.clone()
    };
    assert_eq!(pair.at_client(&challenge(0, 1)), []);
    let sent = pair.at_client(&challenge(1, 2));
    let Kind::Request { token, .. } = sent[0].kind else { panic!("{}", sent[0]) };
    assert_eq!((sent.len(), sent[0].attempt, token), (1, 2, Token { issued: 2, mac: 7 }));
    assert_eq!(pair.at_client(&challenge(2, 3)), []);
    pair.pass_at_client(secs(4));
    let last = &pair.client.sent.last().unwrap().1;
    assert!(matches!(last.kind, Kind::Request { token: Token { issued: 3, .. }, .. }));
}

/// Many strangers: one without a token is challenged, and nothing of it stays behind; with a token it
/// is taken (R36).
#[test]
fn a_challenged_copy_leaves_nothing_behind() {
    let mut pair = Pair::new(Config { clients_max: 1, windows_sum_max: 64, ..config() });
    let (_, first) = pair.ask("debit 10");
    pair.at_server(&first);
    let mut other = first.clone();
    other.client.port.0 ^= 1;
    let before = pair.server.site.entries();
    assert_eq!(pair.answer(&other).kind.name(), "CHALLENGE");
    let kind = Kind::Abort { floor: 1, token: Token::NONE };
    let abort = Packet { kind, attempt: 0, body: Bytes::new(), ..other };
    assert_eq!(pair.answer(&abort).kind, Kind::Aborted { fate: Fate::Maybe });
    assert_eq!(pair.server.site.entries(), before);
}

/// A token holds for one address, one site, and some time (R36).
#[test]
fn a_token_is_for_one_address_and_some_time() {
    let mut pair = Pair::new(Config { clients_max: 1, windows_sum_max: 64, ..config() });
    let (_, first) = pair.ask("debit 10");
    let reply = pair.run(&first);
    let Kind::Reply { grant, .. } = reply.kind else { panic!("{reply}") };
    let mut other = first.clone();
    other.client.port.0 ^= 1;
    if let Kind::Request { token, .. } = &mut other.kind {
        *token = grant.token;
    }
    let (here, elsewhere) = (pair.client.address, ([10, 0, 0, 99], 7373).into());
    let challenged = |pair: &mut Pair, from, packet: &Packet| {
        pair.server.give(pair.now, from, packet)[0].kind.name() == "CHALLENGE"
    };
    assert!(!challenged(&mut pair, here, &other));
    assert!(challenged(&mut pair, elsewhere, &other));
    let mut forged = other.clone();
    forged.client.site.0 += 1;
    assert!(challenged(&mut pair, here, &forged));
    pair.now.running += config().token_max + ms(1);
    assert!(challenged(&mut pair, here, &other));
}

/// A client that moved asks from its new address after a reply that is kept: it is given a token there,
/// and with it the reply (R36).
#[test]
fn a_client_that_moved_is_found_again() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    pair.at_server(&first);
    pair.pass(ms(100));
    let working = of_kind(&pair.server, "WORKING")[0].clone();
    pair.at_client(&working);
    let taken = pair.take().unwrap();
    pair.reply(taken.call, "done");
    pair.client.address = ([10, 0, 7, 7], 7373).into();
    pair.pass_at_client(secs(2));
    let heartbeat = of_kind(&pair.client, "HEARTBEAT")[0].clone();
    let challenge = pair.answer(&heartbeat);
    assert_eq!(pair.server.sent.last().unwrap().0, pair.client.address);
    let heartbeat = pair.at_client(&challenge).pop().unwrap();
    let reply = pair.answer(&heartbeat);
    assert_eq!(pair.server.sent.last().unwrap().0, pair.client.address);
    pair.at_client(&reply);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply("done".into())));
}

/// Pretended clients without tokens fill half of the records at most: whoever comes then is challenged,
/// not put off, and with its token there is room (R36).
#[test]
fn half_of_the_records_is_for_validated_addresses() {
    let mut pair = Pair::new(Config { records_max: 64, ..config() });
    let (_, first) = pair.ask("debit 10");
    let mut greedy = first.clone();
    greedy.client.port.0 ^= 1;
    for seq in 1..=64 {
        greedy.seq = seq;
        pair.at_server(&greedy);
    }
    assert_eq!(pair.server.site.entries().records, 33);
    let challenge = pair.answer(&first);
    assert_eq!(challenge.kind.name(), "CHALLENGE");
    let again = pair.at_client(&challenge)[0].clone();
    assert_eq!(names(&pair.at_server(&again)), [] as [&str; 0]);
    assert_eq!(pair.server.site.entries().records, 34);
}
