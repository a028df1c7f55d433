//! A worse network than the real one, to try things on: datagrams that this site sends are lost, doubled
//! or overtaken.
//!
//! Invariant: no datagram is held for longer than [`HELD_MAX`], so that the protocol's bound on their
//! life holds (MPL).

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock;
use crate::protocol::Time;
use crate::udp::Unsent;

/// A datagram that waits to be overtaken is lost if nothing follows for so long.
const HELD_MAX: Duration = Duration::from_millis(500);

/// What happens to the datagrams that a site sends: each probability is from 0 to 1.
///
/// ```no_run
/// use unavez::embedded::{Link, Options, Site};
///
/// let link = Some(Link { loss: 0.1, double: 0.05, reorder: 0.05, ..Link::default() });
/// let site = Site::with(Options { link, ..Options::default() })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Link {
    /// How many are lost.
    pub loss: f64,
    /// How many arrive twice.
    pub double: f64,
    /// How many are overtaken by the next one.
    pub reorder: f64,
    /// These are lost in any case: the first one sent is number 1.
    pub drop: Vec<u64>,
    /// Another seed, other dice.
    pub seed: u64,
}

/// A link at work.
#[derive(Debug)]
pub(crate) struct Way {
    link: Link,
    dice: StdRng,
    sent: u64,
    held: Option<(Time, SocketAddr, Vec<u8>)>,
}

impl Way {
    pub(crate) fn new(link: Link) -> Way {
        Way { dice: StdRng::seed_from_u64(link.seed), link, sent: 0, held: None }
    }

    pub(crate) fn send(
        &mut self,
        to: SocketAddr,
        datagram: &[u8],
        mut send: impl FnMut(SocketAddr, &[u8]) -> Result<(), Unsent>,
    ) -> Result<(), Unsent> {
        self.sent += 1;
        let lost = self.falls(self.link.loss) || self.link.drop.contains(&self.sent);
        let (doubled, overtaken) = (self.falls(self.link.double), self.falls(self.link.reorder));
        let held = self.held.take();
        let now = clock::now().running;
        let mut done = Ok(());
        if !lost && overtaken {
            self.held = Some((now, to, datagram.to_vec()));
        } else if !lost {
            for _ in 0..1 + u32::from(doubled) {
                done = send(to, datagram);
            }
        }
        if let Some((since, to, datagram)) = held
            && now < since + HELD_MAX
        {
            // Its packets are taken for sent already.
            let _ = send(to, &datagram);
        }
        done
    }

    fn falls(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.dice.random_bool(probability.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(link: Link, count: u8) -> Vec<u8> {
        let (mut way, mut sent) = (Way::new(link), Vec::new());
        let to = "127.0.0.1:9".parse().unwrap();
        for number in 1..=count {
            let send = |_: SocketAddr, datagram: &[u8]| {
                sent.push(datagram[0]);
                Ok(())
            };
            way.send(to, &[number], send).unwrap();
        }
        sent
    }

    /// A plan names datagrams: exactly these are lost.
    #[test]
    fn exactly_these_are_lost() {
        assert_eq!(sent(Link { drop: vec![1, 3], ..Link::default() }, 4), [2, 4]);
    }

    /// Every second thing happens always.
    #[test]
    fn certain_faults_are_certain() {
        assert_eq!(sent(Link { loss: 1.0, ..Link::default() }, 4), [0; 0]);
        assert_eq!(sent(Link { double: 1.0, ..Link::default() }, 2), [1, 1, 2, 2]);
    }

    /// Some are overtaken by the next one, and all arrive but the last if it waits.
    #[test]
    fn overtaken_ones_follow() {
        let sent = sent(Link { reorder: 0.5, ..Link::default() }, 100);
        assert!(sent.len() >= 99 && !sent.is_sorted(), "{sent:?}");
        let strayed = |(at, number): (usize, &u8)| usize::from(*number).abs_diff(at + 1) > 60;
        assert!(!sent.iter().enumerate().any(strayed));
    }
}
