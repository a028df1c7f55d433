//! Whether two runs say the same.
//!
//! The ratios are compared: a machine that is faster for all is none to be noted. Some lie apart by
//! chance, and those of one start have their luck in common: how many do so by chance is seen when the
//! starts of both runs are shuffled, each with all of its ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::contender::Contender;
use super::plot::read;
use super::report::{Report, Row, Rows, Start, Table};
use super::stats::{Median, ln_choose};
use super::table::ratio;
use crate::Result;

/// Compares two results: whether their ratios agree.
///
/// A ratio lies apart if its intervals in the two runs have nothing in common. Some do by chance. The
/// starts of both runs are shuffled a thousand times, each start with all that was measured after it,
/// because ratios with a start in common are lucky together; if as many as were found lie apart in fewer
/// than 1 of 100 shuffles, the runs differ: the program, the machine, or what else it did.
///
/// Two runs of few starts, or with intervals so wide that half of the ratios could be one and a half
/// times as large and not lie apart, do not agree for that: it cannot be told. Nor can it be told of what
/// was measured after so few starts alone that chance may always be the reason; how many ratios that are
/// is said.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 they agree, 1 they differ, 2 usage, or a result is none, 3 it cannot be told.

Examples:
  unavez bench compare before.json after.json")]
pub(super) struct Args {
    /// What `unavez bench` has written
    one: PathBuf,
    /// The same of another run
    other: PathBuf,
}

/// Chance explains as many as it makes in 99 of 100 cases.
const CHANCE: f64 = 0.01;
const SHUFFLES: u32 = 1000;
/// A ratio that must grow by more than this to lie apart is not known.
const WIDE: f64 = 1.5;
const CANNOT_TELL: u8 = 3;

