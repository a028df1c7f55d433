//! The acknowledgement and the stethoscope (§3.3), event by event.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lab::{End, Node, Plan, Time};
use step5_heartbeat::{
    Action, CallError, CallId, Config, Deliver, Epoch, Kind, Packet, Port, Site,
};

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
const EPOCH: Epoch = Epoch { counter: 1, random: 2 };
const CALL: CallId = CallId { peer: PEER, epoch: EPOCH, seq: 1 };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn about(kind: Kind) -> Packet {
    Packet { kind, client: EPOCH, server: EPOCH, seq: 1, body: Vec::new() }
}

fn sent(site: &mut Site) -> Packet {
    match site.poll_action() {
        Some(Action::Send { packet, .. }) => packet,
        other => panic!("sends, but: {other:?}"),
    }
}

/// A client with a call that the server has acknowledged at 100 ms.
fn working() -> Site {
    let mut client = Site::new(Config::default(), EPOCH);
    let port = Port { address: PEER, epoch: EPOCH };
    client.send_request(ms(0), port, b"debit 10".to_vec()).unwrap();
    sent(&mut client);
    client.handle_packet(ms(100), PEER, &about(Kind::Working).encode());
    assert_eq!(client.poll_action(), None);
    client
}

/// A server that has a request in service since 0 ms.
fn serving() -> Site {
    let mut server = Site::new(Config::default(), EPOCH);
    let kind = Kind::Request { patience: 2000, retransmit_after: 80 };
    server.handle_packet(ms(0), PEER, &about(kind).encode());
    assert!(matches!(server.poll_action(), Some(Action::Deliver(Deliver::Request { .. }))));
    server
}

#[test]
fn the_acknowledgement_comes_before_the_clients_own_timer() {
    // Half of the time that the request tells, whatever this site's own is (§3.3).
    let mut server = serving();
    assert_eq!(server.deadline(), Some(ms(40)));
    server.handle_timeout(ms(40));
    assert_eq!(sent(&mut server), about(Kind::Working));
}

#[test]
fn after_the_acknowledgement_the_request_is_not_sent_again() {
    let client = working();
    assert_eq!(client.deadline(), Some(ms(600)));
}

#[test]
fn a_dead_server_is_noticed_within_the_stated_time() {
    // It dies after its acknowledgement; the client asks twenty times.
    let mut client = working();
    let config = Config::default();
    let noticed = ms(100) + config.heartbeat_every * (config.heartbeats_missed_max + 1);
    let mut asked = 0;
    while let Some(at) = client.deadline() {
        client.handle_timeout(at);
        match client.poll_action() {
            Some(Action::Send { packet, .. }) => assert_eq!(packet, about(Kind::Heartbeat)),
            ended => {
                let error = CallError::Unreachable;
                assert_eq!(ended, Some(Action::Deliver(Deliver::Failed { call: CALL, error })));
                assert_eq!(at, noticed);
                break;
            }
        }
        asked += 1;
    }
    assert_eq!(asked, config.heartbeats_missed_max);
    assert_eq!(client.entries(), 0);
}

#[test]
fn an_answered_heartbeat_begins_the_count_again() {
    let mut client = working();
    for round in 1..=100 {
        client.handle_timeout(ms(100 + 500 * round));
        assert_eq!(sent(&mut client), about(Kind::Heartbeat));
        if round % 20 == 0 {
            client.handle_packet(ms(110 + 500 * round), PEER, &about(Kind::Working).encode());
        }
    }
}

#[test]
fn a_heartbeat_is_about_one_call() {
    // Call 1 is in service, call 2 was never seen, call 1 of another life was another call.
    let mut server = serving();
    server.handle_packet(ms(10), PEER, &about(Kind::Heartbeat).encode());
    assert_eq!(sent(&mut server), about(Kind::Working));
    let unseen = Packet { seq: 2, ..about(Kind::Heartbeat) };
    server.handle_packet(ms(10), PEER, &unseen.encode());
    assert_eq!(sent(&mut server), Packet { seq: 2, ..about(Kind::NoCall) });
    let stranger = Packet { client: Epoch { counter: 9, random: 9 }, ..about(Kind::Heartbeat) };
    server.handle_packet(ms(10), PEER, &stranger.encode());
    assert_eq!(sent(&mut server).kind, Kind::NoCall);
}

