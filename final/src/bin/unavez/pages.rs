//! Completions for shells, and manual pages.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Result;

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
    // Collected first: the generator would panic on a reader that leaves.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "unavez", &mut text);
    io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man<C: CommandFactory>(args: &ManArgs) -> Result {
    match &args.dir {
        Some(dir) => clap_mangen::generate_to(C::command(), dir)
            .map_err(|error| format!("{}: {error}", dir.display()))?,
        None => clap_mangen::Man::new(C::command()).render(&mut io::stdout())?,
    }
    Ok(ExitCode::SUCCESS)
}