pub(super) fn run(args: &Args) -> Result {
    let compared = Compared::of(places(&read(&args.one)?, &read(&args.other)?));
    write!(stdout(), "{}", compared.text())?;
    Ok(match compared.verdict() {
        Verdict::Agree => ExitCode::SUCCESS,
        Verdict::Differ => ExitCode::FAILURE,
        Verdict::CannotTell(_) => CANNOT_TELL.into(),
    })
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Agree,
    Differ,
    CannotTell(&'static str),
}

struct Compared {
    places: Vec<Place>,
    /// How many lie apart on the average of all shuffles.
    by_chance: f64,
    /// In which share of the shuffles as many do as were found.
    chance: f64,
}

/// A network and placement: what both runs have measured there.
#[derive(Default)]
struct Place {
    /// Of both runs: which one, and the number of the start.
    starts: Vec<(usize, usize)>,
    ratios: Vec<Ratio>,
}

struct Ratio {
    what: String,
    /// After which of the place's starts.
    values: Vec<(usize, f64)>,
}

impl Compared {
    fn of(places: Vec<Place>) -> Compared {
        let mut compared = Compared { places, by_chance: 0.0, chance: 1.0 };
        let found = compared.apart().count();
        let groups: Vec<_> = compared.places.iter().map(Place::groups).collect();
        let mut random = StdRng::seed_from_u64(1);
        let mut shuffled = || -> usize {
            let places = compared.places.iter().zip(&groups);
            let apart = places.map(|(place, groups)| {
                let runs = place.shuffled(groups, &mut random);
                place.ratios.iter().filter(|it| is_apart(it.intervals(&runs))).count()
            });
            apart.sum()
        };
        let apart: Vec<usize> = (0..SHUFFLES).map(|_| shuffled()).collect();
        let as_many = 1 + apart.iter().filter(|apart| **apart >= found).count();
        compared.chance = as_many as f64 / f64::from(SHUFFLES + 1);
        compared.by_chance = apart.iter().sum::<usize>() as f64 / f64::from(SHUFFLES);
        compared
    }

    /// Each ratio, and its intervals in both runs.
    fn all(&self) -> impl Iterator<Item = (&Ratio, [Median; 2])> {
        self.places.iter().flat_map(|place| {
            let runs: Vec<usize> = place.starts.iter().map(|(run, _)| *run).collect();
            place.ratios.iter().filter_map(move |it| Some((it, it.intervals(&runs)?)))
        })
    }

    fn apart(&self) -> impl Iterator<Item = (&Ratio, [Median; 2])> {
        self.all().filter(|(_, intervals)| is_apart(Some(*intervals)))
    }

    /// How many ratios were measured after starts of which no shuffle is rare.
    fn after_few_starts(&self) -> usize {
        let few = |place: &Place| {
            let groups = place.groups();
            let is_few = |ratio: &&Ratio| {
                let has = |start: &usize| ratio.values.iter().any(|(at, _)| at == start);
                let own = groups.iter().filter(|group| group.iter().any(has));
                place.chance_of(own) > CHANCE
            };
            place.ratios.iter().filter(is_few).count()
        };
        self.places.iter().map(few).sum()
    }

    /// How many times as large half of the ratios must be to lie apart.
    fn reach(&self) -> Option<f64> {
        let reach =
            |[one, other]: [Median; 2]| f64::max(one.high / other.low, other.high / one.low);
        Median::of(self.all().map(|(_, intervals)| reach(intervals))).map(|it| it.median)
    }

    fn verdict(&self) -> Verdict {
        // Were all as different as can be, shuffles would still leave all apart so often.
        let least: f64 = self.places.iter().map(|it| it.chance_of(it.groups().iter())).product();
        match self.reach() {
            None => Verdict::CannotTell("the two results have no ratio in common"),
            Some(_) if self.chance < CHANCE => Verdict::Differ,
            Some(_) if least > CHANCE => Verdict::CannotTell("there were too few starts"),
            Some(reach) if reach > WIDE => Verdict::CannotTell("the intervals are too wide"),
            Some(_) => Verdict::Agree,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (Ratio { what, .. }, [one, other]) in self.apart() {
            let [one, other] = [one, other]
                .map(|it| format!("{} ({}–{})", ratio(it.median), ratio(it.low), ratio(it.high)));
            let _ = writeln!(text, "{what}: {one}, then {other}");
        }
        let (apart, all) = (self.apart().count(), self.all().count());
        if let Some(reach) = self.reach() {
            let _ = writeln!(
                text,
                "{apart} of {all} ratios lie apart; by chance {:.1} would, and as many in {:.1} of 100 cases. \
                 Half of the ratios would lie apart if they were {} times as large.",
                self.by_chance,
                self.chance * 100.0,
                ratio(reach)
            );
        }
        let few = self.after_few_starts();
        if few > 0 {
            let _ = writeln!(
                text,
                "{few} were measured after so few starts that those of a network may all lie apart by chance."
            );
        }
        let _ = match self.verdict() {
            Verdict::Agree => writeln!(text, "The runs agree."),
            Verdict::Differ => writeln!(text, "The runs differ."),
            Verdict::CannotTell(why) => writeln!(text, "It cannot be told: {why}."),
        };
        text
    }
}

fn is_apart(intervals: Option<[Median; 2]>) -> bool {
    intervals.is_some_and(|[one, other]| one.low > other.high || other.low > one.high)
}

impl Ratio {
    /// If each start is of this run.
    fn intervals(&self, runs: &[usize]) -> Option<[Median; 2]> {
        let of = |run| {
            let own = self.values.iter().filter(|(start, _)| runs[*start] == run);
            Median::of(own.map(|(_, value)| *value))
        };
        Some([of(0)?, of(1)?])
    }
}

impl Place {
    fn add(&mut self, what: String, values: [Vec<(usize, f64)>; 2]) {
        if values.iter().any(Vec::is_empty) {
            return;
        }
        let mut all = Vec::new();
        for (run, values) in values.into_iter().enumerate() {
            for (number, value) in values {
                let start = (run, number);
                let at = self.starts.iter().position(|it| *it == start).unwrap_or_else(|| {
                    self.starts.push(start);
                    self.starts.len() - 1
                });
                all.push((at, value));
            }
        }
        self.ratios.push(Ratio { what, values: all });
    }

    /// Starts after which the same was measured: these may change places.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        for start in 0..self.starts.len() {
            let has = |ratio: &Ratio| ratio.values.iter().any(|(at, _)| *at == start);
            let all = self.ratios.iter().enumerate();
            let measured = all.filter(|(_, ratio)| has(ratio)).map(|(at, _)| at).collect();
            groups.entry(measured).or_default().push(start);
        }
        groups.into_values().collect()
    }

    /// The run of each start, dealt out anew.
    fn shuffled(&self, groups: &[Vec<usize>], random: &mut StdRng) -> Vec<usize> {
        let mut runs = vec![0; self.starts.len()];
        for group in groups {
            let mut of_group: Vec<usize> =
                group.iter().map(|start| self.starts[*start].0).collect();
            of_group.shuffle(random);
            group.iter().zip(of_group).for_each(|(start, run)| runs[*start] = run);
        }
        runs
    }

    /// How likely a shuffle of these groups leaves the runs what they are, or exchanges them.
    fn chance_of<'a>(&self, groups: impl Iterator<Item = &'a Vec<usize>>) -> f64 {
        let ways = groups.map(|group| {
            let first = group.iter().filter(|start| self.starts[**start].0 == 0).count();
            ln_choose(group.len(), first)
        });
        (2.0 / ways.sum::<f64>().exp()).min(1.0)
    }
}

