//! What the paper found (§1, §5), as claims that a run bears out or not.
//!
//! A claim says between which two values something is. It holds at a size if all of the interval there is
//! between them, it fails if nothing of it is, and else it is open. At every size that was measured it must
//! hold, and it says which were not.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::contender::Contender;
use super::network::{Network, NetworkKind};
use super::plan::SMALL;
use super::report::{Row, Rows, Table};
use super::stats::Median;
use super::table::{bytes, ratio, time};

/// A claim on one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) network: Network,
    pub(super) placement: String,
    pub(super) contender: Contender,
    pub(super) claim: Kind,
    /// What each value must be between.
    pub(super) wanted: [f64; 2],
    pub(super) verdict: Verdict,
    /// The first size at which it does not hold.
    pub(super) first: Option<usize>,
    /// As people read it: the network, the claim, and what its verdict rests on.
    pub(super) words: [String; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// The ratio to TCP with a connection for each request is below 1 (§5.1).
    Faster,
    /// The difference to it is as large as that of small messages (§5.1).
    Constant,
    /// Packets for a small call (§1).
    Packets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Holds,
    Fails,
    /// What was measured allows either.
    Open,
}

/// What it is at one size.
struct Size {
    len: usize,
    value: Median,
    verdict: Verdict,
}

/// A difference is the same if it is within a quarter of the other: figures 6 and 7 show no more, and
/// no two are the same if they are measured well enough.
const SAME: [f64; 2] = [0.75, 1.25];
/// How many packets a small call is said to take.
const PACKETS: [(Contender, [f64; 2]); 4] = [
    (Contender::Unavez, [1.995, 2.005]),
    (Contender::TcpEach, [9.0, 11.0]),
    (Contender::TcpFastOpen, [7.0, 9.0]),
    (Contender::TcpOpen, [1.9, 2.1]),
];

/// All claims about all networks that lose nothing.
pub(super) fn judge(tables: &[Table], packets_are_its_own: bool) -> Vec<Claim> {
    let mut claims = Vec::new();
    let exchanges = |table: &&Table| matches!(table.rows, Rows::Exchange { .. });
    let mut left: Vec<&Table> =
        tables.iter().filter(|it| it.network.loss == 0.0).filter(exchanges).collect();
    while let Some(first) = left.first().copied() {
        let alike = |it: &&Table| it.network == first.network && it.placement == first.placement;
        let (mut place, others): (Vec<&Table>, Vec<&Table>) = left.into_iter().partition(alike);
        left = others;
        place.sort_by_key(|it| it.len);
        if first.network.kind != NetworkKind::Loopback {
            claims.extend(
                Contender::ALL.into_iter().filter(|it| it.is_unavez()).flat_map(|it| {
                    [faster(&place, it), constant(&place, it)].into_iter().flatten()
                }),
            );
        }
        if packets_are_its_own {
            claims.extend(PACKETS.into_iter().filter_map(|it| packets(&place, it)));
        }
    }
    claims
}

/// The sizes that a contender did, with what is asked of each.
fn sizes(
    place: &[&Table],
    contender: Contender,
    of: fn(&Row) -> Option<Median>,
) -> Vec<(usize, Median)> {
    let rows = place.iter().filter_map(|table| {
        let Rows::Exchange { rows } = &table.rows else { return None };
        let row = rows.iter().find(|row| row.contender == contender)?;
        Some((table.len, of(row)?))
    });
    rows.collect()
}

fn faster(place: &[&Table], contender: Contender) -> Option<Claim> {
    let sizes = sizes(place, contender, |row| row.to_tcp);
    Claim::new(place, contender, Kind::Faster, [0.0, 1.0], sizes)
}

fn constant(place: &[&Table], contender: Contender) -> Option<Claim> {
    let sizes = sizes(place, contender, |row| row.saved);
    let small = sizes.iter().filter(|(len, _)| *len <= SMALL);
    let usual = Median::of(small.map(|(_, saved)| saved.median))?.median;
    let mut wanted = SAME.map(|part| part * usual);
    wanted.sort_by(f64::total_cmp);
    Claim::new(place, contender, Kind::Constant, wanted, sizes)
}

fn packets(place: &[&Table], (contender, wanted): (Contender, [f64; 2])) -> Option<Claim> {
    let exactly =
        |row: &Row| Some(Median { median: row.packets, low: row.packets, high: row.packets });
    let mut sizes = sizes(place, contender, exactly);
    sizes.retain(|(len, _)| *len <= SMALL);
    let largest = sizes.pop()?;
    Claim::new(place, contender, Kind::Packets, wanted, vec![largest])
}

