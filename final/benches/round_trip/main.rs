//! How long 64 bytes take to another process and back: a call, by a site in the process and by the
//! daemons of two hosts, beside a plain UDP echo, a TCP connection that is kept open and one for each
//! request, in the same run.
//!
//! `cargo bench -p unavez --bench round_trip`. All take turns in small batches, so that whatever else
//! the machine does hits them alike; the median of the batches is printed, and its ratio to the plain
//! echo's. Twice: all processes on one core, and a core for each host. `-- shm` measures only those with
//! "shm" in their names, beside the echo; `-- =unavez` the one that is named so.

mod server;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use std::{env, error, thread};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use unavez::attached::{self, Kind};
use unavez::{IpcClient, Options, Site};

use server::{Daemon, Server};

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

const LEN: usize = 64;
const BATCH: u32 = 50;
const BATCHES: usize = 400;
/// Not measured: caches, round trips and windows settle.
const WARM_UP: usize = 20;
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What all others are compared with.
const PLAIN: &str = "UDP echo";
const KINDS: [Kind; 2] = [Kind::Shm, Kind::Sysv];

fn main() -> Result<()> {
    let args: Vec<String> = env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("serve") => return server::serve(args[2].parse()?, args[3].as_ref()),
        Some("daemon") => return server::run_daemon(args[2].parse()?, args[3].as_ref()),
        _ => {}
    }
    let filter = args.iter().skip(1).find(|arg| !arg.starts_with('-'));
    let filter = filter.map_or("", String::as_str);
    println!("{LEN} bytes there and back, medians of {BATCHES} batches of {BATCH}, in µs");
    // Asked before this process is held on one of them.
    let cores = thread::available_parallelism()?.get();
    measure("one core", 0, filter)?;
    if cores > 1 {
        measure("a core each", 1, filter)?;
    }
    Ok(())
}

/// One way there and back, with its name.
type Contender<'a> = (&'static str, Box<dyn FnMut() -> Result<()> + 'a>);

/// The client's process is this one, on core 0, and so is its daemon.
fn measure(placement: &str, server_cpu: usize, filter: &str) -> Result<()> {
    let (near, far) = (Daemon::start(0)?, Daemon::start(server_cpu)?);
    let server = Server::start(server_cpu, far.socket())?;
    pin(0)?;
    let site = Site::with(Options { listen: HERE, ..Options::default() })?;
    let embedded = IpcClient::new(&site, server.port);
    let attach =
        |channel| Site::attach_with(attached::Options { socket: Some(near.socket()), channel });
    let sites = [attach(KINDS[0])?, attach(KINDS[1])?];
    let [shm, sysv] = [0, 1].map(|at| IpcClient::new(&sites[at], server.attached[at]));
    let udp = UdpSocket::bind(HERE)?;
    udp.connect(server.udp)?;
    let mut tcp = TcpStream::connect(server.tcp)?;
    tcp.set_nodelay(true)?;

    let all: [Contender; 6] = [
        (PLAIN, Box::new(|| echo(&udp))),
        ("TCP, kept open", Box::new(|| exchange(&mut tcp))),
        ("TCP, one each", Box::new(|| exchange(&mut TcpStream::connect(server.tcp_each)?))),
        ("unavez", Box::new(|| call(&embedded))),
        ("unavezd, shm", Box::new(|| call(&shm))),
        ("unavezd, sysv", Box::new(|| call(&sysv))),
    ];
    let wanted = |name: &str| match filter.strip_prefix('=') {
        _ if name == PLAIN => true,
        Some(whole) => name == whole,
        None => name.contains(filter),
    };
    let mut contenders: Vec<Contender> = all.into_iter().filter(|it| wanted(it.0)).collect();
    let mut took = vec![Vec::new(); contenders.len()];
    for batch in 0..WARM_UP + BATCHES {
        for ((_, once), took) in contenders.iter_mut().zip(&mut took) {
            let one = timed(once)?;
            if batch >= WARM_UP {
                took.push(one);
            }
        }
    }
    println!("\n{placement:<16} {:>8} {:>8} {:>8} {:>8}", "median", "10 %", "90 %", "ratio");
    let plain = median(&mut took[0]);
    for ((name, _), took) in contenders.iter().zip(&mut took) {
        let median = median(took);
        let at = |tenth: usize| micros(took[took.len() * tenth / 10]);
        let (low, high) = (at(1), at(9));
        let ratio = median.as_secs_f64() / plain.as_secs_f64();
        println!("{name:<16} {:>8.2} {low:>8.2} {high:>8.2} {ratio:>8.2}", micros(median));
    }
    Ok(())
}

fn echo(udp: &UdpSocket) -> Result<()> {
    udp.send(&[7; LEN])?;
    assert_eq!(udp.recv(&mut [0; LEN])?, LEN);
    Ok(())
}

fn exchange(tcp: &mut TcpStream) -> Result<()> {
    tcp.write_all(&[7; LEN])?;
    Ok(tcp.read_exact(&mut [0; LEN])?)
}

fn call(client: &IpcClient) -> Result<()> {
    let reply = client.call(vec![7; LEN])?;
    assert_eq!(reply.body().len(), LEN);
    Ok(())
}

/// How long one of a batch takes.
fn timed(once: &mut impl FnMut() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    for _ in 0..BATCH {
        once()?;
    }
    Ok(began.elapsed() / BATCH)
}

fn median(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// This process, and the threads that it begins from here on, on this core only.
fn pin(cpu: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}