/// What both have measured.
fn places(one: &Report, other: &Report) -> Vec<Place> {
    let mut places: Vec<(&Table, Place)> = Vec::new();
    for table in &one.tables {
        let Some(twin) = other.tables.iter().find(|it| it.is_of_the_same(table)) else { continue };
        let at = places.iter().position(|(it, _)| it.is_at(table)).unwrap_or_else(|| {
            places.push((table, Place::default()));
            places.len() - 1
        });
        // The opponent beside the others is the others beside it.
        for row in table.rows().iter().filter(|it| it.contender != Contender::TcpEach) {
            let Some(its) = twin.row(row.contender) else { continue };
            for (beside, of) in BESIDE.iter().filter(|(beside, _)| *beside != row.contender) {
                let what = format!(
                    "{}: {} beside {}",
                    table.heading(),
                    row.contender.name(),
                    beside.name()
                );
                places[at].1.add(what, [row, its].map(|row| row.ratios(*of)));
            }
        }
    }
    places.into_iter().map(|(_, place)| place).collect()
}

type OfStart = fn(&Start) -> Option<f64>;
const BESIDE: [(Contender, OfStart); 2] =
    [(Contender::TcpEach, |it| it.to_tcp), (Contender::TcpOpen, |it| it.to_kept)];

impl Row {
    /// With the numbers of their starts.
    fn ratios(&self, of: OfStart) -> Vec<(usize, f64)> {
        self.starts.iter().filter_map(|it| Some((it.number, of(it)?))).collect()
    }
}

impl Table {
    fn is_at(&self, other: &Table) -> bool {
        (self.network, &self.placement) == (other.network, &other.placement)
    }

    fn is_of_the_same(&self, other: &Table) -> bool {
        let open = |rows: &Rows| match rows {
            Rows::Pipeline { open, .. } => *open,
            _ => 0,
        };
        self.is_at(other)
            && self.len == other.len
            && std::mem::discriminant(&self.rows) == std::mem::discriminant(&other.rows)
            && open(&self.rows) == open(&other.rows)
    }

    fn rows(&self) -> &[Row] {
        match &self.rows {
            Rows::Exchange { rows } | Rows::Pipeline { rows, .. } | Rows::Bulk { rows } => rows,
            Rows::Share { .. } | Rows::Beside { .. } => &[],
        }
    }

