//! Two clients at the same time on one wire: how they share it, and how small calls fare beside a long
//! transfer.

use std::time::Duration;

use super::contender::Contender;
use super::orders::{Batch, Kind, Order};
use super::scene::Scene;
use crate::Result;
use crate::net::Stop;

/// How soon a transfer has taken the wire.
pub(super) const HEAD_START: Duration = Duration::from_millis(300);
/// Two flows take some time to find their shares, and then the shares are what they are.
pub(super) const SHARE_TIME: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];
pub(super) const BESIDE_TIME_MIN: Duration = Duration::from_millis(500);

/// What two flows had of the wire, in message bits a second.
pub(super) type Goodputs = [f64; 2];

/// Why a contender cannot.
type Attempt<T> = Result<std::result::Result<T, String>>;

/// Two flows at once, for so long.
pub(super) fn share(
    scene: &mut Scene,
    flows: [Contender; 2],
    message: Kind,
    time: Duration,
    stop: &Stop,
) -> Attempt<Goodputs> {
    let order = |contender| Order::Flood { contender, message, time };
    let [first, second] = scene.order_both(&flows.map(order), Duration::ZERO, stop)?;
    Ok(first.and_then(|first| {
        let both = [first, second?];
        let from = both.iter().map(|it| it.began_ns).max().unwrap_or_default();
        let to = both.iter().map(|it| it.began_ns + it.all_ns).min().unwrap_or_default();
        let seconds = to.saturating_sub(from) as f64 / 1e9;
        Ok(both.map(|it| messages_within(&it, from, to) * (message.len * 8) as f64 / seconds))
    }))
}

/// How many messages passed while both flows were there; of one that began before or ended after, as
/// much as of its time is within.
fn messages_within(batch: &Batch, from: u64, to: u64) -> f64 {
    let mut began = batch.began_ns;
    let parts = batch.took_ns.iter().map(|took| {
        let ended = began + took;
        let within = ended.min(to).saturating_sub(began.max(from));
        began = ended;
        within as f64 / (*took).max(1) as f64
    });
    parts.sum()
}

/// How long small calls take, in ns, alone and beside long transfers by the same contender.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    pub(super) alone: Vec<u64>,
    pub(super) beside: Vec<u64>,
}

impl Calls {
    pub(super) fn add(&mut self, mut more: Calls) {
        self.alone.append(&mut more.alone);
        self.beside.append(&mut more.beside);
    }
}

pub(super) fn beside(
    scene: &mut Scene,
    contender: Contender,
    [small, long]: [Kind; 2],
    time: Duration,
    stop: &Stop,
) -> Attempt<Calls> {
    let calls = Order::Flood { contender, message: small, time };
    let alone = match scene.order(&calls, stop)? {
        Ok(batch) => batch.took_ns,
        Err(why) => return Ok(Err(why)),
    };
    let transfer = Order::Flood { contender, message: long, time: time + HEAD_START };
    let [transfer, calls] = scene.order_both(&[transfer, calls], HEAD_START, stop)?;
    Ok(transfer.and_then(|_| Ok(Calls { alone, beside: calls?.took_ns })))
}

/// Jain's index of fairness: 1 if all have the same, 1/n if one of n has all.
pub(super) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_count_as_far_as_they_are_within() {
        // Three messages of 10 each from 100 on; three tenths of the second and all of the third.
        let batch = Batch {
            took_ns: vec![10, 10, 10],
            began_ns: 100,
            all_ns: 30,
            counted: 3,
            cpu_ns: [0; 2],
            packets: 0,
            bytes_in: 0,
        };
        assert_eq!(messages_within(&batch, 0, 200), 3.0);
        assert!((messages_within(&batch, 117, 140) - 1.3).abs() < 1e-12);
        assert_eq!(messages_within(&batch, 200, 300), 0.0);
    }

    #[test]
    fn index_of_fairness_is_jains() {
        // All the same, one has all, and in between.
        assert_eq!(jain(&[5.0, 5.0]), 1.0);
        assert_eq!(jain(&[5.0, 0.0]), 0.5);
        assert!((jain(&[3.0, 1.0]) - 0.8).abs() < 1e-12);
    }
}
