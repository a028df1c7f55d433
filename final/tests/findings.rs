//! What fuzzing found in the core (`final/fuzz`), each as a test of its own.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use unavez::protocol::{
    Action, ClientId, ClientPort, Config, Epoch, Flags, IpcPort, Kind, Now, Packet, ProcessId,
    Request, ServerId, ServerPort, Site, SiteId, Target, Token,
};

const EPOCH: Epoch = Epoch { counter: 1, random: 1 };
const SITE: SiteId = SiteId(1);
const OTHER: SiteId = SiteId(2);

#[test]
fn the_last_of_all_numbers_is_not_run_twice() {
    // A client near the end of all numbers; its window grows beyond that end when it gets its reply. The
    // reply is forgotten, the bit must not be (R25).
    let mut site = site();
    let port = site.open_port(ProcessId(1)).unwrap();
    let last = request(port, u64::MAX, u64::MAX - 40);
    site.handle_datagram(Now::default(), address(), &last);
    let taken = site.take_request(Now::default(), port).expect("it is new");
    site.send_reply(Now::default(), port, taken.call, Bytes::new()).unwrap();
    for second in 100..105 {
        site.handle_timeout(at(Duration::from_secs(second)));
        site.handle_drained(at(Duration::from_secs(second)));
    }
    assert_eq!((site.entries().records, site.entries().tombstones), (0, 1));
    site.handle_datagram(at(Duration::from_secs(105)), address(), &last);
    assert_eq!(site.take_request(at(Duration::from_secs(105)), port), None);
}

#[test]
fn nothing_leaves_for_a_process_that_is_gone() {
    // Its window is full and one more call waits at home. When the process ends, those on their way are
    // called off, and the one at home does not leave in the room that they make (R16).
    let mut site = site();
    let server = ServerId { site: OTHER, epoch: EPOCH, port: ServerPort(1) };
    let target = Target::Port(IpcPort { address: address(), server });
    for _ in 0..65 {
        let patience = Some(Duration::from_secs(9));
        let request = Request { body: Bytes::new(), flags: Flags::NONE, patience, max_reply: 1000 };
        site.send_request(Now::default(), ProcessId(1), &target, request).unwrap();
    }
    assert_eq!(kinds(&mut site), vec!["REQUEST"; 64]);
    site.end_process(Now::default(), ProcessId(1));
    assert_eq!(kinds(&mut site), vec!["ABORT"; 64]);
    assert_eq!(site.entries().calls, 0);
}

/// What it sends; it tells nobody anything.
fn kinds(site: &mut Site) -> Vec<&'static str> {
    let actions = std::iter::from_fn(|| site.poll_action());
    let kind = |action| match action {
        Action::Send { packet, .. } => packet.kind.name(),
        other => panic!("{other:?}"),
    };
    actions.map(kind).collect()
}

fn site() -> Site {
    Site::new(Now::default(), Config::default(), SITE, EPOCH, [1; 32])
}

fn request(port: ServerPort, seq: u64, floor: u64) -> Vec<u8> {
    let client = ClientId { site: OTHER, epoch: EPOCH, port: ClientPort(5) };
    let server = ServerId { site: SITE, epoch: EPOCH, port };
    let (patience, rto, token) = (1000, 200, Token::NONE);
    let (predecessor, max_reply, hash) = (0, 1000, 7);
    let kind = Kind::Request { floor, predecessor, patience, rto, max_reply, hash, token };
    let (flags, body) = (Flags::NONE, Bytes::new());
    let mut bytes = Vec::new();
    Packet { flags, attempt: 1, client, server, seq, kind, body }.encode(&mut bytes);
    bytes
}

fn at(time: Duration) -> Now {
    Now { running: time, boot: time }
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7373))
}
