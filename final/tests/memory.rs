//! What other sites can make this one hold: many clients, each with its window full, again and again; many
//! large messages, of which none is whole.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use unavez::protocol::{
    Action, BODY_MAX, ClientId, ClientPort, Config, Epoch, Flags, Fragment, Kind, Now, Packet,
    ProcessId, ServerId, Site, SiteId, Token,
};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;
/// One test at a time counts.
static COUNTING: Mutex<()> = Mutex::new(());

const WINDOW: u64 = 64;
const ROUNDS: u64 = 3;

fn request(client: u64, server: ServerId, floor: u64, seq: u64) -> Packet {
    let port = ClientPort(client);
    let client = ClientId { site: SiteId(1 + client), epoch: Epoch::default(), port };
    let kind = Kind::Request {
        floor,
        predecessor: 0,
        patience: 30_000,
        rto: 1_000,
        max_reply: 1_000,
        hash: 1,
        token: Token::NONE,
    };
    let body = Bytes::from_static(&[7; 64]);
    Packet { flags: Flags::NONE, attempt: 1, client, server, seq, kind, body }
}

/// Fills all windows `ROUNDS` times and keeps every reply; how many bytes were allocated at most.
fn fill(clients: u64, config: Config) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let now = |ms| Now { running: Duration::from_millis(ms), boot: Duration::from_millis(ms) };
    let mut site = Site::new(now(0), config, SiteId(9), Epoch::default(), [1; 32]);
    let port = site.open_port(ProcessId(1)).unwrap();
    let server = ServerId { site: site.site(), epoch: site.epoch(), port };
    let from: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let (mut bytes, mut held) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for slot in 1..=WINDOW {
            for client in 0..clients {
                bytes.clear();
                let floor = round * WINDOW + 1;
                request(client, server, floor, round * WINDOW + slot).encode(&mut bytes);
                site.handle_datagram(now(round), from, &bytes);
                while let Some(action) = site.poll_action() {
                    let Action::Ready { port } = action else { continue };
                    let incoming = site.take_request(now(round), port).unwrap();
                    site.send_reply(now(round), port, incoming.call, incoming.body).unwrap();
                }
            }
        }
        assert_eq!(site.entries().records, (clients * WINDOW) as usize, "round {round}");
        held.push(ALLOCATED.current_usage());
    }
    // What a round leaves behind is freed in the next.
    assert!(held[held.len() - 1] <= held[0] + held[0] / 20, "{held:?}");
    assert_eq!(site.entries().tombstones, clients as usize);
    ALLOCATED.peak_usage() - before
}

#[test]
fn full_windows_stay_within_the_stated_bound() {
    let _alone = COUNTING.lock();
    // 10,000 clients × window with UNAVEZ_CLIENTS=10000 in release; a tenth otherwise (R24 to R26).
    let clients = std::env::var("UNAVEZ_CLIENTS").map_or(1_000, |text| text.parse().unwrap());
    let records = clients * WINDOW as usize;
    let config = Config {
        // Nobody is challenged before half of each table is full.
        clients_max: 2 * clients + 2,
        clients_per_address_max: 2 * clients,
        records_max: 2 * records + 2,
        // Each call in service reserves the longest reply, each reply what it has.
        bytes_max: 2 * (64 * records + 2 * BODY_MAX),
        window_max: 64,
        // Nothing is built.
        message_max: BODY_MAX,
        building_max: 1 << 14,
        building_per_address_max: 1 << 14,
        ..Config::default()
    };
    let (held, bound) = (fill(clients as u64, config), config.memory_max());
    println!("{clients} clients held {held} bytes at most; the bound is {bound}");
    assert!(held <= bound, "{held} > {bound}");
    // And the bound says something.
    assert!(held * 4 > bound - unavez::protocol::config::EVICTED_LEN, "{held} of {bound}");
}

