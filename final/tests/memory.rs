//! What other sites can make this one hold: many clients, each with its window full, again and again.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use unavez::protocol::{
    Action, ClientId, ClientPort, Config, Epoch, Flags, Kind, Now, Packet, ProcessId, ServerId,
    Site, SiteId, Token,
};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

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
    // 10,000 clients × window with UNAVEZ_CLIENTS=10000 in release; a tenth otherwise (R24 to R26).
    let clients = std::env::var("UNAVEZ_CLIENTS").map_or(1_000, |text| text.parse().unwrap());
    let records = clients * WINDOW as usize;
    let config = Config {
        // Nobody is challenged before half of each table is full.
        clients_max: 2 * clients + 2,
        clients_per_address_max: 2 * clients,
        records_max: 2 * records + 2,
        // Each call in service reserves the longest reply, each reply what it has.
        bytes_max: 2 * (64 * records + 2 * unavez::protocol::BODY_MAX),
        window_max: 64,
        ..Config::default()
    };
    let (held, bound) = (fill(clients as u64, config), config.memory_max());
    println!("{clients} clients held {held} bytes at most; the bound is {bound}");
    assert!(held <= bound, "{held} > {bound}");
    // And the bound says something.
    assert!(held * 4 > bound - unavez::protocol::config::EVICTED_LEN, "{held} of {bound}");
}
