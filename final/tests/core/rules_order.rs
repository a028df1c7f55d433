//! Ordered calls, and idempotent ones: R33, R34.

use bytes::Bytes;
use unavez::protocol::{
    Config, Fate, Flags, Kind, Note, Outcome, Packet, Ran, Reason, Request, Unknown,
};

use crate::pair::{Pair, config, names, refused, request, secs};

/// Ordered requests come in the wrong order, and are handed over in the right one; others do not wait
/// (R33).
#[test]
fn ordered_requests_are_handed_over_in_order() {
    let mut pair = Pair::new(config());
    let in_order = |body| Request { flags: Flags::ORDERED, ..request(body) };
    let first = pair.ask_with(in_order("one")).1;
    let second = pair.ask_with(in_order("two")).1;
    let free = pair.ask("free").1;
    let third = pair.ask_with(in_order("three")).1;
    for packet in [&third, &free, &second] {
        assert_eq!(pair.at_server(packet), []);
    }
    assert_eq!(pair.take().unwrap().body, "free");
    assert_eq!(pair.take(), None);
    pair.at_server(&first);
    let order: Vec<Bytes> = std::iter::from_fn(|| pair.take()).map(|it| it.body).collect();
    assert_eq!(order, ["one", "two", "three"]);
}

/// The second of three is marked while it waits for the first: the third still waits for the first
/// (R33).
#[test]
fn a_mark_does_not_break_the_order() {
    let mut pair = Pair::new(config());
    let in_order = |body| Request { flags: Flags::ORDERED, ..request(body) };
    let first = pair.ask_with(in_order("one")).1;
    let (call, second) = pair.ask_with(in_order("two"));
    let third = pair.ask_with(in_order("three")).1;
    pair.at_server(&second);
    pair.at_server(&third);
    pair.client.site.cancel(pair.now, call);
    let abort = pair.client.drain().pop().unwrap();
    assert_eq!(pair.answer(&abort).kind, Kind::Aborted { fate: Fate::NotRun });
    assert_eq!(pair.take(), None);
    pair.at_server(&first);
    let order: Vec<Bytes> = std::iter::from_fn(|| pair.take()).map(|it| it.body).collect();
    assert_eq!(order, ["one", "three"]);
}

/// No more than so many ordered requests wait (R33); and one that waits is marked when its patience
/// ends.
#[test]
fn ordered_requests_wait_in_bounded_number_and_time() {
    let mut pair = Pair::new(Config { ordered_wait_max: 2, ..config() });
    let in_order = |body| Request { flags: Flags::ORDERED, ..request(body) };
    let _lost = pair.ask_with(in_order("one")).1;
    let packets: Vec<Packet> = (0..3).map(|_| pair.ask_with(in_order("more")).1).collect();
    let answers: Vec<_> = packets.iter().flat_map(|packet| pair.at_server(packet)).collect();
    assert_eq!(names(&answers), ["BUSY"]);
    pair.pass_at_server(secs(10));
    assert_eq!(refused(&pair.answer(&packets[0])), (Ran::No, Reason::Expired));
}

/// An idempotent call keeps nothing: a late copy runs again, and an ABORT proves nothing (R34).
#[test]
fn an_idempotent_call_may_run_again() {
    let mut pair = Pair::new(config());
    let flags = Flags::IDEMPOTENT | Flags::CERTAIN;
    let (call, first) = pair.ask_with(Request { flags, ..request("read") });
    pair.run(&first);
    assert_eq!(pair.server.site.entries().records, 0);
    pair.run(&first);
    assert_eq!(pair.server.count(Note::Executed), 2);
    pair.at_server(&first);
    pair.client.site.cancel(pair.now, call);
    let abort = pair.client.drain().pop().unwrap();
    let aborted = pair.answer(&abort);
    assert_eq!(aborted.kind, Kind::Aborted { fate: Fate::Maybe });
    pair.at_client(&aborted);
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::Cancelled)));
}
