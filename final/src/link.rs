//! A worse network than the real one, to try things on: datagrams are lost, doubled or overtaken.
//!
//! Invariant: no datagram comes out later than `HELD_MAX` after it went in, so that the protocol's
//! bound on their life holds (MPL).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// What happens to the datagrams on a link: each share is from 0 to 1, and 0 by default.
///
/// ```no_run
/// use unavez::{Options, Site, link::Link};
///
/// let link = Some(Link { loss: 0.1, double: 0.05, reorder: 0.05, ..Link::default() });
/// let site = Site::with(Options { link, ..Options::default() })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Link {
    /// The share that is lost.
    pub loss: f64,
    /// The share that arrives twice.
    pub double: f64,
    /// The share that is held back until one, two or three others have passed.
    pub reorder: f64,
    /// These are lost in any case: the first one sent is number 1.
    pub drop: Vec<u64>,
    /// The same seed, the same faults.
    pub seed: u64,
}

/// How long a datagram is held back at most; after that it is lost. Less than any packet lives.
const HELD_MAX: Duration = Duration::from_millis(500);

/// A link at work.
///
/// ```
/// use unavez::link::{Link, Way};
///
/// let mut way = Way::new(Link { drop: vec![1, 3], ..Link::default() });
/// let to = "127.0.0.1:7373".parse()?;
/// let mut arrived = Vec::new();
/// for datagram in [b"a", b"b", b"c", b"d"] {
///     way.pass(to, datagram, |_, datagram| Ok::<_, ()>(arrived.extend_from_slice(datagram)));
/// }
/// assert_eq!(arrived, b"bd");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Way {
    link: Link,
    dice: StdRng,
    held: Vec<Held>,
    passed: Passed,
}

/// What came of the datagrams on a link so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// All that were sent.
    pub sent: u64,
    /// Of these, lost.
    pub lost: u64,
    /// Of these, sent twice.
    pub doubled: u64,
    /// Of these, held back.
    pub held: u64,
}

/// A datagram that others overtake.
#[derive(Debug)]
struct Held {
    since: Instant,
    /// So many more pass before it.
    overtaken_by: u32,
    to: SocketAddr,
    datagram: Vec<u8>,
}

impl Way {
    /// A link on which nothing is. Shares above 1 count as 1.
    pub fn new(link: Link) -> Way {
        let dice = StdRng::seed_from_u64(link.seed);
        Way { link, dice, held: Vec::new(), passed: Passed::default() }
    }