#[test]
fn a_forgotten_call_ends() {
    let mut client = working();
    client.handle_packet(ms(200), PEER, &about(Kind::NoCall).encode());
    let failed = Deliver::Failed { call: CALL, error: CallError::Forgotten };
    assert_eq!(client.poll_action(), Some(Action::Deliver(failed)));
    assert_eq!(client.entries(), 0);
}

#[test]
fn a_late_no_call_does_not_end_a_call_that_is_still_asked() {
    // Only a heartbeat asks for it, and this client has sent none yet.
    let mut client = Site::new(Config::default(), EPOCH);
    let port = Port { address: PEER, epoch: EPOCH };
    client.send_request(ms(0), port, b"debit 10".to_vec()).unwrap();
    sent(&mut client);
    client.handle_packet(ms(5), PEER, &about(Kind::NoCall).encode());
    assert!(matches!(client.poll_action(), Some(Action::Note(_))));
    assert_eq!(client.deadline(), Some(ms(200)));
}

#[test]
fn a_reply_is_kept_until_the_last_heartbeat_is_dead() {
    // The last WORKING leaves at 300 s, the service ends a moment later, and the reply is lost.
    let mut server = serving();
    server.handle_packet(ms(300_000), PEER, &about(Kind::Heartbeat).encode());
    assert_eq!(sent(&mut server).kind, Kind::Working);
    server.send_reply(ms(300_001), CALL, b"balance 990".to_vec()).unwrap();
    assert_eq!(sent(&mut server).kind, Kind::Reply);
    let last = ms(300_000) + Config::default().heartbeat_lifetime() - ms(1);
    server.handle_timeout(last);
    server.handle_packet(last, PEER, &about(Kind::Heartbeat).encode());
    assert_eq!(sent(&mut server).kind, Kind::Reply);
    server.handle_timeout(last + ms(1));
    assert_eq!(server.entries(), 0);
}

lab::node!(
    /// This step's core.
    Step: step5_heartbeat, |epoch| Site::new(Config::default(), epoch), epochs
);

/// The paper's server: it acknowledges once, when its timer is due, and drops duplicates.
struct OnceOnly {
    step: Step,
    duplicate: bool,
}

impl Node for OnceOnly {
    type Call = CallId;

    fn start(life: u32) -> Self {
        OnceOnly { step: Step::start(life), duplicate: false }
    }

    fn send_request(&mut self, now: Time, to: SocketAddr, body: &[u8]) -> Result<CallId, String> {
        self.step.send_request(now, to, body)
    }

    fn send_reply(&mut self, now: Time, call: CallId, body: &[u8]) {
        self.step.send_reply(now, call, body);
    }

    fn handle_packet(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        let packet = Packet::decode(datagram).expect("the bench damages nothing");
        self.duplicate = matches!(packet.kind, Kind::Request { .. });
        self.step.handle_packet(now, from, datagram);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.duplicate = false;
        self.step.handle_timeout(now);
    }

    fn poll_action(&mut self) -> Option<lab::Action<CallId>> {
        match self.step.poll_action()? {
            lab::Action::Send { label, .. } if self.duplicate && label.starts_with("WORKING") => {
                self.step.poll_action()
            }
            action => Some(action),
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.step.deadline()
    }

    fn entries(&self) -> usize {
        self.step.entries()
    }
}

#[test]
fn a_server_that_acknowledges_once_is_given_up_alive() {
    // That acknowledgement is lost. The paper says nothing of a second.
    let plan: Plan = "service takes 5 s; drop working 1".parse().unwrap();
    let verdict = lab::run::<OnceOnly>(&plan).verdict;
    assert_eq!((verdict.calls[0].executed, &verdict.calls[0].end), (1, &End::Failed));
    assert_eq!(lab::run::<Step>(&plan).verdict.calls[0].end, End::Replied);
}
