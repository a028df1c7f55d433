//! The client's process: carries out orders, and measures.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use super::contender::Contender;
use super::orders::{Addresses, Answer, Batch, Kind, Message, Order};
use super::peers::{self, Peer};
use crate::Result;

/// What was begun and is not waited for, like the end of a connection, is over after that long: it
/// counts for the contender that caused it, and does not disturb the next one. Where the way is long it
/// takes as long as an exchange more.
const SETTLE: Duration = Duration::from_micros(300);
const SETTLE_MAX: Duration = Duration::from_millis(10);
/// When all is at rest: Linux delays an acknowledgement by 40 ms.
pub(super) const REST: Duration = Duration::from_millis(50);

pub(super) struct Client {
    ip: IpAddr,
    at: Addresses,
    daemon: Option<PathBuf>,
    peers: BTreeMap<Contender, Box<dyn Peer>>,
    meter: Meter,
}

impl Client {
    /// `sides` are the processes of either side, as far as they are others than this one, the server
    /// first.
    pub(super) fn new(
        ip: IpAddr,
        at: Addresses,
        daemon: Option<PathBuf>,
        sides: &[Vec<i32>; 2],
    ) -> Result<Client> {
        let meter = Meter::new(sides)?;
        Ok(Client { ip, at, daemon, peers: BTreeMap::new(), meter })
    }

    pub(super) fn carry_out(&mut self, order: Order) -> Answer {
        let contender = order.contender();
        let done = match order {
            Order::Exchange { message, calls, unmeasured, .. } => {
                self.exchange(contender, &Message::new(message), calls, unmeasured)
            }
            Order::Count { message, calls, .. } => {
                self.count(contender, &Message::new(message), calls)
            }
            Order::Pipeline { message, calls, open, .. } => {
                self.pipeline(contender, &Message::new(message), calls as usize, open as usize)
            }
            Order::Flood { message, time, .. } => {
                self.flood(contender, &Message::new(message), time)
            }
        };
        done.map_err(|error| {
            // What is left of it is not trusted.
            self.peers.remove(&contender);
            error.to_string()
        })
    }

    fn peer(&mut self, contender: Contender) -> Result<&mut Box<dyn Peer>> {
        if !self.peers.contains_key(&contender) {
            let at = match self.at.get(&contender) {
                Some(Ok(at)) => at,
                Some(Err(why)) => return Err(why.clone().into()),
                None => return Err("it is not served".into()),
            };
            let peer = peers::connect(contender, self.ip, at, self.daemon.as_deref())?;
            self.peers.insert(contender, peer);
        }
        Ok(self.peers.get_mut(&contender).expect("it was put there"))
    }

    fn exchange(
        &mut self,
        contender: Contender,
        message: &Message,
        calls: u32,
        unmeasured: u32,
    ) -> Result<Batch> {
        self.peer(contender)?;
        let before = self.meter.read()?;
        let peer = self.peer(contender)?;
        for _ in 0..unmeasured {
            peer.exchange(message)?;
        }
        let (took_ns, all) = timed(peer, message, |done, _| done < calls)?;
        self.batch(&before, calls + unmeasured, took_ns, all)
    }

    fn count(&mut self, contender: Contender, message: &Message, calls: u32) -> Result<Batch> {
        // An open QUIC connection is never at rest.
        self.peers.retain(|other, _| *other == contender || *other != Contender::QuicOpen);
        // What happens the first time only is not part of it.
        self.peer(contender)?.exchange(message)?;
        thread::sleep(REST);
        let before = self.meter.read()?;
        let (took_ns, all) = timed(self.peer(contender)?, message, |done, _| done < calls)?;
        thread::sleep(REST);
        self.batch(&before, calls, took_ns, all)
    }

    fn flood(&mut self, contender: Contender, message: &Message, time: Duration) -> Result<Batch> {
        // What happens the first time only is not part of it.
        self.peer(contender)?.exchange(&Message::new(Kind::there_and_back(1)))?;
        let before = self.meter.read()?;
        let (took_ns, all) =
            timed(self.peer(contender)?, message, |done, since| done == 0 || since < time)?;
        self.batch(&before, took_ns.len() as u32, took_ns, all)
    }

    fn pipeline(
        &mut self,
        contender: Contender,
        message: &Message,
        calls: usize,
        open: usize,
    ) -> Result<Batch> {
        self.peer(contender)?;
        let before = self.meter.read()?;
        let peer = self.peer(contender)?;
        let began = Instant::now();
        peer.pipeline(message, calls, open)?;
        let all = began.elapsed();
        self.batch(&before, calls as u32, Vec::new(), all)
    }

