//! The client's half, rule by rule: R2 to R5, R8, R9, R11 to R19.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::time::Duration;

use unavez::protocol::{
    BODY_MAX, Config, Flags, Kind, NotExecuted, Note, Outcome, ProcessId, Ran, Reason, Request,
    Target, Unknown,
};

use crate::pair::{ASKS, Pair, config, floor, ms, names, of_kind, request, secs};

/// Nobody answers a call that waits as long as the server works: it ends when its copies are sent (R2).
#[test]
fn a_call_without_patience_ends_when_nobody_answers() {
    let mut pair = Pair::new(config());
    let (call, _) = pair.ask_with(Request { patience: None, ..request("debit 10") });
    pair.pass_at_client(config().accept_max);
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::ServerUnreachable)));
}

/// BUSY comes for ever: the call still ends, `accept_max` after it was made (R2).
#[test]
fn a_call_without_patience_is_not_put_off_for_ever() {
    let mut pair = Pair::new(Config { records_max: 0, ..config() });
    let (call, first) = pair.ask_with(Request { patience: None, ..request("debit 10") });
    let busy = pair.answer(&first);
    for _ in 0..config().accept_max.as_secs() {
        assert_eq!(pair.outcome(call), None);
        pair.at_client(&busy);
        pair.pass_at_client(secs(1));
    }
    assert!(pair.outcome(call).is_some());
}

/// The patience ends: so does the call, at that moment (R2), and silence proves nothing (R3).
#[test]
fn a_call_ends_with_its_patience() {
    let mut pair = Pair::new(config());
    let (call, _) = pair.ask("debit 10");
    pair.pass_at_client(ms(9_999));
    assert_eq!(pair.outcome(call), None);
    pair.pass_at_client(ms(1));
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::TimedOut)));
}

/// The kernel refuses each copy: the call did not run, and that is proved (R3).
#[test]
fn copies_that_never_left_prove() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    pair.client.site.handle_unsent(&first, false);
    while pair.outcome(call).is_none() {
        let sent = pair.client.sent.len();
        pair.pass_at_client(ms(100));
        for (_, packet) in &pair.client.sent[sent..] {
            pair.client.site.handle_unsent(packet, false);
        }
    }
    assert_eq!(pair.outcome(call), Some(&Outcome::NotExecuted(NotExecuted::Unsendable)));
}

/// The same, but ECONNREFUSED came once: it speaks of an earlier datagram, so one did leave (R3).
#[test]
fn a_refusal_by_the_peer_proves_nothing() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    pair.client.site.handle_unsent(&first, true);
    pair.pass_at_client(secs(10));
    assert!(matches!(pair.outcome(call), Some(Outcome::Unknown(_))));
}

/// The first copy left and the second did not: the first may have run (R3).
#[test]
fn one_copy_that_left_may_have_run() {
    let mut pair = Pair::new(config());
    let (call, _) = pair.ask("debit 10");
    pair.pass_at_client(secs(2));
    let second = pair.client.sent.last().unwrap().1.clone();
    assert_eq!(second.attempt, 2);
    pair.client.site.handle_unsent(&second, false);
    pair.client.site.cancel(pair.now, call);
    pair.client.drain();
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::Cancelled)));
}

/// Nothing goes wrong: two datagrams, the first call to a server included, and none to acknowledge the
/// reply (R4). The name costs two more, once.
#[test]
fn a_short_call_costs_two_packets() {
    let mut pair = Pair::new(config());
    for _ in 0..2 {
        let (call, first) = pair.ask("debit 10");
        let reply = pair.run(&first);
        assert_eq!(pair.at_client(&reply), []);
        assert_eq!(pair.outcome(call), Some(&Outcome::Reply("done".into())));
    }
    assert_eq!((pair.client.sent.len(), pair.server.sent.len()), (2, 2));
    for packets in [4, 5] {
        let (_, sent) = pair.ask_for(&pair.by_name("bank"), request("debit 10")).unwrap();
        let mut sent = sent[0].clone();
        if sent.server.port.0 == 0 {
            let resolved = pair.answer(&sent);
            sent = pair.at_client(&resolved)[0].clone();
        }
        let reply = pair.run(&sent);
        pair.at_client(&reply);
        assert_eq!(pair.client.sent.len(), packets);
    }
}

