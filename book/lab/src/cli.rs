//! What the command lines of all examples share: errors in one line, and exit codes.
//!
//! 0: the promise held. 1: it was broken. 2: the command could not do its work.

use std::error::Error;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::plan::parse_time;

/// Parses the command line, runs `main`, and says in one line what went wrong.
pub fn run<A: Parser>(main: impl FnOnce(A) -> Result<ExitCode, Box<dyn Error>>) -> ExitCode {
    let args = match A::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse::<A>(&error),
    };
    main(args).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

/// The exit code of a promise that held, or did not.
pub fn verdict(held: bool) -> ExitCode {
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads an address from a flag.
///
/// # Errors
/// Says what an address looks like.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address is IP:PORT, like 127.0.0.1:7373 or [::1]:7373".into())
}

/// Reads a time from a flag.
///
/// # Errors
/// Says what a time looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse_time(&[text])
}

fn refuse<A: Parser>(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Whoever reads it may stop before its end.
        let _ = write!(stdout(), "{error}");
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", one_line::<A>(error));
    ExitCode::from(2)
}

/// What is wrong, and what would be allowed.
fn one_line<A: CommandFactory>(error: &clap::Error) -> String {
    let text = error.to_string();
    let what: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let what = what.join(" ");
    match error.kind() {
        // The value's own parser says what is allowed.
        ErrorKind::ValueValidation => {
            what.replace("invalid digit found in string", "not a whole number")
        }
        _ => {
            let command = A::command();
            let flags = command.get_arguments().filter_map(|arg| arg.get_long());
            let mut allowed: Vec<String> = flags.map(|flag| format!("--{flag}")).collect();
            allowed.push("--help".into());
            format!("{what}; allowed: {}", allowed.join(", "))
        }
    }
}
