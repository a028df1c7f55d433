//! How long a reply must be kept (§3.2): the paper's rule without the packet lifetime fails.

use std::net::SocketAddr;
use std::time::Duration;

use lab::{Breach, Faults, Plan};
use step3_dedup::wire::BODY_MAX;
use step3_dedup::{
    Action, CallError, CallId, Config, Deliver, Kind, Note, Packet, SendError, Site,
};

lab::node!(
    /// This step's core.
    Step: step3_dedup, |_life| Site::new(Config::default())
);

lab::node!(
    /// The same core with the paper's rule to the letter: a reply is kept for the client's patience.
    Paper: step3_dedup, |_life| {
        Site::new(Config { packet_lifetime: Duration::ZERO, ..Config::default() })
    }
);

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

#[test]
fn the_papers_rule_serves_a_late_duplicate_twice() {
    // A copy that the network made comes 3 s late; the client's patience was 2 s.
    let plan = "duplicate request 1 by 3 s";
    let run = lab::assert_trace::<Paper>("step3-paper", "step3-paper-late-duplicate", plan);
    assert_eq!(run.verdict.breach(), Some(Breach::RanTwice));
    let plan: Plan = plan.parse().unwrap();
    assert_eq!(lab::run::<Step>(&plan).verdict.breach(), None);
}

#[test]
fn exploration_finds_the_fault_in_the_papers_rule() {
    let found = lab::explore::<Paper>(&Plan::default(), Faults::Network, 3);
    let (plan, verdict) = found.broken.expect("the rule is broken");
    assert_eq!(plan.to_string(), "duplicate packet 1 by 29 s");
    assert_eq!(verdict.breach(), Some(Breach::RanTwice));
}

#[test]
fn a_copy_is_recognised_until_the_last_one_is_dead() {
    // The last moment at which a copy of a packet may arrive, and the first at which none can.
    let mut server = Site::new(Config::default());
    let mut client = Site::new(Config::default());
    let request = ask(&mut client, Duration::ZERO);
    server.handle_packet(Duration::ZERO, PEER, &request);
    let call = CallId { peer: PEER, seq: 1 };
    assert!(matches!(server.poll_action(), Some(Action::Deliver(Deliver::Request { .. }))));
    server.send_reply(Duration::ZERO, call, b"balance 990".to_vec()).unwrap();
    assert!(matches!(server.poll_action(), Some(Action::Send { .. })));

    let forgotten = Config::default().reply_lifetime(Config::default().patience());
    assert_eq!(server.deadline(), Some(forgotten));
    let last = forgotten - Duration::from_nanos(1);
    server.handle_timeout(last);
    server.handle_packet(last, PEER, &request);
    assert_eq!(server.poll_action(), Some(Action::Note(Note::DuplicateAnswered)));
    assert!(matches!(server.poll_action(), Some(Action::Send { .. })));
    server.handle_timeout(forgotten);
    assert_eq!(server.poll_action(), Some(Action::Note(Note::Forgotten)));
    assert_eq!(server.entries(), 0);
}

#[test]
fn a_client_that_slept_sends_nothing() {
    // The client's machine sleeps beyond its patience: the server may have forgotten the call.
    let mut client = Site::new(Config::default());
    ask(&mut client, Duration::ZERO);
    client.handle_timeout(Duration::from_secs(60));
    let failed =
        Deliver::Failed { call: CallId { peer: PEER, seq: 1 }, error: CallError::Unreachable };
    assert_eq!(client.poll_action(), Some(Action::Deliver(failed)));
    assert_eq!(client.poll_action(), None);
    assert_eq!(client.entries(), 0);
}

#[test]
fn a_slow_service_keeps_its_record_for_as_long_as_it_takes() {
    // The service takes 5 minutes: the record may not go before, and goes at once then.
    let mut server = Site::new(Config::default());
    let request = ask(&mut Site::new(Config::default()), Duration::ZERO);
    server.handle_packet(Duration::ZERO, PEER, &request);
    server.poll_action();
    let late = Duration::from_secs(300);
    server.handle_timeout(late);
    assert_eq!(server.entries(), 1);
    server.handle_packet(late, PEER, &request);
    assert_eq!(server.poll_action(), Some(Action::Note(Note::DuplicateInService)));
    server.send_reply(late, CallId { peer: PEER, seq: 1 }, b"balance 990".to_vec()).unwrap();
    server.handle_timeout(late);
    assert_eq!(server.entries(), 0);
}