/// The longest name that a site can be set to take fits the request that asks for it (R10).
#[test]
fn the_longest_name_fits_a_datagram() {
    // Which request, and how long the name is.
    let longest = BODY_MAX - 12;
    let mut pair = Pair::new(Config { name_max: longest, ..config() });
    let name = "x".repeat(longest);
    pair.serve(&name);
    let (_, sent) = pair.ask_for(&pair.by_name(&name), request("debit 10")).unwrap();
    assert_eq!(pair.answer(&sent[0]).kind.name(), "REPLY");
    let longer = Config { name_max: longest + 1, ..config() };
    assert!(catch_unwind(|| Pair::new(longer)).is_err());
}

/// A year is the longest duration that a site can be tuned by; with some of them all clocks go on.
#[test]
fn no_duration_is_too_long_for_a_clock() {
    let set = |it: Duration| Config {
        rto_initial: it,
        rto_max: it,
        backoff_max: it,
        accept_max: it,
        patience_kept_max: it,
        drain_time: it,
        port_life_max: it,
        token_max: it,
        ..config()
    };
    let mut pair = Pair::new(set(secs(366 * 24 * 3600)));
    let (_, first) = pair.ask_with(Request { patience: None, ..request("debit 10") });
    let reply = pair.run(&first);
    pair.at_client(&reply);
    pair.pass(secs(10));
    assert!(catch_unwind(|| Pair::new(set(Duration::MAX))).is_err());
}

/// Nothing goes on: no deadline, once the life has lasted for a packet's. A call comes and is over, its time passes: again none (R5).
#[test]
fn an_idle_site_has_no_deadline() {
    let mut pair = Pair::new(config());
    pair.pass(config().packet_lifetime + secs(1));
    assert_eq!((pair.client.site.deadline(), pair.server.site.deadline()), (None, None));
    let (_, first) = pair.ask("debit 10");
    let reply = pair.run(&first);
    pair.at_client(&reply);
    pair.pass(config().port_life_max + secs(60));
    assert_eq!((pair.client.site.deadline(), pair.server.site.deadline()), (None, None));
    assert_eq!(pair.server.site.entries(), Default::default());
    assert_eq!(pair.client.site.entries(), Default::default());
}

/// Ports of servers are counted up, those of clients are drawn, another one for each process; no more
/// than a few digits of it are shown (R8).
#[test]
fn a_port_is_never_used_again_and_a_client_port_is_drawn() {
    let mut pair = Pair::new(config());
    let before = pair.port;
    pair.server.site.close_port(pair.now, before);
    assert!(pair.serve("again") > before);
    let mut drawn = BTreeSet::new();
    for process in 1..=100 {
        let target = Target::Port(pair.ipc_port());
        let process = ProcessId(process);
        pair.client.site.send_request(pair.now, process, &target, request("debit 10")).unwrap();
        drawn.insert(pair.client.drain()[0].client.port.0);
    }
    assert_eq!(drawn.len(), 100);
    let high = drawn.iter().fold(0, |bits, port| bits | port >> 32);
    assert_eq!(high, u64::from(u32::MAX), "all bits are drawn");
    let (_, packet) = pair.ask("debit 10");
    let whole = format!("{:016x}", packet.client.port.0);
    assert!(!format!("{packet} {packet:?}").contains(&whole));
}

/// Copies leave after a second, then after twice as long each, half as long again at most, until there
/// were enough (R11).
#[test]
fn copies_leave_at_growing_intervals() {
    let mut pair = Pair::new(config());
    let patience = Some(secs(100));
    let (call, _) = pair.ask_with(Request { patience, ..request("debit 10") });
    let mut times = vec![0];
    for at in 1..100_000 {
        let sent = pair.client.sent.len();
        pair.pass_at_client(ms(1));
        if pair.client.sent.len() > sent && pair.outcome(call).is_none() {
            times.push(at);
        }
    }
    assert_eq!(times.len() as u32, 1 + config().retransmits_max);
    let gaps = times.windows(2).map(|it| it[1] - it[0]);
    for (gap, least) in gaps.zip([1000, 2000, 4000, 8000, 8000, 8000, 8000]) {
        assert!((least..=least * 3 / 2 + 1).contains(&gap), "{gap} for {least}");
    }
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::ServerUnreachable)));
    let attempts: Vec<u32> = of_kind(&pair.client, "REQUEST").iter().map(|it| it.attempt).collect();
    assert_eq!(attempts, (1..=1 + config().retransmits_max).collect::<Vec<_>>());
}

