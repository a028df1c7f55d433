//! How long a reply must be kept (§3.2).

use std::net::SocketAddr;
use std::time::Duration;

use step4_epochs::{
    Action, CallError, CallId, Config, Deliver, Epoch, Kind, Note, Packet, Port, Site,
};

const EPOCH: Epoch = Epoch { counter: 1, random: 2 };
const PORT: Port = Port { address: PEER, epoch: EPOCH };
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

#[test]
fn a_copy_is_recognised_until_the_last_one_is_dead() {
    // The last moment at which a copy of a packet may arrive, and the first at which none can.
    let mut server = Site::new(Config::default(), EPOCH);
    let mut client = Site::new(Config::default(), EPOCH);
    let request = ask(&mut client, Duration::ZERO);
    server.handle_packet(Duration::ZERO, PEER, &request);
    let call = CallId { peer: PEER, epoch: EPOCH, seq: 1 };
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
    let mut client = Site::new(Config::default(), EPOCH);
    ask(&mut client, Duration::ZERO);
    client.handle_timeout(Duration::from_secs(60));
    let failed = Deliver::Failed {
        call: CallId { peer: PEER, epoch: EPOCH, seq: 1 },
        error: CallError::Unreachable,
    };
    assert_eq!(client.poll_action(), Some(Action::Deliver(failed)));
    assert_eq!(client.poll_action(), None);
    assert_eq!(client.entries(), 0);
}

#[test]
fn a_slow_service_keeps_its_record_for_as_long_as_it_takes() {
    // The service takes 5 minutes: the record may not go before, and goes at once then.
    let mut server = Site::new(Config::default(), EPOCH);
    let request = ask(&mut Site::new(Config::default(), EPOCH), Duration::ZERO);
    server.handle_packet(Duration::ZERO, PEER, &request);
    server.poll_action();
    let late = Duration::from_secs(300);
    server.handle_timeout(late);
    assert_eq!(server.entries(), 1);
    server
        .send_reply(late, CallId { peer: PEER, epoch: EPOCH, seq: 1 }, b"balance 990".to_vec())
        .unwrap();
    server.handle_timeout(late);
    assert_eq!(server.entries(), 0);
}

#[test]
fn memory_is_bounded() {
    // One more call, and one more record, than there is room for.
    let config = Config { calls_max: 2, records_max: 2, ..Config::default() };
    let (mut client, mut server) = (Site::new(config, EPOCH), Site::new(config, EPOCH));
    for _ in 0..2 {
        server.handle_packet(Duration::ZERO, PEER, &ask(&mut client, Duration::ZERO));
        assert!(matches!(server.poll_action(), Some(Action::Deliver(_))));
    }
    assert!(client.send_request(Duration::ZERO, PORT, Vec::new()).is_err());
    server.handle_packet(
        Duration::ZERO,
        "127.0.0.1:8".parse().unwrap(),
        &ask(&mut Site::new(config, EPOCH), Duration::ZERO),
    );
    assert_eq!(server.poll_action(), Some(Action::Note(Note::NoRoom)));
    assert_eq!(server.poll_action(), None);
    // A duplicate needs no room.
    let known = ask(&mut Site::new(config, EPOCH), Duration::ZERO);
    server.handle_packet(Duration::ZERO, PEER, &known);
    assert_eq!(server.poll_action(), Some(Action::Note(Note::DuplicateInService)));
}

#[test]
fn a_reply_is_given_once() {
    // The service answers twice, and answers what it was never asked.
    let mut server = Site::new(Config::default(), EPOCH);
    server.handle_packet(
        Duration::ZERO,
        PEER,
        &ask(&mut Site::new(Config::default(), EPOCH), Duration::ZERO),
    );
    let call = CallId { peer: PEER, epoch: EPOCH, seq: 1 };
    assert!(server.send_reply(Duration::ZERO, call, vec![0; 1200]).is_err(), "too long");
    assert!(server.send_reply(Duration::ZERO, call, Vec::new()).is_ok());
    assert!(server.send_reply(Duration::ZERO, call, Vec::new()).is_err());
    assert!(server.send_reply(Duration::ZERO, CallId { seq: 2, ..call }, Vec::new()).is_err());
}

#[test]
fn a_packet_counts_only_if_it_names_the_call_whole() {
    // The right number, but another life of the server, of the client, or another server.
    let mut client = Site::new(Config::default(), EPOCH);
    ask(&mut client, Duration::ZERO);
    let other = Epoch { counter: 9, random: 9 };
    let elsewhere: SocketAddr = "127.0.0.1:8".parse().unwrap();
    for kind in [Kind::Reply, Kind::Stale { present: EPOCH }] {
        for (from, client_epoch, server) in
            [(PEER, EPOCH, other), (PEER, other, EPOCH), (elsewhere, EPOCH, EPOCH)]
        {
            let packet = Packet { kind, client: client_epoch, server, seq: 1, body: Vec::new() };
            client.handle_packet(Duration::ZERO, from, &packet.encode());
            assert!(
                matches!(client.poll_action(), Some(Action::Note(_))),
                "{packet:?} from {from}"
            );
            assert_eq!(client.poll_action(), None);
        }
    }
    assert_eq!(client.entries(), 2);
}

#[test]
#[should_panic(expected = "a request carries 65 s at most")]
fn patience_that_no_request_can_carry_is_refused() {
    Site::new(Config { retransmit_after: Duration::from_secs(10), ..Config::default() }, EPOCH);
}

/// Sends a request, and gives its datagram.
fn ask(client: &mut Site, now: Duration) -> Vec<u8> {
    client.send_request(now, PORT, b"debit 10".to_vec()).unwrap();
    let Some(Action::Send { packet, .. }) = client.poll_action() else { panic!("sends") };
    packet.encode()
}