    /// A datagram is sent; what comes out, this one or others, goes to `send`.
    ///
    /// # Errors
    /// That of `send` for this datagram. Those that were held back are taken for sent already.
    pub fn pass<E>(
        &mut self,
        to: SocketAddr,
        datagram: &[u8],
        mut send: impl FnMut(SocketAddr, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.passed.sent += 1;
        // All is drawn for every datagram, so that one fault does not change what another draws.
        let lost = self.falls(self.link.loss) || self.link.drop.contains(&self.passed.sent);
        let doubled = self.falls(self.link.double) && !lost;
        let held = self.falls(self.link.reorder) && !lost;
        let overtaken_by = self.dice.random_range(1..=3);
        self.passed.lost += u64::from(lost);
        self.passed.doubled += u64::from(doubled);
        self.passed.held += u64::from(held);

        let copies = if lost { 0 } else { 1 + u32::from(doubled) };
        let mut done = Ok(());
        // Of a datagram that is doubled and held back, one copy is early and one is late. It is refused
        // if no copy leaves (R3).
        for number in u32::from(held)..copies {
            let sent = send(to, datagram);
            done = if number == 0 { sent } else { done.or(sent) };
        }
        self.release(&mut send);
        if held {
            let (since, datagram) = (Instant::now(), datagram.to_vec());
            self.held.push(Held { since, overtaken_by, to, datagram });
            return Ok(());
        }
        done
    }

    /// What came of them so far.
    pub fn passed(&self) -> Passed {
        self.passed
    }

    /// One more has passed those that are held back.
    fn release<E>(&mut self, send: &mut impl FnMut(SocketAddr, &[u8]) -> Result<(), E>) {
        self.held.retain_mut(|held| {
            held.overtaken_by -= 1;
            if held.since.elapsed() > HELD_MAX {
                return false;
            }
            if held.overtaken_by == 0 {
                let _ = send(held.to, &held.datagram);
            }
            held.overtaken_by > 0
        });
    }

    fn falls(&mut self, share: f64) -> bool {
        self.dice.random_bool(share.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of a link when these numbers go in, one after the other.
    fn arrivals(link: Link, numbers: u32) -> (Vec<u32>, Passed) {
        let mut way = Way::new(link);
        let to = SocketAddr::from(([127, 0, 0, 1], 7373));
        let mut arrived = Vec::new();
        for number in 0..numbers {
            let send = |_, datagram: &[u8]| {
                arrived.push(u32::from_be_bytes(datagram.try_into().unwrap()));
                Ok::<_, ()>(())
            };
            way.pass(to, &number.to_be_bytes(), send).unwrap();
        }
        (arrived, way.passed())
    }

    #[test]
    fn good_link_passes_all_in_order() {
        // No faults: a hundred datagrams.
        let (arrived, passed) = arrivals(Link::default(), 100);
        assert!(arrived.iter().copied().eq(0..100));
        assert_eq!(passed, Passed { sent: 100, ..Passed::default() });
    }

    #[test]
    fn dropped_numbers_are_lost_and_no_others() {
        // The first and the third of five.
        let (arrived, passed) = arrivals(Link { drop: vec![1, 3], ..Link::default() }, 5);
        assert_eq!(arrived, [1, 3, 4]);
        assert_eq!(passed.lost, 2);
    }

    #[test]
    fn shares_are_kept() {
        // 10 % lost, 20 % doubled, of ten thousand.
        let link = Link { loss: 0.1, double: 0.2, ..Link::default() };
        let (arrived, passed) = arrivals(link, 10_000);
        assert!((900..1100).contains(&passed.lost), "{passed:?}");
        assert!((1650..1950).contains(&passed.doubled), "{passed:?}");
        assert_eq!(arrived.len() as u64, passed.sent - passed.lost + passed.doubled);
    }

    #[test]
    fn certain_faults_are_certain() {
        // All lost, and all doubled.
        assert_eq!(arrivals(Link { loss: 1.0, ..Link::default() }, 4).0, [0; 0]);
        assert_eq!(arrivals(Link { double: 1.0, ..Link::default() }, 2).0, [0, 0, 1, 1]);
    }

    #[test]
    fn held_datagrams_are_overtaken_by_three_at_most() {
        // Half of a thousand is held back; none is lost but those at the end that nothing pushes out.
        let (arrived, passed) = arrivals(Link { reorder: 0.5, ..Link::default() }, 1000);
        assert!(passed.held > 400 && arrived.len() >= 997, "{passed:?}, {} came", arrived.len());
        assert!(!arrived.is_sorted());
        for (place, number) in arrived.iter().enumerate() {
            let earlier = arrived[..place].iter().filter(|earlier| *earlier > number).count();
            assert!(earlier <= 3, "{number} was overtaken by {earlier}");
        }
    }

    #[test]
    fn same_seed_has_the_same_faults() {
        // Two links of one seed, one of another.
        let link = |seed| Link { loss: 0.3, double: 0.3, reorder: 0.3, seed, ..Link::default() };
        assert_eq!(arrivals(link(1), 500), arrivals(link(1), 500));
        assert_ne!(arrivals(link(1), 500), arrivals(link(2), 500));
    }

    #[test]
    fn held_too_long_is_lost() {
        // A datagram is held back on a link that then falls silent for longer than a packet may live:
        // what comes out much later would be a duplicate that nobody reckons with (R23).
        let mut way = Way::new(Link { reorder: 1.0, ..Link::default() });
        let to = SocketAddr::from(([127, 0, 0, 1], 7373));
        let mut arrived = 0;
        let mut send = |_, datagram: &[u8]| {
            arrived += u32::from(datagram == b"late");
            Ok::<_, ()>(())
        };
        way.pass(to, b"late", &mut send).unwrap();
        way.held[0].since -= HELD_MAX * 2;
        for _ in 0..4 {
            way.pass(to, b"next", &mut send).unwrap();
        }
        assert_eq!(arrived, 0);
    }

    /// A datagram of which one copy left is no unsent one (R3), whichever that was.
    #[test]
    fn one_copy_that_leaves_is_enough() {
        let to = SocketAddr::from(([127, 0, 0, 1], 7373));
        let link = |double, reorder| Link { double, reorder, ..Link::default() };
        for (link, results, expected) in [
            (link(1.0, 0.0), [Ok(()), Err(())], Ok(())),
            (link(1.0, 0.0), [Err(()), Ok(())], Ok(())),
            (link(1.0, 0.0), [Err(()), Err(())], Err(())),
            (link(1.0, 1.0), [Err(()), Err(())], Ok(())),
        ] {
            let mut results = results.into_iter();
            let sent = Way::new(link).pass(to, b"x", |_, _| results.next().unwrap());
            assert_eq!(sent, expected);
        }
    }
}
