//! Whether two runs say the same.
//!
//! The ratios are compared: a machine that is faster for all is none to be noted. Two intervals of
//! medians of the same may lie apart by chance; how often, follows from the numbers of passes alone,
//! and if more lie apart than chance explains, the runs differ.

use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use super::contender::Contender;
use super::plot::read;
use super::report::{Report, Row, Rows, Table};
use super::stats::{Median, chance_apart, chance_of_as_many};
use super::table::digits;
use crate::Result;

/// Compares two results: whether their ratios agree.
///
/// Each ratio has an interval. Two of the same may lie apart by chance, and it is said how many of all
/// may. If there are more, the two runs differ: the program, the machine, or what else it did.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 they agree, 1 more differ than chance explains, 2 usage, or a result is none.

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

pub(super) fn run(args: &Args) -> Result {
    let (one, other) = (read(&args.one)?, read(&args.other)?);
    let compared = Compared::of(&one, &other);
    if compared.all == 0 {
        return Err("the two results have no ratio in common".into());
    }
    write!(stdout(), "{}", compared.text())?;
    Ok(if compared.agree() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Compared {
    all: usize,
    /// How many are expected to lie apart by chance.
    by_chance: f64,
    apart: Vec<Apart>,
}

/// A ratio whose intervals have nothing in common.
struct Apart {
    what: String,
    values: [Median; 2],
}

impl Compared {
    fn of(one: &Report, other: &Report) -> Compared {
        let mut compared = Compared { all: 0, by_chance: 0.0, apart: Vec::new() };
        for table in &one.tables {
            let Some(twin) = other.tables.iter().find(|it| it.is_of_the_same(table)) else {
                continue;
            };
            for (row, its) in
                table.rows().iter().filter_map(|row| Some((row, twin.row(row.contender)?)))
            {
                compared.add(table, [row, its]);
            }
        }
        compared
    }

    fn add(&mut self, table: &Table, rows: [&Row; 2]) {
        let contender = rows[0].contender;
        for (beside, ratios) in [
            (Contender::TcpEach, rows.map(|it| it.to_tcp)),
            (Contender::TcpOpen, rows.map(|it| it.to_kept)),
        ] {
            let [Some(one), Some(other)] = ratios else { continue };
            if contender == beside {
                continue;
            }
            self.all += 1;
            self.by_chance += chance_apart(rows.map(|it| it.passes));
            if one.low > other.high || other.low > one.high {
                let (what, beside) = (table.heading(), beside.name());
                let what = format!("{what}: {} beside {beside}", contender.name());
                self.apart.push(Apart { what, values: [one, other] });
            }
        }
    }

    fn agree(&self) -> bool {
        chance_of_as_many(self.apart.len(), self.by_chance) >= CHANCE
    }

    fn text(&self) -> String {
        let Compared { all, by_chance, apart } = self;
        let mut text = String::new();
        for Apart { what, values: [one, other] } in apart {
            let [one, other] = [one, other].map(|it| {
                format!("{} ({}–{})", digits(it.median), digits(it.low), digits(it.high))
            });
            let _ = writeln!(text, "{what}: {one}, then {other}");
        }
        let _ = writeln!(
            text,
            "{} of {all} ratios lie apart; by chance {by_chance:.1} would: {}",
            apart.len(),
            if self.agree() { "the runs agree" } else { "the runs differ" }
        );
        text
    }
}

impl Table {
    fn is_of_the_same(&self, other: &Table) -> bool {
        let open = |rows: &Rows| match rows {
            Rows::Pipeline { open, .. } => *open,
            _ => 0,
        };
        (self.network, &self.placement, self.len) == (other.network, &other.placement, other.len)
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
