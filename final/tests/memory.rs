//! What other sites can make this one hold: many clients, each with its window full, again and again; many
//! large messages, of which none is whole, or that nobody takes.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use unavez::protocol::{
    Action, BODY_MAX, ClientId, ClientPort, Config, Credit, Epoch, Flags, Fragment, Kind, Now,
    Packet, ProcessId, ServerId, Site, SiteId, Token,
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
        fetching_max: BODY_MAX,
        ..Config::default()
    };
    let (held, bound) = (fill(clients as u64, config), config.memory_max());
    println!("{clients} clients held {held} bytes at most; the bound is {bound}");
    assert!(held <= bound, "{held} > {bound}");
    // And the bound says something.
    assert!(held * 5 > bound - unavez::protocol::config::EVICTED_LEN, "{held} of {bound}");
}

/// Strangers of whom each shows that he is where he says.
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

    /// A request of a client that is new.
    fn next(&mut self) -> Packet {
        self.begun += 1;
        let mut packet = request(1, self.server, 1, 1);
        packet.client.port = ClientPort(self.begun);
        let Kind::Request { token, max_reply, .. } = &mut packet.kind else { unreachable!() };
        (*token, *max_reply) = (self.token, u32::MAX);
        packet
    }

    /// How a request begins that is to have so many bytes, of a client that is new.
    fn first(&mut self, len: usize) -> Packet {
        let first = [7; BODY_MAX - 4];
        let first = &first[..first.len().min(len - 1)];
        let body = [&(len as u32).to_be_bytes(), first].concat().into();
        Packet { flags: Flags::BEGINS, body, ..self.next() }
    }

    /// Gives it what was written, and sees what it sends; it serves with replies of this length.
    fn give(&mut self, reply: usize) -> Vec<Kind> {
        self.site.handle_datagram(Now::default(), self.from, &self.bytes);
        self.bytes.clear();
        let mut kinds = Vec::new();
        while let Some(action) = self.site.poll_action() {
            match action {
                Action::Send { packet, .. } => kinds.push(packet.kind),
                Action::Path { to } => self.site.handle_path(Now::default(), to, 1200, true),
                Action::Ready { port } => {
                    let call = self.site.take_request(Now::default(), port).unwrap().call;
                    let body = vec![7; reply].into();
                    self.site.send_reply(Now::default(), port, call, body).unwrap();
                }
                _ => {}
            }
        }
        kinds
    }

    /// Begins one more, and sends what makes it hold the most: many small pieces with gaps between, and the
    /// last one. `false` if the site has no room.
    fn begin(&mut self, len: usize) -> bool {
        let packet = self.first(len);
        packet.encode(&mut self.bytes);
        match self.give(0)[..] {
            [Kind::Challenge { token }] => {
                self.token = token;
                return self.begin(len);
            }
            [Kind::Busy { .. }] => return false,
            _ => {}
        }
        let gaps = (BODY_MAX as u32..).step_by(2).take(255).chain([len as u32 + 3]);
        for (serial, offset) in (1..).zip(gaps.filter(|at| *at < len as u32 + 4)) {
            let (tag, asks, body) = (packet.tag(), false, &[1][..]);
            Fragment { tag, serial, offset, asks, body }.encode(&mut self.bytes);
            self.give(0);
        }
        true
    }

    /// Asks for a large reply, says that pieces of it have come with gaps between, and then nothing.
    fn ask(&mut self, reply: usize) {
        let packet = self.next();
        packet.encode(&mut self.bytes);
        let answers = self.give(reply);
        assert!(matches!(answers[..], [Kind::Reply { .. }]), "{answers:?}");
        for have in (0..256_u32).collect::<Vec<_>>().chunks(64) {
            let have = have.iter().flat_map(|at| [4 * at, 4 * at + 2]);
            let body = have.flat_map(u32::to_be_bytes).collect();
            let granted = reply as u32;
            let credit = Credit { building: 1, newest: 0, granted, room: 1 << 20, stalled: false };
            let kind = Kind::Fetch { floor: 1, token: self.token, credit };
            let flags = Flags::NONE;
            Packet { flags, attempt: 0, kind, body, ..packet.clone() }.encode(&mut self.bytes);
            self.give(0);
        }
    }
}

/// Nothing but what is tried has much room.
fn tight() -> Config {
    Config {
        clients_max: 64,
        records_max: 64,
        windows_sum_max: 64 * 64,
        window_max: 64,
        bytes_max: LONGEST,
        evicted_len: 8,
        message_max: LONGEST,
        building_max: 2 * LONGEST,
        building_per_address_max: 2 * LONGEST,
        fetching_max: LONGEST,
        ..Config::default()
    }
}

const LONGEST: usize = 1 << 19;

#[test]
fn half_built_messages_stay_within_the_stated_bound() {
    // Of all lengths, as many as there is room for, and then some (R43).
    let _alone = COUNTING.lock();
    let config =
        Config { building_max: 4 * LONGEST, building_per_address_max: 4 * LONGEST, ..tight() };
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
    }
}

#[test]
fn large_replies_that_nobody_takes_stay_within_the_stated_bound() {
    // Many clients, a reply each, of which pieces have arrived and the others are on their way.
    let _alone = COUNTING.lock();
    let clients = 500;
    for len in [BODY_MAX, BODY_MAX + 1, 1500, 5000, 50_000] {
        let config = Config {
            clients_max: clients,
            windows_sum_max: clients as u64 * 64,
            records_max: clients,
            bytes_max: clients * len,
            ..tight()
        };
        let before = ALLOCATED.current_usage();
        ALLOCATED.reset_peak_usage();
        let mut flood = Flood::new(config);
        assert!(flood.begin(5000), "to have a token");
        (0..clients).for_each(|_| flood.ask(len));
        let entries = flood.site.entries();
        assert_eq!((entries.records, entries.bytes), (clients, clients * len));
        assert_eq!(entries.sending, if len > BODY_MAX { clients } else { 0 });
        let (held, bound) = (ALLOCATED.peak_usage() - before, config.memory_max());
        println!("{clients} of {len} bytes held {held} bytes at most; the bound is {bound}");
        assert!(held <= bound, "{len}: {held} > {bound}");
    }
}
