//! Medians with an interval, so that two runs can be compared.

use serde::{Deserialize, Serialize};

/// The median of starts, and between which values the true one lies in 95 of 100 cases.
///
/// The interval is made of order statistics, which suppose nothing of the distribution. With fewer than
/// six it is from the least to the greatest, and [`coverage`] says how little that is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Median {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Median {
    /// `None` of nothing.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Median> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len();
        let rank = rank(count);
        let low = *sorted.get(rank)?;
        let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
        Some(Median { median, low, high: sorted[count - 1 - rank] })
    }

    /// Of the median of each group.
    pub(super) fn of_medians(groups: &[Vec<f64>], unit: impl Fn(f64) -> f64) -> Option<Median> {
        let of = |group: &Vec<f64>| Median::of(group.iter().copied().map(&unit));
        Median::of(groups.iter().filter_map(of).map(|it| it.median))
    }
}

/// How many of so many sorted values, at either end, are outside the interval: as many as keep the
/// chance that no more of them are below the true median under 2.5 %.
fn rank(count: usize) -> usize {
    // For many values the binomial distribution is the normal one.
    if count > 500 {
        let half = count as f64 / 2.0;
        return (half - 1.96 * (count as f64).sqrt() / 2.0) as usize - 1;
    }
    let (mut term, mut sum, mut below) = (0.5_f64.powi(count as i32), 0.0, 0);
    loop {
        // The chance that exactly so many are below.
        sum += term;
        if sum > 0.025 || below >= count / 2 {
            return below.saturating_sub(1);
        }
        term *= (count - below) as f64 / (below + 1) as f64;
        below += 1;
    }
}

/// How likely the interval of so many values has the true median in it.
pub(super) fn coverage(count: usize) -> f64 {
    let outside = (0..=rank(count))
        .map(|below| (ln_choose(count, below) - count as f64 * std::f64::consts::LN_2).exp());
    (1.0 - 2.0 * outside.sum::<f64>()).max(0.0)
}

/// The logarithm of the number of ways to choose so many of all.
pub(super) fn ln_choose(all: usize, some: usize) -> f64 {
    (0..some).map(|at| ((all - at) as f64 / (some - at) as f64).ln()).sum()
}

/// The value that this share of them does not exceed.
pub(super) fn quantile(values: &mut [u64], share: f64) -> Option<u64> {
    let rank = (values.len() as f64 * share).ceil() as usize;
    let at = rank.clamp(1, values.len().max(1)) - 1;
    (!values.is_empty()).then(|| *values.select_nth_unstable(at).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_is_that_of_the_tables() {
        // Ranks of the 95 % interval of a median as tables of the sign test have them, from 0.
        for (count, wanted) in [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (20, 5), (100, 39)] {
            assert_eq!(rank(count), wanted, "{count}");
        }
        assert_eq!(rank(1000), 468);
        // Nothing jumps where the approximation begins.
        assert!(rank(501) - rank(500) <= 1);
    }

    #[test]
    fn few_values_say_little() {
        // One, three, six and twenty: tables of the sign test have 0, 75, 96.9 and 95.9 %.
        let percent = [1, 3, 6, 20].map(|count| (coverage(count) * 1000.0).round() / 10.0);
        assert_eq!(percent, [0.0, 75.0, 96.9, 95.9]);
    }

    #[test]
    fn median_is_in_the_middle() {
        // Odd, even, one and none.
        let of = |values: &[f64]| Median::of(values.iter().copied());
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(Median { median: 2.0, low: 1.0, high: 3.0 }));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(of(&[7.0]), Some(Median { median: 7.0, low: 7.0, high: 7.0 }));
        assert_eq!(of(&[]), None);
        let many = of(&(1..=9).map(f64::from).collect::<Vec<_>>()).unwrap();
        assert_eq!((many.low, many.high), (2.0, 8.0));
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        // Of a hundred, of three, of one and of none.
        let mut hundred: Vec<u64> = (1..=100).rev().collect();
        let at = [0.0, 0.5, 0.99, 1.0].map(|share| quantile(&mut hundred, share));
        assert_eq!(at, [Some(1), Some(50), Some(99), Some(100)]);
        assert_eq!(quantile(&mut [3, 1, 2], 0.5), Some(2));
        assert_eq!(quantile(&mut [7], 0.99), Some(7));
        assert_eq!(quantile(&mut [], 0.5), None);
    }
}
