//! The server's half, rule by rule: R1, R20 to R28, R30 to R34.

use bytes::Bytes;
use unavez::protocol::{
    Config, Fate, Flags, Kind, Note, Outcome, Packet, Ran, Reason, Request, Unknown,
};

use crate::pair::{Pair, SERVES, config, ms, names, of_kind, refused, request, secs};

/// Copies come before the service, in it, after it and when all is forgotten: it runs once (R1).
#[test]
fn a_call_runs_once_whatever_copies_come() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    pair.at_server(&first);
    pair.at_server(&first);
    let taken = pair.take().unwrap();
    pair.at_server(&first);
    assert_eq!(pair.take(), None);
    pair.reply(taken.call, "done");
    pair.at_server(&first);
    pair.pass_at_server(secs(60));
    pair.at_server(&first);
    pair.pass_at_server(config().port_life_max + secs(60));
    pair.at_server(&first);
    assert_eq!(pair.take(), None);
    assert_eq!(pair.server.count(Note::Executed), 1);
}

/// The port is closed after the call ran: a copy is not told that nobody serves there (R20).
#[test]
fn a_closed_port_does_not_deny_a_call_that_ran() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    pair.run(&first);
    pair.server.site.close_port(pair.now, pair.port);
    assert_eq!(pair.answer(&first).kind.name(), "REPLY");
    let (_, second) = pair.ask("debit 20");
    assert_eq!(refused(&pair.answer(&second)), (Ran::No, Reason::NoSuchPort));
}

/// A request counts as run before its process sees a byte of it: an ABORT then stops nothing (R20).
#[test]
fn what_was_handed_over_counts_as_run() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    pair.at_server(&first);
    pair.take().unwrap();
    pair.client.site.cancel(pair.now, call);
    let abort = pair.client.drain().pop().unwrap();
    assert_eq!(pair.answer(&abort).kind, Kind::Aborted { fate: Fate::Stopping });
}

/// A copy of a call that waits, or is in service, is acknowledged at once (R21).
#[test]
fn a_duplicate_in_service_is_acknowledged() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    assert_eq!(pair.at_server(&first), []);
    assert_eq!(names(&pair.at_server(&first)), ["WORKING"]);
    pair.take().unwrap();
    assert_eq!(names(&pair.at_server(&first)), ["WORKING"]);
}

/// Nobody waits any more for a request that waits: it is not begun, and a copy hears so (R21).
#[test]
fn a_request_nobody_waits_for_is_not_begun() {
    let mut pair = Pair::new(config());
    let patience = Some(secs(3));
    let (_, first) = pair.ask_with(Request { patience, ..request("debit 10") });
    pair.at_server(&first);
    pair.now.running += secs(3);
    assert_eq!(pair.take(), None);
    assert_eq!(refused(&pair.answer(&first)), (Ran::No, Reason::Expired));
}

/// A copy gets the kept reply, where the newest copy came from; an older copy changes nothing (R22).
#[test]
fn a_duplicate_gets_the_kept_reply_where_the_newest_came_from() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let second = Packet { attempt: 2, ..first.clone() };
    let (old, new) = (pair.client.address, ([10, 9, 9, 9], 99).into());
    let reply = pair.run(&first);
    let again = pair.server.give(pair.now, new, &second);
    assert_eq!((again[0].attempt, &again[0].body), (2, &reply.body));
    assert_eq!(pair.server.sent.last().unwrap().0, new);
    pair.server.give(pair.now, old, &first);
    assert_eq!(pair.server.sent.last().unwrap().0, new);
    assert_eq!(pair.server.count(Note::Executed), 1);
}

/// A reply is kept for the patience and the life of a packet, and a little for clocks that differ; not
/// for longer (R23).
#[test]
fn a_reply_is_kept_for_the_patience_and_the_life_of_a_packet() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    pair.run(&first);
    pair.pass_at_server(secs(10) + config().packet_lifetime);
    assert_eq!(pair.answer(&first).kind.name(), "REPLY");
    pair.pass_at_server(secs(1));
    assert_eq!(refused(&pair.answer(&first)), (Ran::Maybe, Reason::Forgotten));
}

/// Once WORKING was said, the client may ask for as long as it takes it to give up (R23).
#[test]
fn a_reply_is_kept_for_whoever_asks_after_it() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask_with(Request { patience: Some(ms(500)), ..request("debit 10") });
    pair.at_server(&first);
    let taken = pair.take().unwrap();
    pair.pass_at_server(secs(60));
    pair.reply(taken.call, "done");
    let asked = config().heartbeat_every * config().heartbeats_missed_max;
    pair.pass_at_server(asked + config().packet_lifetime);
    assert_eq!(pair.answer(&first).kind.name(), "REPLY");
}

