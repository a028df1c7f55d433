//! Completions for shells, and manual pages.

use std::fs;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::Result;
use crate::common::pages;

/// User commands.
const SECTION: &str = "1";

/// Prints completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unavez completions bash > ~/.local/share/bash-completion/completions/unavez
  unavez completions fish > ~/.config/fish/completions/unavez.fish")]
pub(crate) struct CompletionsArgs {
    /// Which
    shell: Shell,
}

/// Prints the manual page, or writes those of all commands into a directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unavez man | man -l -
  unavez man ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Where to write unavez.1, unavez-serve.1 and so on
    dir: Option<PathBuf>,
}

pub(crate) fn completions<C: CommandFactory>(args: &CompletionsArgs) -> Result {
    stdout().write_all(&pages::completions(&mut C::command(), args.shell))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man<C: CommandFactory>(args: &ManArgs) -> Result {
    // Each has the word "help", but none is one.
    let mut command = C::command().disable_help_subcommand(true);
    command.build();
    match &args.dir {
        Some(dir) => {
            write_all(&command, dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        }
        None => stdout().write_all(&pages::page(&command, SECTION)?.1)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The page of this command, and those of its subcommands.
fn write_all(command: &Command, dir: &Path) -> io::Result<()> {
    let (name, page) = pages::page(command, SECTION)?;
    fs::write(dir.join(name), page)?;
    let mut shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    shown.try_for_each(|one| write_all(one, dir))
}