impl Claim {
    /// `None` of no sizes.
    fn new(
        place: &[&Table],
        contender: Contender,
        claim: Kind,
        wanted: [f64; 2],
        sizes: Vec<(usize, Median)>,
    ) -> Option<Claim> {
        let first = place.first()?;
        let sizes: Vec<Size> = sizes
            .into_iter()
            .map(|(len, value)| Size { len, value, verdict: Verdict::of(value, wanted) })
            .collect();
        let with = |verdict| sizes.iter().find(|it| it.verdict == verdict);
        let (fails, open) = (with(Verdict::Fails), with(Verdict::Open));
        let verdict = match (fails, open, sizes.is_empty()) {
            (_, _, true) => return None,
            (Some(_), ..) => Verdict::Fails,
            (None, Some(_), _) => Verdict::Open,
            (None, None, _) => Verdict::Holds,
        };
        let at = fails.or(open);
        let words = [
            first.network.to_string(),
            format!("{} {}", contender.name(), claim.words(wanted)),
            detail(claim, wanted, &sizes, at) + &unmeasured(claim, place, &sizes, at),
        ];
        Some(Claim {
            network: first.network,
            placement: first.placement.clone(),
            contender,
            claim,
            wanted,
            verdict,
            first: at.map(|it| it.len),
            words,
        })
    }
}

impl Kind {
    fn words(self, wanted: [f64; 2]) -> String {
        match self {
            Kind::Faster => "is faster than TCP with a connection for each request".into(),
            Kind::Constant => "saves the same time beside it, however long messages are".into(),
            Kind::Packets if wanted[1] - wanted[0] < 0.1 => "takes 2.00 packets for a call".into(),
            Kind::Packets => {
                let about = (wanted[0] + wanted[1]) / 2.0;
                format!("takes about {about} packets for a call")
            }
        }
    }
}

impl Verdict {
    fn of(value: Median, wanted: [f64; 2]) -> Verdict {
        let [least, most] = wanted;
        match value {
            Median { low, high, .. } if high <= most && low >= least => Verdict::Holds,
            Median { low, high, .. } if low > most || high < least => Verdict::Fails,
            _ => Verdict::Open,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Fails => "fails",
            Verdict::Open => "open",
        }
    }
}

/// What the verdict rests on: where it does not hold first, or the sizes.
fn detail(claim: Kind, wanted: [f64; 2], sizes: &[Size], at: Option<&Size>) -> String {
    let [first, last] = [0, sizes.len() - 1].map(|at| bytes(sizes[at].len));
    let value = |it: &Size| match claim {
        Kind::Faster => format!("{} times as long", shown(it.value, ratio)),
        Kind::Constant => shown(it.value, time),
        Kind::Packets => format!("{:.2}", it.value.median),
    };
    let usual = match claim {
        Kind::Constant => format!(", {} up to {SMALL} bytes", time((wanted[0] + wanted[1]) / 2.0)),
        _ => String::new(),
    };
    match at {
        Some(it) if claim == Kind::Packets => value(it),
        Some(it) => format!("at {}: {}{usual}", bytes(it.len), value(it)),
        None if claim == Kind::Packets => value(&sizes[0]),
        None => format!("{first} to {last}{usual}"),
    }
}

/// What holds was seen up to some size, and others may have been measured at more.
fn unmeasured(claim: Kind, place: &[&Table], sizes: &[Size], at: Option<&Size>) -> String {
    let is_there = |table: &&&Table| sizes.iter().any(|it| it.len == table.len);
    let others = place.iter().filter(|it| !is_there(it)).map(|it| bytes(it.len));
    let others: Vec<String> = others.collect();
    let says_all = others.is_empty() || claim == Kind::Packets || at.is_some();
    if says_all { String::new() } else { format!("; not measured at {}", others.join(", ")) }
}

/// A median and its interval.
fn shown(Median { median, low, high }: Median, of: fn(f64) -> String) -> String {
    format!("{} ({} to {})", of(median), of(low), of(high))
}