/// All that is kept is due, but the queue was never found empty: nothing is forgotten, for a copy may
/// wait in it. Found empty twice, some time apart, it is (R23).
#[test]
fn nothing_is_forgotten_before_the_queue_was_found_empty() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    pair.run(&first);
    let early = pair.now;
    pair.now.running += secs(60);
    for _ in 0..3 {
        pair.server.site.handle_timeout(pair.now);
        pair.server.site.handle_drained(early);
        pair.now.running += secs(1);
    }
    assert_eq!(pair.server.site.entries().records, 1);
    pair.server.site.handle_drained(pair.now);
    pair.now.running += config().drain_time - ms(1);
    pair.server.site.handle_drained(pair.now);
    assert_eq!(pair.server.site.entries().records, 1);
    pair.now.running += ms(1);
    pair.server.site.handle_drained(pair.now);
    assert_eq!(pair.server.site.entries().records, 0);
}

/// The next request says that the client has the reply before it, which goes at once (R24); what waits
/// below the floor goes, too, and what is in service when it ends.
#[test]
fn the_floor_frees() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let reply = pair.run(&first);
    let (served, second) = pair.ask("debit 20");
    pair.at_server(&second);
    let taken = pair.take().unwrap();
    let (waiting, third) = pair.ask("debit 30");
    pair.at_server(&third);
    assert_eq!(pair.server.site.entries().records, 3);
    pair.at_client(&reply);
    pair.client.site.cancel(pair.now, served);
    pair.client.site.cancel(pair.now, waiting);
    pair.client.drain();
    let (_, fourth) = pair.ask("debit 40");
    pair.at_server(&fourth);
    assert_eq!(pair.server.site.entries().records, 2);
    assert_eq!(pair.server.count(Note::FreedByFloor), 2);
    pair.reply(taken.call, "done");
    assert_eq!(pair.server.site.entries().records, 1);
}

/// Forgetting the reply is not forgetting the call: below the floor, and above it, a late copy is
/// refused (R25).
#[test]
fn a_forgotten_call_is_refused() {
    let mut pair = Pair::new(config());
    let (first, second) = (pair.ask("debit 10").1, pair.ask("debit 20").1);
    let reply = pair.run(&first);
    pair.run(&second);
    pair.at_client(&reply);
    let (_, third) = pair.ask("debit 30");
    pair.at_server(&third);
    assert_eq!(refused(&pair.answer(&first)), (Ran::Maybe, Reason::Forgotten));
    pair.pass_at_server(secs(60));
    assert_eq!(refused(&pair.answer(&second)), (Ran::Maybe, Reason::Forgotten));
    assert_eq!(pair.server.count(Note::Executed), 2);
}

/// No room for a record, or for the bytes of a reply: BUSY, and nothing is marked (R26). The client has a
/// token, or it would be challenged.
#[test]
fn without_room_a_request_is_put_off() {
    for (records_max, bytes_max) in [(1, usize::MAX), (9, unavez::protocol::BODY_MAX)] {
        let mut pair = Pair::new(Config { records_max, bytes_max, ..config() });
        let (_, before) = pair.ask("debit 5");
        let reply = pair.run(&before);
        pair.at_client(&reply);
        let (_, first) = pair.ask("debit 10");
        let (_, second) = pair.ask("debit 20");
        pair.at_server(&first);
        assert_eq!(pair.answer(&second).kind.name(), "BUSY");
        let taken = pair.take().unwrap();
        assert_eq!(pair.take(), None);
        let [reply] = pair.reply(taken.call, "done").try_into().unwrap();
        pair.at_client(&reply);
        let again = pair.ask("debit 30").1;
        assert_eq!(names(&pair.at_server(&again)), [] as [&str; 0]);
    }
}

/// A client that uses half of its window gets a larger one if it showed a token, as long as the sum of all
/// leaves the first window to every stranger (R26).
#[test]
fn a_window_that_is_used_grows() {
    let strangers = 64 * config().clients_max as u64;
    for (shows_token, windows_sum_max, expected) in
        [(true, strangers + 64, 128), (true, strangers + 63, 64), (false, strangers + 64, 64)]
    {
        let mut pair = Pair::new(Config { windows_sum_max, window_max: 1024, ..config() });
        if shows_token {
            let (_, first) = pair.ask("debit 10");
            let reply = pair.run(&first);
            pair.at_client(&reply);
        }
        let packets: Vec<Packet> = (0..40).map(|_| pair.ask("debit 10").1).collect();
        packets.iter().for_each(|packet| assert_eq!(pair.at_server(packet), []));
        let taken = pair.take().unwrap();
        let [reply] = pair.reply(taken.call, "done").try_into().unwrap();
        let Kind::Reply { grant, .. } = reply.kind else { panic!("{reply}") };
        assert_eq!(grant.window, expected);
    }
}

/// WORKING is said before the client would send again, by the time that it named (R27).
#[test]
fn working_is_said_before_the_client_sends_again() {
    for (rto, due) in [(100, 50), (1000, 100)] {
        let mut pair = Pair::new(config());
        let (_, mut first) = pair.ask("debit 10");
        if let Kind::Request { rto: it, .. } = &mut first.kind {
            *it = rto;
        }
        pair.at_server(&first);
        pair.pass_at_server(ms(due - 1));
        assert_eq!(pair.server.sent, []);
        pair.pass_at_server(ms(1));
        assert_eq!(of_kind(&pair.server, "WORKING").len(), 1);
    }
}