/// No answer makes a copy leave earlier than its timer would: not BUSY, not NO_CALL (R11).
#[test]
fn no_answer_hurries_a_copy() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    for kind in [Kind::NoCall, Kind::Busy { after: 0 }] {
        let answer = unavez::protocol::Packet { kind, body: Default::default(), ..first.clone() };
        assert_eq!(pair.at_client(&answer), []);
    }
    pair.pass_at_client(ms(999));
    assert_eq!(pair.client.sent.len(), 1);
}

/// A server without room answers each copy: the client goes on asking at its first pace, which only silence
/// doubles (R11). Else the next of many ordered calls would be asked for seconds after its turn has come.
#[test]
fn an_answer_ends_the_doubling() {
    let mut pair = Pair::new(Config { records_max: 0, ..config() });
    let (_, first) = pair.ask("debit 10");
    let busy = pair.answer(&first);
    for attempt in 2..=6 {
        pair.at_client(&busy);
        pair.pass_at_client(ms(1501));
        assert!(pair.client.sent.last().unwrap().1.attempt >= attempt);
    }
}

/// A service of 300 ms over a path of 20 ms, after a lost copy: the sample is the path's (R12).
#[test]
fn the_service_is_no_part_of_a_sample() {
    let mut pair = Pair::new(config());
    pair.ask("debit 10");
    pair.pass_at_client(ms(1700));
    let second = pair.client.sent.last().unwrap().1.clone();
    assert_eq!(second.attempt, 2);
    let sent = of_kind(&pair.client, "REQUEST").len();
    pair.pass(ms(10));
    pair.at_server(&second);
    let taken = pair.take().unwrap();
    pair.pass(ms(300));
    let [reply] = pair.reply(taken.call, "done").try_into().unwrap();
    assert_eq!(of_kind(&pair.client, "REQUEST").len(), sent);
    pair.pass(ms(10));
    pair.at_client(&reply);
    let [(_, smoothed, _)] = pair.client.site.round_trips()[..] else { panic!("one sample") };
    assert!(smoothed < ms(800), "{smoothed:?}");
}

/// The patience ends: the server is told, and the caller does not wait for it (R13).
#[test]
fn the_end_of_the_patience_is_told() {
    let mut pair = Pair::new(config());
    let (call, _) = pair.ask("debit 10");
    pair.pass_at_client(secs(10));
    assert_eq!(of_kind(&pair.client, "ABORT").len(), 1);
    assert!(pair.outcome(call).is_some());
}

/// A caller who wants to know waits for one period, and the ABORT is repeated once in it (R13).
#[test]
fn a_caller_who_wants_to_know_waits_a_period() {
    let mut pair = Pair::new(config());
    let (call, _) = pair.ask_with(Request { flags: Flags::CERTAIN, ..request("debit 10") });
    pair.pass_at_client(secs(10));
    assert_eq!((of_kind(&pair.client, "ABORT").len(), pair.outcome(call)), (1, None));
    pair.pass_at_client(config().heartbeat_every / 2);
    assert_eq!((of_kind(&pair.client, "ABORT").len(), pair.outcome(call)), (2, None));
    pair.pass_at_client(config().heartbeat_every / 2);
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::TimedOut)));
    assert_eq!(of_kind(&pair.client, "ABORT").len(), 2);
}

/// The machine slept for longer than the patience: not one copy leaves when it wakes (R14).
#[test]
fn after_a_long_sleep_nothing_is_sent_again() {
    let mut pair = Pair::new(config());
    let (call, _) = pair.ask("debit 10");
    pair.now.boot += secs(11);
    pair.pass_at_client(secs(2));
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::TimedOut)));
    assert_eq!(of_kind(&pair.client, "REQUEST").len(), 1);
}

/// Each packet carries the lowest number that has not ended, and none above its own (R15).
#[test]
fn every_packet_carries_the_floor() {
    let mut pair = Pair::new(config());
    let (first, second) = (pair.ask("debit 10").1, pair.ask("debit 20").1);
    assert_eq!((floor(&first), floor(&second)), (1, 1));
    let reply = pair.run(&first);
    pair.at_client(&reply);
    assert_eq!(floor(&pair.ask("debit 30").1), 2);
    let reply = pair.run(&second);
    pair.at_client(&reply);
    pair.pass_at_client(secs(2));
    let again = pair.client.sent.last().unwrap().1.clone();
    assert_eq!((again.seq, floor(&again)), (3, 3));
}