#[test]
fn memory_is_bounded() {
    // One more call, and one more record, than there is room for.
    let config = Config { calls_max: 2, records_max: 2, ..Config::default() };
    let (mut client, mut server) = (Site::new(config), Site::new(config));
    for _ in 0..2 {
        server.handle_packet(Duration::ZERO, PEER, &ask(&mut client, Duration::ZERO));
        assert!(matches!(server.poll_action(), Some(Action::Deliver(_))));
    }
    assert!(client.send_request(Duration::ZERO, PEER, Vec::new()).is_err());
    server.handle_packet(
        Duration::ZERO,
        "127.0.0.1:8".parse().unwrap(),
        &ask(&mut Site::new(config), Duration::ZERO),
    );
    assert_eq!(server.poll_action(), Some(Action::Note(Note::NoRoom)));
    assert_eq!(server.poll_action(), None);
    // A duplicate needs no room.
    let known = ask(&mut Site::new(config), Duration::ZERO);
    server.handle_packet(Duration::ZERO, PEER, &known);
    assert_eq!(server.poll_action(), Some(Action::Note(Note::DuplicateInService)));
}

#[test]
fn a_reply_is_given_once() {
    // The service answers twice, and answers what it was never asked.
    let mut server = Site::new(Config::default());
    server.handle_packet(
        Duration::ZERO,
        PEER,
        &ask(&mut Site::new(Config::default()), Duration::ZERO),
    );
    let call = CallId { peer: PEER, seq: 1 };
    assert!(server.send_reply(Duration::ZERO, call, vec![0; 1200]).is_err(), "too long");
    assert!(server.send_reply(Duration::ZERO, call, Vec::new()).is_ok());
    assert!(server.send_reply(Duration::ZERO, call, Vec::new()).is_err());
    assert!(server.send_reply(Duration::ZERO, CallId { seq: 2, ..call }, Vec::new()).is_err());
}

#[test]
fn a_reply_counts_only_from_the_server_that_was_asked() {
    let mut client = Site::new(Config::default());
    ask(&mut client, Duration::ZERO);
    let reply = Packet { kind: Kind::Reply, seq: 1, body: b"balance 0".to_vec() }.encode();
    client.handle_packet(Duration::ZERO, "127.0.0.1:8".parse().unwrap(), &reply);
    assert_eq!(client.poll_action(), Some(Action::Note(Note::StrayReply)));
    client.handle_packet(Duration::ZERO, PEER, &reply);
    assert!(matches!(client.poll_action(), Some(Action::Deliver(Deliver::Reply { .. }))));
    assert_eq!((client.deadline(), client.entries()), (None, 0));
}

#[test]
fn the_largest_body_may_be_asked_and_no_larger() {
    let mut client = Site::new(Config::default());
    assert!(client.send_request(Duration::ZERO, PEER, vec![0; BODY_MAX]).is_ok());
    let too_long = client.send_request(Duration::ZERO, PEER, vec![0; BODY_MAX + 1]);
    assert_eq!(too_long, Err(SendError::TooLong));
}

#[test]
fn patience_is_rounded_up_and_ends_in_time() {
    // 1,004 ms in all, then 903.6 ms left: the server may keep the reply for longer, never for less.
    let retransmit_after = Duration::from_micros(100_400);
    let mut client = Site::new(Config { retransmit_after, ..Config::default() });
    let patience = |client: &mut Site| match client.poll_action() {
        Some(Action::Send { packet, .. }) => packet.kind,
        other => panic!("sends, but: {other:?}"),
    };
    client.send_request(Duration::ZERO, PEER, Vec::new()).unwrap();
    assert_eq!(patience(&mut client), Kind::Request { patience: 1004 });
    client.handle_timeout(retransmit_after);
    assert_eq!(patience(&mut client), Kind::Request { patience: 904 });
    client.handle_timeout(Duration::from_millis(990));
    assert_eq!(patience(&mut client), Kind::Request { patience: 14 });
    assert_eq!(client.deadline(), Some(Duration::from_millis(1004)));
}

#[test]
fn the_longest_patience_is_carried_whole() {
    let longest =
        Config { retransmit_after: Duration::from_micros(6_553_500), ..Config::default() };
    let mut client = Site::new(longest);
    client.send_request(Duration::ZERO, PEER, Vec::new()).unwrap();
    let Some(Action::Send { packet, .. }) = client.poll_action() else { panic!("sends") };
    assert_eq!(packet.kind, Kind::Request { patience: u16::MAX });
}

#[test]
#[should_panic(expected = "a request carries 65 s at most")]
fn patience_that_no_request_can_carry_in_whole_ms_is_refused() {
    // 65,535.9 ms: rounded up it is one more than the field can hold.
    Site::new(Config { retransmit_after: Duration::from_micros(6_553_590), ..Config::default() });
}

#[test]
#[should_panic(expected = "a request carries 65 s at most")]
fn patience_that_no_request_can_carry_is_refused() {
    Site::new(Config { retransmit_after: Duration::from_secs(10), ..Config::default() });
}

/// Sends a request, and gives its datagram.
fn ask(client: &mut Site, now: Duration) -> Vec<u8> {
    client.send_request(now, PEER, b"debit 10".to_vec()).unwrap();
    let Some(Action::Send { packet, .. }) = client.poll_action() else { panic!("sends") };
    packet.encode()
}
