//! What the core costs, without sockets: packets, timers, and whole calls through two sites.
//!
//! `cargo bench -p unavez --bench core`. The cost of a call is to be the same however many others are
//! open: `call/1` beside `call/100000`.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use unavez::protocol::{
    Action, Call, Config, Datagrams, Epoch, Flags, IpcPort, Now, Outcome, Packet, ProcessId,
    Request, ServerId, ServerPort, Site, SiteId, Target, Time, Timer, Timers,
};

#[path = "../tests/wire/samples.rs"]
mod samples;

criterion_group!(core, packets, timers, calls);
criterion_main!(core);

/// Each kind there and back.
fn packets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for packet in samples::samples() {
        let mut bytes = Vec::with_capacity(packet.encoded_len());
        group.bench_function(packet.kind.name(), |bencher| {
            bencher.iter(|| {
                bytes.clear();
                black_box(&packet).encode(&mut bytes);
            });
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("decode");
    for packet in samples::samples() {
        let bytes = samples::bytes(&packet);
        group.bench_function(packet.kind.name(), |bencher| {
            bencher.iter(|| Packet::decode(black_box(&bytes)));
        });
    }
    group.finish();
}

/// As a call uses them: armed for later than most, and cancelled long before that.
fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers");
    for armed in [0, 100, 10_000, 100_000] {
        group.bench_function(BenchmarkId::new("arm and cancel", armed), |bencher| {
            let mut timers = armed_timers(armed);
            let mut at = Time::from_secs(1);
            bencher.iter(|| {
                at += Duration::from_nanos(1);
                timers.arm(Timer::Ask(Call(0)), at);
                timers.cancel(Timer::Ask(Call(0)));
            });
        });
        group.bench_function(BenchmarkId::new("arm and fire", armed), |bencher| {
            bencher.iter_batched_ref(
                || armed_timers(armed),
                |timers| {
                    timers.arm(Timer::Ask(Call(0)), Time::ZERO);
                    timers.pop(Time::ZERO)
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn armed_timers(count: u64) -> Timers {
    let mut timers = Timers::default();
    for call in 1..=count {
        timers.arm(Timer::Ask(Call(call)), Time::from_micros(1_000_000 + call * 7919 % 1_000_000));
    }
    timers
}

/// One more call, from request to reply, while so many others are in service.
fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    for outstanding in [0, 100, 10_000, 100_000] {
        let mut pair = Pair::new();
        for call in 0..outstanding {
            // Each process has a window of its own.
            pair.begin(ProcessId(1 + call / 64));
        }
        group.bench_function(BenchmarkId::from_parameter(outstanding + 1), |bencher| {
            bencher.iter(|| pair.call());
        });
    }
    group.finish();
}

/// A client's site and a server's, with nothing between them.
struct Pair {
    client: Site,
    server: Site,
    now: Now,
    port: ServerPort,
    target: Target,
    datagrams: Vec<Vec<u8>>,
}

const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2);

impl Pair {
    fn new() -> Pair {
        let now = Now::default();
        let site = |id, seed| {
            let epoch = Epoch { counter: 1, random: 1 };
            Site::new(now, Config::default(), SiteId(id), epoch, [seed; 32])
        };
        let (client, mut server) = (site(1, 1), site(2, 2));
        let port = server.open_port(ProcessId(0)).expect("it is the first");
        let name = ServerId { site: server.site(), epoch: server.epoch(), port };
        let target = Target::Port(IpcPort { address: SERVER, server: name });
        Pair { client, server, now, port, target, datagrams: Vec::new() }
    }

    /// From the request until the service has it in hand.
    fn begin(&mut self, process: ProcessId) -> unavez::protocol::CallId {
        let step = Duration::from_micros(1);
        self.now = Now { running: self.now.running + step, boot: self.now.boot + step };
        let body = Bytes::from_static(&[7; 64]);
        let patience = Some(Duration::from_secs(3600));
        let request = Request { body, flags: Flags::NONE, patience, max_reply: 1000 };
        self.client.send_request(self.now, process, &self.target, request).expect("there is room");
        drain(&mut self.client, &mut self.datagrams);
        for datagram in self.datagrams.drain(..) {
            self.server.handle_datagram(self.now, CLIENT, &datagram);
        }
        drain(&mut self.server, &mut self.datagrams);
        let taken = self.server.take_request(self.now, self.port).expect("it came");
        taken.call
    }

    fn call(&mut self) {
        let call = self.begin(ProcessId(0));
        let body = Bytes::from_static(&[8; 64]);
        self.server.send_reply(self.now, self.port, call, body).expect("it is in service");
        drain(&mut self.server, &mut self.datagrams);
        for datagram in self.datagrams.drain(..) {
            self.client.handle_datagram(self.now, SERVER, &datagram);
        }
        let ends = drain(&mut self.client, &mut self.datagrams);
        assert_eq!(ends, 1, "a call ends with its reply");
    }
}

/// Does what a driver does; says how many calls ended with a reply.
fn drain(site: &mut Site, sent: &mut Vec<Vec<u8>>) -> usize {
    let mut datagrams = Datagrams::default();
    let mut replies = 0;
    while let Some(action) = site.poll_action() {
        match action {
            Action::Send { to, packet } => {
                datagrams.push(to, &packet, |_, datagram| sent.push(datagram.to_vec()));
            }
            Action::End { outcome: Outcome::Reply(_), .. } => replies += 1,
            _ => {}
        }
    }
    datagrams.flush(|_, datagram| sent.push(datagram.to_vec()));
    replies
}