/// A line for each, below the network that it is about.
pub(super) fn text(claims: &[Claim]) -> String {
    let mut text = String::from(
        "Claims. Each holds, fails, or is open, if what was measured allows either; and where it\n\
         does not hold first. What is saved is the same if it is within a quarter of what is saved\n\
         up to 64 bytes.\n",
    );
    let mut network = None;
    for Claim { words: [place, claim, detail], placement, verdict, .. } in claims {
        if network != Some((place, placement)) {
            let _ = writeln!(text, "{place}, {placement}");
            network = Some((place, placement));
        }
        let _ = writeln!(text, "  {:<6} {claim}: {detail}", verdict.word());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median(median: f64) -> Median {
        Median { median, low: median * 0.99, high: median * 1.01 }
    }

    /// A LAN where TCP takes `tcp` µs and unavez less by `saved`, at each size.
    fn tables(sizes: &[(usize, f64, f64)]) -> Vec<Table> {
        let row = |contender, saved: f64, ratio, packets| {
            let row = serde_json::json!({
                "contender": contender, "calls": 9, "rounds": 9, "passes": 9, "mean": 1.0, "exchanges": null,
                "typical": median(1.0), "to_floor": null, "to_tcp": median(ratio),
                "saved": median(saved), "to_kept": null, "goodput": median(1.0),
                "on_link": median(1.0), "packets": packets, "client_cpu": 1.0, "server_cpu": 1.0,
            });
            serde_json::from_value(row).unwrap()
        };
        let table = |&(len, tcp, saved): &(usize, f64, f64)| {
            let own = row(Contender::Unavez, saved, (tcp - saved) / tcp, 2.0);
            let rows = Rows::Exchange { rows: vec![own, row(Contender::TcpEach, 0.0, 1.0, 12.0)] };
            Table::new(Network::lan(Some(10_000_000)), "", len, rows, Vec::new())
        };
        sizes.iter().map(table).collect()
    }

    fn verdicts(sizes: &[(usize, f64, f64)]) -> Vec<(Kind, Verdict, Option<usize>)> {
        let claims = judge(&tables(sizes), true);
        claims.iter().map(|it| (it.claim, it.verdict, it.first)).collect()
    }

    #[test]
    fn what_the_paper_found_holds_or_fails() {
        // As the paper says: faster by the same at each size. Only unavez and TCP are there; TCP takes
        // 12 packets, which is not about 10.
        let (holds, fails) = (Verdict::Holds, Verdict::Fails);
        let packets = [(Kind::Packets, holds, None), (Kind::Packets, fails, Some(64))];
        let same = [(1, 400.0, 200.0), (64, 420.0, 210.0), (65_536, 9000.0, 230.0)];
        let found = [(Kind::Faster, holds, None), (Kind::Constant, holds, None)];
        assert_eq!(verdicts(&same)[..2], found);
        assert_eq!(verdicts(&same)[2..], packets);
        // Nothing is saved any more, and then something is lost.
        let less = [(1, 400.0, 200.0), (1024, 900.0, 100.0), (8192, 2000.0, -100.0)];
        let found = [(Kind::Faster, fails, Some(8192)), (Kind::Constant, fails, Some(1024))];
        assert_eq!(verdicts(&less)[..2], found);
        // A hair's breadth: either may be.
        let either = [(1, 400.0, 200.0), (1024, 900.0, 1.0)];
        assert_eq!(verdicts(&either)[0], (Kind::Faster, Verdict::Open, Some(1024)));
    }

    #[test]
    fn claims_of_the_book_are_those_of_its_result() {
        // Judged again, the kept tables give the kept claims and losses. To accept a change, measure
        // again: `unavez bench --out book/chapters/comparison`.
        let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../book/chapters/comparison/result.json");
        let kept = super::super::plot::read(std::path::Path::new(kept)).unwrap();
        let said = |claims: &[Claim]| -> Vec<_> {
            claims.iter().map(|it| (it.contender, it.claim, it.verdict, it.first)).collect()
        };
        assert_eq!(said(&kept.claims), said(&judge(&kept.tables, kept.private_network)));
        let lost = super::super::losses::find(&kept.tables);
        let said = |losses: &[super::super::losses::Loss]| -> Vec<_> {
            losses.iter().map(|it| (it.words.clone(), it.worst_at)).collect()
        };
        assert_eq!(said(&kept.losses), said(&lost));
    }

    #[test]
    fn claims_say_up_to_which_size_they_hold() {
        // The daemon did not do the longest one, and unavez did all.
        let mut tables =
            tables(&[(1, 400.0, 200.0), (1 << 10, 900.0, 200.0), (1 << 20, 9e3, 200.0)]);
        for table in &mut tables[..2] {
            let Rows::Exchange { rows } = &mut table.rows else { unreachable!() };
            rows.push(Row { contender: Contender::UnavezdSysv, ..rows[0].clone() });
        }
        let claims = judge(&tables, false);
        let of = |contender| claims.iter().find(|it| it.contender == contender).unwrap();
        assert_eq!(of(Contender::Unavez).words[2], "1 byte to 1 MiB");
        let of_few = of(Contender::UnavezdSysv);
        assert_eq!(of_few.verdict, Verdict::Holds);
        assert_eq!(of_few.words[2], "1 byte to 1 KiB; not measured at 1 MiB");
    }

    #[test]
    fn packets_are_not_counted_where_others_send() {
        // The network of everybody: nothing is claimed of packets.
        let claims = judge(&tables(&[(64, 400.0, 200.0)]), false);
        assert!(claims.iter().all(|it| it.claim != Kind::Packets) && claims.len() == 2);
    }

    #[test]
    fn claims_say_where_they_fail() {
        // In words: the network, the size, by how much, and beside what.
        let claims = judge(&tables(&[(1, 400.0, 200.0), (1 << 20, 9000.0, -1800.0)]), false);
        let text = text(&claims);
        assert!(text.contains("LAN of 10 Mb/s"), "{text}");
        assert!(text.contains("fails  unavez is faster than TCP with a connection"), "{text}");
        assert!(text.contains("at 1 MiB: 1.20 (1.19 to 1.21) times as long"), "{text}");
        assert!(text.contains("200 µs up to 64 bytes"), "{text}");
    }
}