/// A HEARTBEAT is answered for its own call: in service, replied, forgotten, or never seen (R28).
#[test]
fn a_heartbeat_is_answered_for_its_own_call() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let token = unavez::protocol::Token::NONE;
    let heartbeat = |seq| {
        let kind = Kind::Heartbeat { floor: 1, token };
        Packet { kind, attempt: 0, seq, body: Bytes::new(), ..first.clone() }
    };
    assert_eq!(pair.answer(&heartbeat(1)).kind, Kind::NoCall);
    pair.at_server(&first);
    assert_eq!(pair.answer(&heartbeat(1)).kind.name(), "WORKING");
    assert_eq!(pair.answer(&heartbeat(2)).kind, Kind::NoCall);
    let taken = pair.take().unwrap();
    assert_eq!(pair.answer(&heartbeat(1)).kind.name(), "WORKING");
    pair.reply(taken.call, "done");
    assert_eq!(pair.answer(&heartbeat(1)).kind.name(), "REPLY");
    pair.pass_at_server(secs(120));
    let forgotten = pair.answer(&heartbeat(1));
    assert_eq!(refused(&forgotten), (Ran::Maybe, Reason::Forgotten));
    assert_eq!(forgotten.attempt, 0);
}

/// A process dies: what waited for it did not run, what it had in hand nobody knows; the site does not
/// vouch for it (R28).
#[test]
fn the_death_of_a_process_ends_its_calls() {
    let mut pair = Pair::new(config());
    let (first, second) = (pair.ask("debit 10").1, pair.ask("debit 20").1);
    pair.at_server(&first);
    pair.at_server(&second);
    pair.take().unwrap();
    pair.server.site.end_process(pair.now, SERVES);
    let mut told = pair.server.drain();
    told.sort_by_key(|packet| packet.seq);
    assert_eq!(refused(&told[0]), (Ran::Maybe, Reason::ServerDied));
    assert_eq!(refused(&told[1]), (Ran::No, Reason::ServerDied));
    let kind = Kind::Heartbeat { floor: 1, token: unavez::protocol::Token::NONE };
    let heartbeat = Packet { kind, attempt: 0, body: Bytes::new(), ..first };
    assert_eq!(refused(&pair.answer(&heartbeat)), (Ran::Maybe, Reason::ServerDied));
}

/// Nothing comes of a client for long: its call in service is flagged once, and goes on; the one that
/// waits is dropped, and did not run (R30).
#[test]
fn a_silent_client_is_taken_for_gone() {
    let mut pair = Pair::new(config());
    let forever = |body| Request { patience: None, ..request(body) };
    let (first, second) = (pair.ask_with(forever("one")).1, pair.ask_with(forever("two")).1);
    pair.at_server(&first);
    let taken = pair.take().unwrap();
    pair.at_server(&second);
    pair.pass_at_server(config().orphan_after() - ms(1));
    assert_eq!(pair.server.cancelled, []);
    pair.pass_at_server(secs(60));
    assert_eq!(pair.server.cancelled, [taken.call]);
    assert_eq!(refused(&pair.answer(&second)), (Ran::No, Reason::Orphaned));
    assert_eq!(names(&pair.reply(taken.call, "done")), ["REPLY"]);
}

/// Another life of the client's site drops nothing of the former: which of the two is the late one,
/// nobody knows (R30).
#[test]
fn a_new_life_of_a_client_drops_nothing_of_the_former() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let mut other = first.clone();
    other.client.epoch.counter += 1;
    pair.at_server(&first);
    pair.at_server(&other);
    assert_eq!(
        (pair.take().unwrap().call, pair.take().unwrap().call),
        (first.call(), other.call())
    );
}

/// Another body, flag, port or predecessor under the same number: refused, and neither run nor given
/// the kept reply (R31).
#[test]
fn another_request_under_the_same_number_is_refused() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    let mut other = first.clone();
    if let Kind::Request { hash, .. } = &mut other.kind {
        *hash ^= 1;
    }
    let reply = pair.run(&first);
    let refusal = pair.answer(&other);
    assert_eq!(refused(&refusal), (Ran::Maybe, Reason::FalseRetry));
    pair.at_client(&refusal);
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::FalseRetry)));
    assert_eq!(pair.answer(&first).body, reply.body);
    let hashes: std::collections::BTreeSet<u64> = [
        request("debit 20"),
        Request { flags: Flags::IDEMPOTENT, ..request("debit 20") },
        request("debit 21"),
    ]
    .map(|request| match pair.ask_with(request).1.kind {
        Kind::Request { hash, .. } => hash,
        _ => 0,
    })
    .into();
    assert_eq!(hashes.len(), 3);
}

/// The reply is longer than the client takes: it is told that the service ran, again and again (R32).
#[test]
fn too_long_a_reply_says_that_the_service_ran() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask_with(Request { max_reply: 3, ..request("debit 10") });
    let refusal = pair.run(&first);
    assert_eq!(refused(&refusal), (Ran::Once, Reason::ReplyTooBig));
    assert_eq!(refused(&pair.answer(&first)), (Ran::Once, Reason::ReplyTooBig));
    pair.at_client(&refusal);
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::ReplyTooBig)));
}
