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
use super::orders::{Addresses, Answer, Batch, Message, Order};
use super::peers::{self, Peer};
use crate::Result;

/// What was begun and is not waited for, like the end of a connection, is over after that long: it
/// counts for the contender that caused it, and does not disturb the next one.
const SETTLE: Duration = Duration::from_micros(300);

pub(super) struct Client {
    ip: IpAddr,
    at: Addresses,
    daemon: Option<PathBuf>,
    peers: BTreeMap<Contender, Box<dyn Peer>>,
    meter: Meter,
}

impl Client {
    /// `sides` are the processes of either side, as far as they are others than this one.
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
        let (Order::Exchange { contender, .. } | Order::Pipeline { contender, .. }) = order;
        let done = match order {
            Order::Exchange { message, calls, unmeasured, .. } => {
                self.exchange(contender, &Message::new(message), calls, unmeasured)
            }
            Order::Pipeline { message, calls, open, .. } => {
                self.pipeline(contender, &Message::new(message), calls as usize, open as usize)
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
        let mut took_ns = Vec::with_capacity(calls as usize);
        let began = Instant::now();
        let mut last = began;
        for _ in 0..calls {
            peer.exchange(message)?;
            let now = Instant::now();
            took_ns.push((now - last).as_nanos() as u64);
            last = now;
        }
        self.batch(&before, calls + unmeasured, took_ns, last - began)
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
        thread::sleep(SETTLE);
        let after = self.meter.read()?;
        Ok(Batch {
            took_ns,
            all_ns: all.as_nanos() as u64,
            counted,
            cpu_ns: [0, 1].map(|side| after.cpu_ns[side].saturating_sub(before.cpu_ns[side])),
            packets: after.packets.saturating_sub(before.packets),
        })
    }
}

/// Reads what the kernel counts.
struct Meter {
    /// The clocks of the processes of the client's and of the server's side.
    sides: [Vec<ClockId>; 2],
}

struct Reading {
    cpu_ns: [u64; 2],
    packets: u64,
}

impl Meter {
    fn new(sides: &[Vec<i32>; 2]) -> Result<Meter> {
        let clocks = |pids: &Vec<i32>| -> Result<Vec<ClockId>> {
            let clocks = pids.iter().map(|pid| clock_getcpuclockid(Pid::from_raw(*pid)));
            Ok(clocks.collect::<nix::Result<_>>()?)
        };
        let mut sides = [clocks(&sides[0])?, clocks(&sides[1])?];
        sides[0].push(ClockId::CLOCK_PROCESS_CPUTIME_ID);
        Ok(Meter { sides })
    }

    fn read(&self) -> Result<Reading> {
        let ran = |clocks: &Vec<ClockId>| -> nix::Result<u64> {
            let times = clocks.iter().map(|clock| clock_gettime(*clock));
            times.map(|time| time.map(|time| Duration::from(time).as_nanos() as u64)).sum()
        };
        let cpu_ns = [ran(&self.sides[0])?, ran(&self.sides[1])?];
        let text = fs::read_to_string("/proc/thread-self/net/dev")?;
        Ok(Reading { cpu_ns, packets: packets(&text).ok_or("/proc/net/dev is not understood")? })
    }
}

/// What passed the interfaces in either direction; loopback has but one.
fn packets(table: &str) -> Option<u64> {
    let mut sum = 0;
    for line in table.lines().skip(2) {
        let (name, numbers) = line.split_once(':')?;
        let mut numbers = numbers.split_ascii_whitespace();
        let received: u64 = numbers.nth(1)?.parse().ok()?;
        let sent: u64 = numbers.nth(7)?.parse().ok()?;
        sum += if name.trim() == "lo" { sent } else { received + sent };
    }
    Some(sum)
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
        assert_eq!(packets(table), Some(12));
        assert_eq!(packets("a\nb\nno colon"), None);
    }
}
