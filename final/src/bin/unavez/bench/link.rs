//! A link between two hosts that is as slow, as long and as bad as one wants: what a wide wire does to
//! packets, done to all alike.
//!
//! Invariant: packets of one direction arrive in the order in which they left, none earlier than its
//! bits and its way take.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::Result;

/// What a link is like, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Hop {
    /// Bits in a second. A packet is as long as IP says.
    pub(super) rate: u64,
    /// How long a bit is on its way.
    pub(super) delay: Duration,
    /// The share of packets that get lost.
    pub(super) loss: f64,
}

/// How long the last of the packets that wait for a link waits at most; but these many fit in anyway.
const WAIT_MAX: Duration = Duration::from_millis(60);
const WAITING_MIN: u64 = 50 * 1500;
/// The longest packet.
const PACKET_MAX: usize = 65_535;

/// Carries packets between these two, until the process ends.
pub(super) fn carry(mut ends: [File; 2], hop: Hop, seed: u64) -> Result<()> {
    // Wakes in time, not up to 50 µs later.
    prctl::set_timerslack(1)?;
    let way = |number| Way::new(hop, seed.wrapping_mul(2).wrapping_add(number));
    let mut ways = [way(0), way(1)];
    let mut buffer = vec![0; PACKET_MAX];
    loop {
        let due = ways.iter().filter_map(Way::due).min();
        wait(&ends, due)?;
        let now = Instant::now();
        for side in 0..2 {
            while let Some(len) = read(&mut ends[side], &mut buffer)? {
                ways[side].enter(now, &buffer[..len]);
            }
        }
        let now = Instant::now();
        for side in 0..2 {
            while let Some(packet) = ways[side].leave(now) {
                // An interface that has no room loses it, as one of a real host does.
                let _ = ends[1 - side].write(&packet);
            }
        }
    }
}

/// Waits for a packet, or until one is due.
fn wait(ends: &[File; 2], due: Option<Instant>) -> Result<()> {
    let mut both = ends.each_ref().map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
    let so_long = due.map(|due| TimeSpec::from(due.saturating_duration_since(Instant::now())));
    match ppoll(&mut both, so_long, None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn read(end: &mut File, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match end.read(buffer) {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// One direction of a link.
struct Way {
    hop: Hop,
    /// When the last bit of all that entered will have left.
    free: Option<Instant>,
    on_the_way: VecDeque<(Instant, Vec<u8>)>,
    random: StdRng,
}

impl Way {
    fn new(hop: Hop, seed: u64) -> Way {
        let random = StdRng::seed_from_u64(seed);
        Way { hop, free: None, on_the_way: VecDeque::new(), random }
    }

    /// How long so many bytes take to leave.
    fn takes(&self, len: u64) -> Duration {
        Duration::from_secs_f64(len as f64 * 8.0 / self.hop.rate as f64)
    }

    /// A packet comes to the link: it waits its turn, unless there is no room or it gets lost.
    fn enter(&mut self, now: Instant, packet: &[u8]) {
        let begins = self.free.map_or(now, |free| free.max(now));
        if begins - now > self.takes(WAITING_MIN).max(WAIT_MAX) {
            return;
        }
        let left = begins + self.takes(packet.len() as u64);
        self.free = Some(left);
        // It has been sent, and nobody receives it.
        if !self.random.random_bool(self.hop.loss) {
            self.on_the_way.push_back((left + self.hop.delay, packet.to_vec()));
        }
    }

    fn due(&self) -> Option<Instant> {
        self.on_the_way.front().map(|(due, _)| *due)
    }

    /// The next packet that has arrived.
    fn leave(&mut self, now: Instant) -> Option<Vec<u8>> {
        let due = self.due().filter(|due| *due <= now).is_some();
        if due { self.on_the_way.pop_front().map(|(_, packet)| packet) } else { None }
    }
}

/// A hop as `--hops` takes it: its rate, its delay, and perhaps its loss.
pub(super) fn parse_hop(text: &str) -> std::result::Result<Hop, &'static str> {
    const ALLOWED: &str = "a hop is RATE/DELAY or RATE/DELAY/LOSS, like 10M/1ms or 2M/20ms/1%";
    let parts: Vec<&str> = text.split('/').collect();
    let (rate, delay, loss) = match parts[..] {
        [rate, delay] => (rate, delay, "0"),
        [rate, delay, loss] => (rate, delay, loss),
        _ => return Err(ALLOWED),
    };
    let rate = super::network::parse_rate(rate).ok().and_then(|rate| rate.0).ok_or(ALLOWED)?;
    let delay = crate::args::parse_duration(delay).map_err(|_| ALLOWED)?;
    let loss = crate::args::parse_share(loss).map_err(|_| ALLOWED)?;
    if delay > Duration::from_secs(1) {
        return Err("the longest delay of a hop is 1s");
    }
    Ok(Hop { rate, delay, loss })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOP: Hop = Hop { rate: 8_000_000, delay: Duration::from_millis(5), loss: 0.0 };

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn packets_take_their_bits_and_their_way() {
        // Two packets of 1,000 bytes at once, on a link of 1,000 bytes in a millisecond.
        let (mut way, began) = (Way::new(HOP, 1), Instant::now());
        way.enter(began, &[1; 1000]);
        way.enter(began, &[2; 1000]);
        assert_eq!(way.leave(began + ms(5)), None);
        assert_eq!(way.leave(began + ms(6)), Some(vec![1; 1000]));
        assert_eq!((way.leave(began + ms(6)), way.due()), (None, Some(began + ms(7))));
        assert_eq!(way.leave(began + ms(7)), Some(vec![2; 1000]));
        // An idle link saves nothing up.
        way.enter(began + ms(100), &[3; 1000]);
        assert_eq!(way.due(), Some(began + ms(106)));
    }

    #[test]
    fn full_queue_takes_no_more() {
        // 75 ms of packets fit in, as 50 long ones take longer than 60 ms here.
        let (mut way, now) = (Way::new(HOP, 1), Instant::now());
        (0..100).for_each(|_| way.enter(now, &[0; 1000]));
        assert_eq!(way.on_the_way.len(), 76);
        way.enter(now + ms(10), &[0; 1000]);
        assert_eq!(way.on_the_way.len(), 77);
    }

    #[test]
    fn loss_is_as_large_as_asked_for_and_the_same_again() {
        // Ten thousand small packets, a tenth of them lost; the same seed loses the same ones.
        let arrived = |seed| {
            let hop = Hop { loss: 0.1, rate: 8_000_000_000, ..HOP };
            let (mut way, began) = (Way::new(hop, seed), Instant::now());
            for number in 0..10_000_u32 {
                way.enter(began + ms(number.into()), &number.to_be_bytes());
            }
            way.on_the_way.into_iter().map(|(_, packet)| packet).collect::<Vec<_>>()
        };
        assert!((8800..9200).contains(&arrived(1).len()));
        assert!(arrived(1) == arrived(1) && arrived(1) != arrived(2));
    }

    #[test]
    fn hops_are_said_in_short() {
        // With loss and without, and what people mistype.
        assert_eq!(parse_hop("8M/5ms"), Ok(HOP));
        assert_eq!(parse_hop("8M/5ms/10%"), Ok(Hop { loss: 0.1, ..HOP }));
        for text in ["8M", "8M/5", "8/5ms", "none/5ms", "8M/5ms/2", "8M/2s", "8M/5ms/0/0", ""] {
            assert!(parse_hop(text).is_err(), "{text}");
        }
    }
}