/// Strangers of whom each shows that he is where he says, and begins large requests.
struct Flood {
    site: Site,
    server: ServerId,
    from: SocketAddr,
    token: Token,
    begun: u64,
    bytes: Vec<u8>,
}

impl Flood {
    fn new(config: Config) -> Flood {
        let mut site = Site::new(Now::default(), config, SiteId(9), Epoch::default(), [1; 32]);
        let port = site.open_port(ProcessId(1)).unwrap();
        let server = ServerId { site: site.site(), epoch: site.epoch(), port };
        let (from, token) = ("127.0.0.1:9".parse().unwrap(), Token::NONE);
        Flood { site, server, from, token, begun: 0, bytes: Vec::new() }
    }

    /// How a request begins that is to have so many bytes, of a client that is new.
    fn first(&self, len: usize) -> Packet {
        let mut packet = request(1, self.server, 1, 1);
        packet.client.port = ClientPort(self.begun);
        let Kind::Request { token, .. } = &mut packet.kind else { unreachable!() };
        *token = self.token;
        let first = [7; BODY_MAX - 4];
        let first = &first[..first.len().min(len - 1)];
        let body = [&(len as u32).to_be_bytes(), first].concat().into();
        Packet { flags: Flags::BEGINS, body, ..packet }
    }

    fn give(&mut self) -> Vec<Kind> {
        self.site.handle_datagram(Now::default(), self.from, &self.bytes);
        self.bytes.clear();
        let mut kinds = Vec::new();
        while let Some(action) = self.site.poll_action() {
            let Action::Send { packet, .. } = action else { continue };
            kinds.push(packet.kind);
        }
        kinds
    }

    /// Begins one more, and sends what makes it hold the most: many small pieces with gaps between, and the
    /// last one. `false` if the site has no room.
    fn begin(&mut self, len: usize) -> bool {
        self.begun += 1;
        let packet = self.first(len);
        packet.encode(&mut self.bytes);
        match self.give()[..] {
            [Kind::Challenge { token }] => {
                self.token = token;
                return self.begin(len);
            }
            [Kind::Busy { .. }] => return false,
            _ => {}
        }
        let gaps = (BODY_MAX as u32..).step_by(2).take(300).chain([len as u32 + 3]);
        for (serial, offset) in (1..).zip(gaps.filter(|at| *at < len as u32 + 4)) {
            let (tag, asks, body) = (packet.tag(), false, &[1][..]);
            Fragment { tag, serial, offset, asks, body }.encode(&mut self.bytes);
            self.give();
        }
        true
    }
}

#[test]
fn half_built_messages_stay_within_the_stated_bound() {
    // Of all lengths, as many as there is room for, and then some (R43).
    let _alone = COUNTING.lock();
    const LONGEST: usize = 1 << 19;
    let config = Config {
        clients_max: 64,
        records_max: 64,
        windows_sum_max: 64 * 64,
        window_max: 64,
        bytes_max: LONGEST,
        evicted_len: 8,
        message_max: LONGEST,
        building_max: 4 * LONGEST,
        building_per_address_max: 4 * LONGEST,
        ..Config::default()
    };
    for len in [1, 500, BODY_MAX + 1, 1700, 5000, 50_000, LONGEST] {
        let before = ALLOCATED.current_usage();
        ALLOCATED.reset_peak_usage();
        let mut flood = Flood::new(config);
        let most = 50_000;
        let begun = (0..most).take_while(|_| flood.begin(len)).count();
        assert!((0..100).all(|_| !flood.begin(len)) && begun < most, "it has an end: {len}");
        assert_eq!(flood.site.entries().building, begun, "{len}");
        let (held, bound) = (ALLOCATED.peak_usage() - before, config.memory_max());
        println!("{begun} of {len} bytes held {held} bytes at most; the bound is {bound}");
        assert!(held <= bound, "{len}: {held} > {bound}");
        assert!(held * 8 > config.building_max, "and it says something: {len}, {held}");
    }
}
