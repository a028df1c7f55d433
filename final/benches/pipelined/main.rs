//! How many calls a second one client makes when it does not wait for one reply before it sends the next
//! request, beside an echo of bare datagrams by as few system calls as that takes, in the same run.
//!
//! `cargo bench -p unavez --bench pipelined`. 64 bytes there and back, 512 calls outstanding, from one
//! thread to one thread of another process. All take turns in batches, so that whatever else the
//! machine does hits them alike; the medians of the batches are printed, the ratio to the bare echo's
//! rate, and what each process used of its core. `-- unavez` measures only those with "unavez" in their
//! names, beside the echo.

mod bare;
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use std::{env, error, thread};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use unavez::{IpcClient, Options, Site};

use server::Server;

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

const LEN: usize = 64;
const OUTSTANDING: usize = 512;
const BATCH: usize = 10_000;
const BATCHES: usize = 100;
/// Not measured: caches, round trips and windows settle.
const WARM_UP: usize = 4;
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What all others are compared with.
const BARE: &str = "bare echo";

fn main() -> Result<()> {
    let args: Vec<String> = env::args().collect();
    if let Some("serve") = args.get(1).map(String::as_str) {
        return server::serve(args[2].parse()?);
    }
    let filter = args.iter().skip(1).find(|arg| !arg.starts_with('-'));
    let filter = filter.map_or("", String::as_str);
    println!("{LEN} bytes, {OUTSTANDING} outstanding, medians of {BATCHES} batches of {BATCH}");
    // Asked before this process is held on one of them.
    let cores = thread::available_parallelism()?.get();
    if cores > 1 {
        measure("a core each", 1, filter)?;
    }
    measure("one core", 0, filter)
}

/// So many there and back, with its name.
type Contender<'a> = (&'static str, Box<dyn FnMut(usize) -> Result<()> + 'a>);

/// What one of a batch took: time, and of it what each process used of a core.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    time: Duration,
    client: Duration,
    server: Duration,
}

/// The client's process is this one, on core 0.
fn measure(placement: &str, server_cpu: usize, filter: &str) -> Result<()> {
    let mut server = Server::start(server_cpu)?;
    pin(0)?;
    let site = Site::with(Options { listen: HERE, ..Options::default() })?;
    let [client, client_of_many] = server.ports.map(|port| IpcClient::new(&site, port));
    let mut echo = bare::Client::connect(server.bare)?;
    let all: [Contender; 3] = [
        (BARE, Box::new(|count| echo.exchange(count, OUTSTANDING))),
        ("unavez, singly", Box::new(|count| singly(&client, count))),
        ("unavez, many", Box::new(|count| many(&client_of_many, count))),
    ];
    let wanted = |name: &str| name == BARE || name.contains(filter);
    let mut contenders: Vec<Contender> = all.into_iter().filter(|it| wanted(it.0)).collect();
    let mut took = vec![Vec::new(); contenders.len()];
    for batch in 0..WARM_UP + BATCHES {
        for ((_, many), took) in contenders.iter_mut().zip(&mut took) {
            let one = timed(many, &mut server)?;
            if batch >= WARM_UP {
                took.push(one);
            }
        }
    }
    println!(
        "\n{placement:<16} {:>10} {:>10} {:>7} {:>12} {:>12}",
        "a second", "best 10 %", "ratio", "client's ns", "server's ns"
    );
    let plain = tenth(&took[0], 5, |it| it.time);
    for ((name, _), took) in contenders.iter().zip(&took) {
        let rate = |of| 1.0 / tenth(took, of, |it| it.time).as_secs_f64();
        let (median, best) = (rate(5), rate(1));
        let ratio = plain.as_secs_f64() * median;
        let nanos = |of: fn(&Took) -> Duration| tenth(took, 5, of).as_nanos();
        let (client, server) = (nanos(|it| it.client), nanos(|it| it.server));
        println!("{name:<16} {median:>10.0} {best:>10.0} {ratio:>7.2} {client:>12} {server:>12}");
    }
    Ok(())
}

/// Each request is sent by itself, each reply received by itself.
fn singly(client: &IpcClient, count: usize) -> Result<()> {
    let (mut sent, mut came) = (0, 0);
    while came < count {
        while sent < count && sent - came < OUTSTANDING {
            client.send_request(vec![7; LEN])?;
            sent += 1;
        }
        let (_, reply) = client.receive_reply()?;
        assert_eq!(reply?.body().len(), LEN);
        came += 1;
    }
    Ok(())
}

/// As many requests are sent and replies received together as there are.
fn many(client: &IpcClient, count: usize) -> Result<()> {
    let (mut sent, mut came) = (0, 0);
    while came < count {
        let next = (count - sent).min(OUTSTANDING - (sent - came));
        for id in client.send_requests((0..next).map(|_| vec![7; LEN])) {
            id?;
        }
        sent += next;
        for (_, reply) in client.receive_replies(OUTSTANDING)? {
            assert_eq!(reply?.body().len(), LEN);
            came += 1;
        }
    }
    Ok(())
}

/// What one of a batch takes.
fn timed(many: &mut impl FnMut(usize) -> Result<()>, server: &mut Server) -> Result<Took> {
    let (here, there, began) = (used()?, server.used()?, Instant::now());
    many(BATCH)?;
    let time = began.elapsed();
    let (client, server) = (used()? - here, server.used()? - there);
    let each = |it: Duration| it / BATCH as u32;
    Ok(Took { time: each(time), client: each(client), server: each(server) })
}

/// What this process has used of its core.
fn used() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Ok(Duration::from_micros(micros as u64))
}

/// What so many tenths of the batches did not exceed.
fn tenth(took: &[Took], tenths: usize, of: impl Fn(&Took) -> Duration) -> Duration {
    let mut all: Vec<Duration> = took.iter().map(of).collect();
    all.sort_unstable();
    all[all.len() * tenths / 10]
}

/// This process, and the threads that it begins from here on, on this core only.
fn pin(cpu: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}