    fn row(&self, contender: Contender) -> Option<&Row> {
        self.rows().iter().find(|row| row.contender == contender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many ratios at one place, in two runs of these starts: the second's are so many times as large.
    fn place(ratios: usize, starts: [&[f64]; 2], times: f64) -> Place {
        let mut place = Place::default();
        for ratio in 0..ratios {
            let of = |run: usize| {
                let own = if run == 0 { 1.0 } else { times };
                let all = starts[run].iter().enumerate();
                all.map(|(at, luck)| (at, own * luck * (1.0 + ratio as f64))).collect()
            };
            place.add(format!("ratio {ratio}"), [of(0), of(1)]);
        }
        place
    }

    fn verdict(places: Vec<Place>) -> Verdict {
        Compared::of(places).verdict()
    }

    const SIX: [f64; 6] = [0.97, 1.02, 1.0, 0.99, 1.01, 1.03];

    #[test]
    fn runs_of_the_same_agree() {
        // The same, and all a little more: within what the starts differ by.
        assert_eq!(verdict(vec![place(20, [&SIX, &SIX], 1.0)]), Verdict::Agree);
        assert_eq!(verdict(vec![place(20, [&SIX, &SIX], 1.02)]), Verdict::Agree);
    }

    #[test]
    fn change_is_found() {
        // All of one place, and one ratio of many.
        assert_eq!(verdict(vec![place(20, [&SIX, &SIX], 1.2)]), Verdict::Differ);
        let mut one = place(20, [&SIX, &SIX], 1.0);
        let is_first = |run: usize| SIX.map(|luck| if run == 0 { luck } else { luck * 1.2 });
        one.add("".into(), [0, 1].map(|run| is_first(run).into_iter().enumerate().collect()));
        assert_eq!(Compared::of(vec![one]).apart().count(), 1);
    }

    #[test]
    fn starts_are_lucky_with_all_of_their_ratios() {
        // Two places with a hundred ratios each, of which at one all starts of a run are below all of the
        // other: as likely as 2 of 924, and so it is, however many ratios lie apart.
        let apart = || place(100, [&SIX, &SIX], 1.2);
        let chance = Compared::of(vec![apart(), place(100, [&SIX, &SIX], 1.0)]).chance;
        assert!(chance < 0.01, "{chance}");
        // Of three starts each it is 2 of 20, and no difference.
        let few = || place(100, [&SIX[..3], &SIX[..3]], 1.2);
        let compared = Compared::of(vec![few(), place(100, [&SIX, &SIX], 1.0)]);
        assert!((0.05..0.2).contains(&compared.chance), "{}", compared.chance);
        assert_eq!((compared.apart().count(), compared.verdict()), (100, Verdict::Agree));
    }

    #[test]
    fn what_was_measured_after_few_starts_stays_there() {
        // A slow ratio after every second start: shuffled, it has three starts in each run.
        let mut place = place(3, [&SIX, &SIX], 1.0);
        let slow = || [0, 2, 4].map(|start| (start, 1.0)).to_vec();
        place.add("slow".into(), [slow(), slow()]);
        let (groups, mut random) = (place.groups(), StdRng::seed_from_u64(1));
        assert_eq!(groups.len(), 2);
        for _ in 0..20 {
            let runs = place.shuffled(&groups, &mut random);
            let first = place.ratios[3].values.iter().filter(|(start, _)| runs[*start] == 0);
            assert_eq!(first.count(), 3);
        }
    }

    #[test]
    fn too_little_tells_nothing() {
        // One start each, which always lie apart; three; wide intervals; and nothing at all.
        let few = "there were too few starts";
        assert_eq!(verdict(vec![place(9, [&[1.0], &[1.0]], 20.0)]), Verdict::CannotTell(few));
        assert_eq!(verdict(vec![place(9, [&SIX[..3], &SIX[..3]], 1.0)]), Verdict::CannotTell(few));
        let wide = [0.5, 0.7, 1.0, 1.1, 1.5, 2.0];
        let verdict_of_wide = verdict(vec![place(9, [&wide, &wide], 1.0)]);
        assert_eq!(verdict_of_wide, Verdict::CannotTell("the intervals are too wide"));
        assert!(matches!(verdict(Vec::new()), Verdict::CannotTell(_)));
        assert!(Compared::of(Vec::new()).text().starts_with("It cannot be told: "));
    }
}
