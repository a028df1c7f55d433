//! Calling off: R37, R38.

use bytes::Bytes;
use unavez::protocol::{
    Fate, Flags, Kind, NotExecuted, Note, Outcome, Packet, Ran, Reason, Request, Token, Unknown,
};

use crate::pair::{Pair, config, request, secs};

fn abort(first: &Packet, seq: u64, floor: u64) -> Packet {
    let kind = Kind::Abort { floor, token: Token::NONE };
    Packet { kind, seq, attempt: 0, body: Bytes::new(), ..first.clone() }
}

fn fate(packet: &Packet) -> Fate {
    match packet.kind {
        Kind::Aborted { fate } => fate,
        _ => panic!("{packet} is not ABORTED"),
    }
}

/// An ABORT overtakes its request, which is refused when it comes, even after the mark is but a bit
/// (R37).
#[test]
fn an_abort_that_overtakes_its_request_leaves_a_mark() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask_with(Request { flags: Flags::CERTAIN, ..request("debit 10") });
    pair.client.site.cancel(pair.now, call);
    let sent = pair.client.drain().pop().unwrap();
    let aborted = pair.answer(&sent);
    assert_eq!(fate(&aborted), Fate::NotRun);
    pair.at_client(&aborted);
    assert_eq!(pair.outcome(call), Some(&Outcome::NotExecuted(NotExecuted::Cancelled)));
    let refused = |ran, reason| Kind::Refused { ran, reason };
    assert_eq!(pair.answer(&first).kind, refused(Ran::No, Reason::Aborted));
    pair.pass_at_server(config().patience_kept_max + secs(60));
    assert_eq!(pair.answer(&first).kind, refused(Ran::Maybe, Reason::Forgotten));
    assert_eq!(pair.take(), None);
}

/// ABORT is answered by what became of the call, and a second one is answered alike (R38).
#[test]
fn an_abort_says_what_became_of_the_call() {
    let mut pair = Pair::new(config());
    let packets: Vec<Packet> = (0..3).map(|_| pair.ask("debit 10").1).collect();
    let replied = pair.run(&packets[0]);
    pair.at_server(&packets[1]);
    let serving = pair.take().unwrap();
    pair.at_server(&packets[2]);
    for _ in 0..2 {
        assert_eq!(pair.answer(&abort(&packets[0], 1, 1)).body, replied.body);
        assert_eq!(fate(&pair.answer(&abort(&packets[1], 2, 1))), Fate::Stopping);
        assert_eq!(fate(&pair.answer(&abort(&packets[2], 3, 1))), Fate::NotRun);
    }
    assert_eq!(pair.server.cancelled, [serving.call]);
    assert_eq!(pair.server.count(Note::Stopping), 1);
    assert_eq!(pair.take(), None);
}

/// Below the floor, beyond the window, or forgotten: it proves nothing, and leaves nothing (R38).
#[test]
fn an_abort_of_what_cannot_be_marked_proves_nothing() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    pair.run(&first);
    let records = pair.server.site.entries().records;
    assert_eq!(fate(&pair.answer(&abort(&first, 65, 1))), Fate::Maybe);
    assert_eq!(pair.server.site.entries().records, records);
    pair.pass_at_server(secs(60));
    assert_eq!(fate(&pair.answer(&abort(&first, 1, 1))), Fate::Maybe);
    let mut later = pair.ask("debit 20").1;
    if let Kind::Request { floor, .. } = &mut later.kind {
        *floor = 2;
    }
    pair.at_server(&later);
    assert_eq!(fate(&pair.answer(&abort(&first, 1, 1))), Fate::Maybe);
}

/// A caller who wants to know hears the reply that was there already, or that it goes on (R37, R38).
#[test]
fn who_waits_to_know_hears_the_truth() {
    let mut pair = Pair::new(config());
    let certain = || Request { flags: Flags::CERTAIN, ..request("debit 10") };
    let (call, first) = pair.ask_with(certain());
    pair.run(&first);
    pair.client.site.cancel(pair.now, call);
    let sent = pair.client.drain().pop().unwrap();
    let reply = pair.answer(&sent);
    pair.at_client(&reply);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply("done".into())));
    let (call, first) = pair.ask_with(certain());
    pair.at_server(&first);
    pair.take().unwrap();
    pair.client.site.cancel(pair.now, call);
    let sent = pair.client.drain().pop().unwrap();
    let stopping = pair.answer(&sent);
    pair.at_client(&stopping);
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::Cancelled)));
}

/// What never left this site did not run, and nobody needs to be told (R3, R37).
#[test]
fn what_waits_at_home_is_called_off_at_home() {
    let mut pair = Pair::new(config());
    for _ in 0..64 {
        pair.ask("debit 10");
    }
    let target = unavez::protocol::Target::Port(pair.ipc_port());
    let (call, _) = pair.ask_for(&target, request("debit 20")).unwrap();
    pair.client.site.cancel(pair.now, call);
    assert_eq!(pair.client.drain(), []);
    assert_eq!(pair.outcome(call), Some(&Outcome::NotExecuted(NotExecuted::Cancelled)));
}
