//! How long 64 bytes take to another process and back: a call, beside a plain UDP echo and a TCP
//! connection that is kept open, in the same run.
//!
//! `cargo bench -p unavez --bench round_trip`. The three take turns in small batches, so that whatever
//! else the machine does hits them alike; the median of the batches is printed, and its ratio to the
//! plain echo's. Twice: both processes on one core, and a core for each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{self, Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, error, io, thread};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use unavez::{IpcClient, IpcPort, IpcServer, Options, Site};

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

const LEN: usize = 64;
const BATCH: u32 = 50;
const BATCHES: usize = 400;
/// Not measured: caches, round trips and windows settle.
const WARM_UP: usize = 20;
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn main() -> Result<()> {
    if env::args().nth(1).as_deref() == Some("serve") {
        let cpu = env::args().nth(2).ok_or("which core?")?;
        return serve(cpu.parse()?);
    }
    println!("{LEN} bytes there and back, medians of {BATCHES} batches of {BATCH}, in µs");
    // Asked before this process is held on one of them.
    let cores = thread::available_parallelism()?.get();
    measure("one core", 0)?;
    if cores > 1 {
        measure("a core each", 1)?;
    }
    Ok(())
}

/// The client's process is this one, on core 0.
fn measure(placement: &str, server_cpu: usize) -> Result<()> {
    let server = Server::start(server_cpu)?;
    pin(0)?;
    let site = Site::with(Options { listen: HERE, ..Options::default() })?;
    let client = IpcClient::new(&site, server.port);
    let udp = UdpSocket::bind(HERE)?;
    udp.connect(server.udp)?;
    let mut tcp = TcpStream::connect(server.tcp)?;
    tcp.set_nodelay(true)?;

    let (body, mut buffer) = ([7; LEN], [0; LEN]);
    let mut plain = || -> Result<()> {
        udp.send(&body)?;
        assert_eq!(udp.recv(&mut buffer)?, LEN);
        Ok(())
    };
    let mut kept = || -> Result<()> {
        tcp.write_all(&body)?;
        Ok(tcp.read_exact(&mut [0; LEN])?)
    };
    let mut call = || -> Result<()> {
        let reply = client.call(body.to_vec())?;
        assert_eq!(reply.body().len(), LEN);
        Ok(())
    };
    let mut took: [Vec<Duration>; 3] = Default::default();
    for batch in 0..WARM_UP + BATCHES {
        let turn = [timed(&mut plain)?, timed(&mut kept)?, timed(&mut call)?];
        if batch >= WARM_UP {
            took.iter_mut().zip(turn).for_each(|(all, one)| all.push(one));
        }
    }
    println!("\n{placement:<16} {:>8} {:>8} {:>8} {:>8}", "median", "10 %", "90 %", "ratio");
    let echo = median(&mut took[0]);
    for (name, took) in ["UDP echo", "TCP, kept open", "unavez call"].iter().zip(&mut took) {
        let median = median(took);
        let at = |tenth: usize| micros(took[took.len() * tenth / 10]);
        let (low, high) = (at(1), at(9));
        let ratio = median.as_secs_f64() / echo.as_secs_f64();
        println!("{name:<16} {:>8.2} {low:>8.2} {high:>8.2} {ratio:>8.2}", micros(median));
    }
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

/// The other process; it ends with this value.
struct Server {
    process: Child,
    udp: SocketAddr,
    tcp: SocketAddr,
    port: IpcPort,
}

impl Server {
    fn start(cpu: usize) -> Result<Server> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["serve", &cpu.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let out = process.stdout.take().ok_or("it is piped")?;
        let lines = BufReader::new(out).lines().take(3).collect::<io::Result<Vec<String>>>()?;
        let [udp, tcp, port] = &lines[..] else { return Err("the server did not start".into()) };
        Ok(Server { process, udp: udp.parse()?, tcp: tcp.parse()?, port: port.parse()? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All three echoes, until the process that started this one is gone.
fn serve(cpu: usize) -> Result<()> {
    pin(cpu)?;
    let udp = UdpSocket::bind(HERE)?;
    let tcp = TcpListener::bind(HERE)?;
    let site = Site::with(Options { listen: HERE, ..Options::default() })?;
    let server = IpcServer::new(&site)?;
    println!("{}\n{}\n{}", udp.local_addr()?, tcp.local_addr()?, server.port());
    thread::spawn(move || -> io::Result<()> {
        let mut buffer = [0; LEN];
        loop {
            let (length, from) = udp.recv_from(&mut buffer)?;
            udp.send_to(&buffer[..length], from)?;
        }
    });
    thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = tcp.accept()?;
        stream.set_nodelay(true)?;
        let mut buffer = [0; LEN];
        loop {
            stream.read_exact(&mut buffer)?;
            stream.write_all(&buffer)?;
        }
    });
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0)
    });
    loop {
        let (request, id) = server.receive_request()?;
        server.send_reply(request, id)?;
    }
}

/// This process, and the threads that it begins from here on, on this core only.
fn pin(cpu: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}
