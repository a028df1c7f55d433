//! The scoreboard: seeded storms at scale, one row a step.

use crate::bench::{Core, STEPS};
use crate::figure::figure;
use lab::storm::Tally;
use lab::{Score, Weather};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Storms of each kind for each step.
pub const STORMS: u64 = 20_000;

/// A column: its heading, its weather, and what it counts.
type Column = (&'static str, Weather, fn(&Score) -> Tally);

/// A step empties a column when its figure is 0; the last column of each weather may stay above.
const COLUMNS: [Column; 7] = [
    ("never ended", Weather::Network, |score| score.never_ended),
    ("ran twice", Weather::Network, |score| score.ran_twice),
    ("wrong reply", Weather::Network, |score| score.wrong_reply),
    ("gave up", Weather::Network, |score| score.gave_up),
    ("ran twice across restarts", Weather::Restarts, |score| score.ran_twice),
    ("wrong reply across restarts", Weather::Restarts, |score| score.wrong_reply),
    ("living server given up", Weather::Slow, |score| score.gave_up),
];

const WEATHERS: [Weather; 3] = [Weather::Network, Weather::Restarts, Weather::Slow];

/// How many storms [`scoreboard_text`] runs, for a progress bar.
pub fn storms_in_all(storms: u64) -> u64 {
    storms * (STEPS.len() * WEATHERS.len()) as u64
}

/// The scoreboard as text: a line a step, its columns separated by `|`.
///
/// `each` is called after every storm, from any thread.
pub fn scoreboard_text(storms: u64, each: &(dyn Fn() + Sync)) -> String {
    let mut text = "step            ".to_owned();
    for (heading, ..) in COLUMNS {
        let _ = write!(text, " | {heading}");
    }
    for core in STEPS {
        let _ = write!(text, "\n{:16}", core.name);
        for (heading, tally) in row(core, storms, each) {
            let width = heading.len();
            let _ = write!(text, " | {:>width$}", tally.count);
        }
    }
    text.push('\n');
    text
}

fn row(core: Core, storms: u64, each: &(dyn Fn() + Sync)) -> Vec<(&'static str, Tally)> {
    let scores = WEATHERS.map(|weather| (weather, (core.storms)(weather, 0..storms, each)));
    let cells = COLUMNS.iter().map(|(heading, weather, counts)| {
        let (_, score) = scores.iter().find(|(other, _)| other == weather).expect("it was run");
        (*heading, counts(score))
    });
    cells.collect()
}

/// The kept scoreboard, which a test holds against a run of all its storms.
pub fn scoreboard_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("chapters/tables/scoreboard.txt")
}

/// The kept scoreboard as a table.
pub(crate) fn scoreboard_table() -> io::Result<String> {
    let text = fs::read_to_string(scoreboard_file())?;
    let mut lines = text.lines().map(|line| line.split('|').map(str::trim));
    let mut table = "<table>\n<thead><tr>".to_owned();
    let headings: Vec<&str> = lines.next().into_iter().flatten().collect();
    for heading in &headings {
        let _ = write!(table, "<th>{heading}</th>");
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for mut cells in lines {
        let _ = write!(
            table,
            "<tr><th scope=\"row\" class=\"name\">{}</th>",
            cells.next().unwrap_or_default()
        );
        for (heading, cell) in headings[1..].iter().zip(cells) {
            let class = match (cell, *heading) {
                ("0", _) => "good",
                // It says so and breaks no promise.
                (_, "gave up") => "fair",
                _ => "bad",
            };
            let _ = write!(table, "<td class=\"{class} number\">{}</td>", grouped(cell));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>");
    let caption =
        "Storms, of 20,000 of each kind for each step, in which it happened at least once.";
    Ok(figure("verdicts", caption, &table))
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(number: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in number.chars().enumerate() {
        if index > 0 && (number.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
