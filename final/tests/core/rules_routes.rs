//! Which port a call leaves by, and when (R9, R26).

use std::thread;

use unavez::protocol::{Config, NotExecuted, Outcome, Packet, Request, Target};

use crate::pair::{Pair, config, ms, names, of_kind, request, secs};

/// A port that was idle for half its life is given up, and its counter with it (R9).
#[test]
fn an_idle_client_port_is_given_up() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let reply = pair.run(&first);
    pair.at_client(&reply);
    pair.pass(config().port_life / 2 - ms(1));
    let (_, second) = pair.ask("debit 10");
    assert_eq!((second.client.port, second.seq), (first.client.port, 2));
    let reply = pair.run(&second);
    pair.at_client(&reply);
    pair.pass(config().port_life / 2);
    let (_, third) = pair.ask("debit 10");
    assert_ne!(third.client.port, first.client.port);
    assert_eq!(third.seq, 1);
}

/// A long call holds the window: the next calls leave by another port (R9, R26).
#[test]
fn a_pinned_window_draws_another_port() {
    let mut pair = Pair::new(Config { window: 64, window_max: 64, ..config() });
    let (_, first) = pair.ask_with(Request { patience: None, ..request("long") });
    pair.at_server(&first);
    for _ in 1..64 {
        pair.ask("debit 10");
    }
    let (_, held) = pair.ask_for(&Target::Port(pair.ipc_port()), request("held")).unwrap();
    assert_eq!(held, []);
    pair.pass_at_server(ms(100));
    let working = of_kind(&pair.server, "WORKING")[0].clone();
    let sent = pair.at_client(&working);
    assert_eq!(names(&sent), ["REQUEST"]);
    assert_ne!(sent[0].client.port, first.client.port);
}

/// What is beyond the window stays at home, and its patience may end there (R26).
#[test]
fn what_is_beyond_the_window_stays_at_home() {
    let mut pair = Pair::new(config());
    for _ in 0..64 {
        pair.ask("debit 10");
    }
    let target = Target::Port(pair.ipc_port());
    let patience = Some(secs(1));
    let last = Request { patience, ..request("debit 20") };
    let (call, sent) = pair.ask_for(&target, last).unwrap();
    assert_eq!(sent, []);
    pair.pass_at_client(secs(1));
    let never = NotExecuted::NeverSent;
    assert_eq!(pair.outcome(call), Some(&Outcome::NotExecuted(never)));
}

/// The machine stood still until the patience of all that wait at home was over, and a reply is looked at
/// before the timers are: each of them ends (R14), but not within the end of another.
#[test]
fn calls_that_waited_too_long_end_one_after_the_other() {
    // A stack that does not hold them all.
    let small = thread::Builder::new().stack_size(512 << 10);
    let done = small.spawn(|| {
        let mut pair = Pair::new(config());
        let sent: Vec<Packet> = (0..64).map(|_| pair.ask("debit 10").1).collect();
        let target = Target::Port(pair.ipc_port());
        for _ in 0..10_000 {
            let late = Request { patience: Some(secs(1)), ..request("debit 20") };
            pair.ask_for(&target, late).unwrap();
        }
        pair.now.running += secs(2);
        pair.now.boot += secs(2);
        // There is room when the first of them has ended.
        for packet in sent.iter().rev() {
            let reply = pair.run(packet);
            pair.at_client(&reply);
        }
        assert_eq!(pair.client.ended.len(), 10_064);
    });
    done.unwrap().join().unwrap();
}
