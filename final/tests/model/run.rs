//! Checks the model of the protocol: every suite, or those whose names hold a word given. `-v` shows the
//! steps to each failure; `L` marks what is too large for `cargo test`. Ends with an error if a rule that
//! is to hold fails, or a broken one does not.

mod check;
mod client;
mod properties;
mod server;
mod state;
mod steps;
mod suites;

use std::process::ExitCode;
use std::time::Instant;

use suites::Expected;

fn main() -> ExitCode {
    let (flags, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word == "-v");
    let verbose = !flags.is_empty();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let mut unexpected = 0;
    for suite in suites::suites().iter().filter(|suite| wanted(suite.name)) {
        let began = Instant::now();
        let found = check::check(suite);
        let as_expected = found.is_as_expected(suite);
        unexpected += u32::from(!as_expected);
        let result = match (&found.failure, suite.expected) {
            (None, _) if found.exhausted => "holds".into(),
            (None, _) => "holds as far as it was seen".into(),
            (Some((what, path)), _) => format!("fails after {} steps: {what}", path.len()),
        };
        println!(
            "{} {} {:<62} {:>9} states {:>6.1} s  {result}",
            if as_expected { ' ' } else { '!' },
            if suite.large { 'L' } else { ' ' },
            suite.name,
            found.states,
            began.elapsed().as_secs_f64(),
        );
        let shown = verbose || !as_expected && suite.expected == Expected::Holds;
        if let (true, Some((_, path))) = (shown, &found.failure) {
            path.iter().enumerate().for_each(|(i, step)| println!("    {:2}. {step}", i + 1));
        }
    }
    if unexpected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
