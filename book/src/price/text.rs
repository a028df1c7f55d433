//! The kept file: the machine in the first line, then a line for each price, its columns separated by
//! `|`, in µs.

use std::fmt;
use std::fs;
use std::str::FromStr;

/// A run of the bench.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// What it ran on, and how much was measured.
    pub machine: String,
    /// What everything took.
    pub costs: Vec<Cost>,
}

/// What one way takes at one placement.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Where the processes ran.
    pub placement: String,
    /// The way's name.
    pub way: String,
    /// An exchange.
    pub took: Median,
    /// What it takes more than the way that it is compared with.
    pub adds: Option<Median>,
}

/// The median of rounds, and between which of their values the true one lies in 95 of 100 cases.
///
/// The interval is made of order statistics, which suppose nothing of the distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Median {
    /// The median.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

const HEAD: &str = "placement   | way            |   median |      low |     high \
                    |     adds |      low |     high";

/// In the first line of a run that is good for tests only.
pub(crate) const UNFIT: [&str; 2] = ["not optimized", "quick"];

/// What a result is worth depends on.
pub(crate) fn here(cores: usize, rounds: usize, quick: bool) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (info, kernel) = (read("/proc/cpuinfo"), read("/proc/sys/kernel/osrelease"));
    // Kernels for x86 and others for ARM call it differently.
    let named = |name| info.lines().find(|line| line.starts_with(name))?.split_once(": ");
    let cpu = named("model name").or_else(|| named("CPU part"));
    let cpu = cpu.map_or("unknown processor", |(_, cpu)| cpu);
    let kernel = kernel.trim();
    let mut machine = format!("{cpu}, {cores} cores, Linux {kernel}; {rounds} rounds");
    for (unfit, is) in UNFIT.into_iter().zip([cfg!(debug_assertions), quick]) {
        if is {
            machine.push_str(&format!(", {unfit}"));
        }
    }
    machine
}

impl Median {
    /// `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Median> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len();
        // How many values are below the median is binomial, and for many values normal.
        let rank = (count as f64 / 2.0 - 0.98 * (count as f64).sqrt()) as usize;
        let low = *sorted.get(rank)?;
        let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
        Some(Median { median, low, high: sorted[count - 1 - rank] })
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}\n{HEAD}", self.machine)?;
        self.costs.iter().try_for_each(|cost| writeln!(f, "{cost}"))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:11} | {:14} | {}", self.placement, self.way, self.took)?;
        self.adds.iter().try_for_each(|adds| write!(f, " | {adds}"))
    }
}

impl fmt::Display for Median {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:8.3} | {:8.3} | {:8.3}", self.median, self.low, self.high)
    }
}

impl FromStr for Price {
    type Err = String;

    fn from_str(text: &str) -> Result<Price, String> {
        let mut lines = text.lines();
        let machine = lines.next().ok_or("it is empty")?.to_owned();
        if lines.next() != Some(HEAD) {
            return Err("its second line is not the head of the table".into());
        }
        let costs = lines.map(|line| cost(line).ok_or(format!("not understood: {line}")));
        Ok(Price { machine, costs: costs.collect::<Result<_, _>>()? })
    }
}

fn cost(line: &str) -> Option<Cost> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [placement, way, ref numbers @ ..] = cells[..] else { return None };
    let numbers: Option<Vec<f64>> = numbers.iter().map(|cell| cell.parse().ok()).collect();
    let numbers = numbers?;
    let median =
        |at: &[f64]| Some(Median { median: *at.first()?, low: *at.get(1)?, high: *at.get(2)? });
    let adds = match numbers.len() {
        3 => None,
        6 => median(&numbers[3..]),
        _ => return None,
    };
    let (placement, way) = (placement.into(), way.into());
    Some(Cost { placement, way, took: median(&numbers)?, adds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_as_it_was_written() {
        // With and without something added; and what is cut short or damaged is refused.
        let median = |median| Median { median, low: median - 0.5, high: median + 0.25 };
        let cost = |way: &str, adds| Cost {
            placement: "one-core".into(),
            way: way.into(),
            took: median(7.0),
            adds,
        };
        let costs = vec![cost("udp", None), cost("step1", Some(median(-1.5)))];
        let run = Price { machine: "a machine".into(), costs };
        let text = run.to_string();
        assert_eq!(text.parse(), Ok(run));
        assert!(text.replace("7.250", "7.25x").parse::<Price>().is_err());
        assert!(text.trim_end().rsplit_once('|').unwrap().0.parse::<Price>().is_err());
        assert!("a machine\n".parse::<Price>().is_err());
    }

    #[test]
    fn interval_is_that_of_the_tables() {
        // Ranks of the 95 % interval of a median as tables of the sign test have them, from 0.
        for (count, rank) in [(6, 0.0), (20, 5.0), (100, 40.0), (400, 180.0)] {
            let of = Median::of((0..count).map(f64::from)).unwrap();
            let last = f64::from(count - 1);
            assert_eq!((of.low, of.median, of.high), (rank, last / 2.0, last - rank), "{count}");
        }
        assert_eq!(Median::of([]), None);
    }
}