    fn batch(
        &self,
        before: &Reading,
        counted: u32,
        took_ns: Vec<u64>,
        all: Duration,
    ) -> Result<Batch> {
        // What was timed has just ended.
        let ended = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
        let once = took_ns.iter().min().copied().map(Duration::from_nanos).unwrap_or_default();
        thread::sleep(SETTLE + once.min(SETTLE_MAX));
        let after = self.meter.read()?;
        Ok(Batch {
            took_ns,
            began_ns: ended.saturating_sub(all).as_nanos() as u64,
            all_ns: all.as_nanos() as u64,
            counted,
            cpu_ns: [0, 1].map(|side| after.cpu_ns[side].saturating_sub(before.cpu_ns[side])),
            packets: after.packets.saturating_sub(before.packets),
            bytes_in: after.bytes_in.saturating_sub(before.bytes_in),
        })
    }
}

/// Exchanges one after the other, as long as these are to go on: how long each took, and all.
fn timed(
    peer: &mut Box<dyn Peer>,
    message: &Message,
    goes_on: impl Fn(u32, Duration) -> bool,
) -> Result<(Vec<u64>, Duration)> {
    let mut took_ns = Vec::with_capacity(4096);
    let began = Instant::now();
    let mut last = began;
    while goes_on(took_ns.len() as u32, last - began) {
        peer.exchange(message)?;
        let now = Instant::now();
        took_ns.push((now - last).as_nanos() as u64);
        last = now;
    }
    Ok((took_ns, last - began))
}

/// Reads what the kernel counts.
struct Meter {
    /// The clocks of the processes of the client's and of the server's side.
    sides: [Vec<ClockId>; 2],
    /// The interfaces of the client's host and of the server's.
    interfaces: [String; 2],
}

struct Reading {
    cpu_ns: [u64; 2],
    packets: u64,
    bytes_in: u64,
}

impl Meter {
    fn new(sides: &[Vec<i32>; 2]) -> Result<Meter> {
        let server = sides[1].first().ok_or("there is no server")?;
        let interfaces = ["thread-self".into(), server.to_string()];
        let clocks = |pids: &Vec<i32>| -> Result<Vec<ClockId>> {
            let clocks = pids.iter().map(|pid| clock_getcpuclockid(Pid::from_raw(*pid)));
            Ok(clocks.collect::<nix::Result<_>>()?)
        };
        let mut sides = [clocks(&sides[0])?, clocks(&sides[1])?];
        sides[0].push(ClockId::CLOCK_PROCESS_CPUTIME_ID);
        Ok(Meter {
            sides,
            interfaces: interfaces.map(|process| format!("/proc/{process}/net/dev")),
        })
    }

    fn read(&self) -> Result<Reading> {
        let ran = |clocks: &Vec<ClockId>| -> nix::Result<u64> {
            let times = clocks.iter().map(|clock| clock_gettime(*clock));
            times.map(|time| time.map(|time| Duration::from(time).as_nanos() as u64)).sum()
        };
        let cpu_ns = [ran(&self.sides[0])?, ran(&self.sides[1])?];
        let passed = |path: &String| -> Result<Passed> {
            let text = fs::read_to_string(path)?;
            Ok(Passed::read(&text).ok_or_else(|| format!("{path} is not understood"))?)
        };
        let (near, far) = (passed(&self.interfaces[0])?, passed(&self.interfaces[1])?);
        Ok(Reading { cpu_ns, packets: near.packets, bytes_in: far.bytes_in })
    }
}

/// What passed the interfaces of a host.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    /// In either direction; loopback has but one.
    packets: u64,
    bytes_in: u64,
}

impl Passed {
    /// From a table as the kernel prints it.
    fn read(table: &str) -> Option<Passed> {
        let mut passed = Passed { packets: 0, bytes_in: 0 };
        for line in table.lines().skip(2) {
            let (name, numbers) = line.split_once(':')?;
            let numbers = numbers.split_ascii_whitespace().map(|number| number.parse().ok());
            let numbers: Vec<u64> = numbers.collect::<Option<_>>()?;
            let [bytes_in, received, sent] = [0, 1, 9].map(|at| numbers.get(at).copied());
            passed.packets += if name.trim() == "lo" { 0 } else { received? };
            passed.packets += sent?;
            passed.bytes_in += bytes_in?;
        }
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_loopback_count_once() {
        // As the kernel prints it: 5 packets through loopback, 3 received and 4 sent by another.
        let table = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0
  eth0:     300       3    0    0    0     0          0         0      400       4    0    0    0     0       0          0
";
        assert_eq!(Passed::read(table), Some(Passed { packets: 12, bytes_in: 800 }));
        assert_eq!(Passed::read("a\nb\nno colon"), None);
        assert_eq!(Passed::read("a\nb\nlo: 1 2 3"), None);
    }
}