/// WORKING ends the copies, and HEARTBEATs begin, at the period that the server wants (R16).
#[test]
fn working_ends_copies_and_begins_heartbeats() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask_with(Request { patience: None, ..request("debit 10") });
    pair.at_server(&first);
    pair.pass(ms(100));
    let working = of_kind(&pair.server, "WORKING")[0].clone();
    pair.at_client(&working);
    pair.pass_at_client(config().heartbeat_every * 3 / 2);
    assert_eq!(of_kind(&pair.client, "HEARTBEAT").len(), 1);
    pair.pass_at_client(secs(20));
    assert_eq!(of_kind(&pair.client, "REQUEST").len(), 1);
    let missed = config().heartbeats_missed_max as usize;
    assert_eq!(of_kind(&pair.client, "HEARTBEAT").len(), missed);
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::ServerUnreachable)));
}

/// A process that asked dies: its open calls are called off at the server (R16).
#[test]
fn the_death_of_a_caller_is_told() {
    let mut pair = Pair::new(config());
    pair.pass(config().packet_lifetime + secs(1));
    pair.ask("debit 10");
    pair.ask("debit 20");
    pair.client.site.end_process(pair.now, ASKS);
    assert_eq!(names(&pair.client.drain()), ["ABORT", "ABORT"]);
    assert_eq!(pair.client.site.entries(), Default::default());
}

/// A late copy of a reply, one to another life, one from another life of the server: dropped (R17).
#[test]
fn an_answer_that_names_no_open_call_is_dropped() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    let reply = pair.run(&first);
    let mut to_another_life = reply.clone();
    to_another_life.client.epoch.random += 1;
    let mut from_another_life = reply.clone();
    from_another_life.server.epoch.random += 1;
    let mut from_another_port = reply.clone();
    from_another_port.server.port.0 += 1;
    let mut to_another_port = reply.clone();
    to_another_port.client.port.0 ^= 1;
    for other in [to_another_life, from_another_life, from_another_port, to_another_port] {
        pair.at_client(&other);
        assert_eq!(pair.outcome(call), None);
    }
    pair.at_client(&reply);
    assert!(pair.outcome(call).is_some());
    pair.at_client(&reply);
    assert_eq!(pair.client.ended.len(), 1);
    assert_eq!(pair.client.count(Note::Orphan), 4);
    assert_eq!(pair.client.count(Note::OtherLife), 1);
}

/// NO_CALL after WORKING: the server knows nothing of it any more, and it is not sent again (R18).
#[test]
fn no_call_after_working_ends_the_call() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    let no_call =
        unavez::protocol::Packet { kind: Kind::NoCall, body: Default::default(), ..first.clone() };
    pair.at_client(&no_call);
    assert_eq!(pair.outcome(call), None);
    pair.at_server(&first);
    pair.pass(ms(100));
    let working = of_kind(&pair.server, "WORKING")[0].clone();
    pair.at_client(&working);
    assert_eq!(pair.at_client(&no_call), []);
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::ServerDied)));
}

/// The floor passes a call only when its process was told how it ended (R19).
#[test]
fn the_floor_passes_no_call_that_its_process_does_not_know_of() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let _lost = pair.run(&first);
    assert_eq!(floor(&pair.ask("debit 20").1), 1);
    let reply = pair.answer(&first);
    pair.at_client(&reply);
    assert_eq!(pair.client.ended.len(), 1);
    assert_eq!(floor(&pair.ask("debit 30").1), 2);
}

/// Only `ran = no` proves: the same refusal with `maybe` does not (R3).
#[test]
fn a_refusal_proves_only_if_it_says_so() {
    for (ran, proves) in [(Ran::No, true), (Ran::Maybe, false)] {
        let mut pair = Pair::new(config());
        let (call, first) = pair.ask("debit 10");
        let kind = Kind::Refused { ran, reason: Reason::ServerDied };
        let body = Default::default();
        pair.at_client(&unavez::protocol::Packet { kind, body, ..first });
        assert_eq!(matches!(pair.outcome(call), Some(Outcome::NotExecuted(_))), proves);
        assert!(pair.outcome(call).is_some());
    }
}
