//! A command line is understood, or refused in one line that says what would be allowed.

use std::env;
use std::fmt::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Parser};

/// What this process is told; else the code to exit with, and all is said.
pub(crate) fn parse<C: Parser>() -> Result<C, ExitCode> {
    C::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever reads it may stop before its end.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            eprintln!("{}", one_line(&error, &C::command()));
            ExitCode::from(2)
        }
    })
}

/// What is wrong, and what would be allowed.
fn one_line(error: &clap::Error, root: &Command) -> String {
    let text = error.to_string();
    let what: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let mut what = what.join(" ").replace("invalid digit found in string", "not a whole number");
    let words = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.collect();
    let named = named_by(&words, root);
    let command = named.last().unwrap_or(&root);
    let wrong = wrong_word(error);
    let is_flag = wrong.is_some_and(|word| word.starts_with('-'));
    if let Some(similar) = error.context().find(|(kind, _)| *kind == ContextKind::SuggestedArg) {
        let _ = write!(what, "; is {} meant?", similar.1);
    } else if let Some(joined) = wrong.and_then(|word| wants_equals(word, &named, &words)) {
        let _ = write!(what, "; is {joined} meant?");
    } else {
        let allowed = match error.kind() {
            ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand => subcommands(command),
            ErrorKind::UnknownArgument if !is_flag && command.has_subcommands() => {
                subcommands(command)
            }
            ErrorKind::UnknownArgument => flags(command),
            _ => return what,
        };
        let _ = write!(what, "; allowed: {}", allowed.join(", "));
    }
    what
}

/// The program and its subcommands that these words name.
fn named_by<'a>(words: &[String], root: &'a Command) -> Vec<&'a Command> {
    let mut named = vec![root];
    for word in words {
        named.extend(named.last().and_then(|command| command.find_subcommand(word)));
    }
    named
}

fn wrong_word(error: &clap::Error) -> Option<&str> {
    use ContextKind::{InvalidArg, InvalidSubcommand, InvalidValue};
    let kinds = match error.kind() {
        ErrorKind::ValueValidation => [InvalidValue, InvalidValue],
        _ => [InvalidSubcommand, InvalidArg],
    };
    kinds.into_iter().find_map(|kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    })
}

/// `--flag=VALUE`, if the word stands behind a flag that takes its value so.
fn wants_equals(word: &str, named: &[&Command], words: &[String]) -> Option<String> {
    let at = words.iter().position(|it| it == word)?;
    let flag = words.get(at.checked_sub(1)?)?.strip_prefix("--")?;
    let mut all = named.iter().flat_map(|command| command.get_arguments());
    let takes = all.any(|arg| arg.is_require_equals_set() && arg.get_long() == Some(flag));
    takes.then(|| format!("--{flag}={word}"))
}

fn flags(command: &Command) -> Vec<String> {
    let flags = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let mut flags: Vec<String> =
        flags.filter_map(|arg| arg.get_long()).map(|flag| format!("--{flag}")).collect();
    flags.push("--help".into());
    flags
}

/// And what may stand in their place.
fn subcommands(command: &Command) -> Vec<String> {
    let all = command.get_subcommands().filter(|one| !one.is_hide_set());
    let mut names: Vec<String> = all.map(|one| one.get_name().into()).collect();
    let rest = command.get_positionals().find(|arg| arg.is_last_set());
    let rest = rest.and_then(|arg| arg.get_value_names()?.first());
    names.extend(rest.map(|name| format!("or -- {name} ARGS")));
    names
}
