//! Completions for shells, and manual pages.

use std::io;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// What the paragraphs of a help that begin so are called in a manual; others are its notes.
const HEADINGS: [(&str, &str); 3] =
    [("Exit codes:", "EXIT STATUS"), ("Examples:", "EXAMPLES"), ("A file of settings:", "FILES")];

/// Completions of this program.
pub(crate) fn completions(command: &mut Command, shell: Shell) -> Vec<u8> {
    let (name, mut text) = (command.get_name().to_string(), Vec::new());
    // Collected first: the generator would panic on a reader that leaves.
    clap_complete::generate(shell, command, name, &mut text);
    text
}

/// The name of a manual page's file, and the page.
pub(crate) fn page(command: &Command, section: &str) -> io::Result<(String, Vec<u8>)> {
    let man = Man::new(command.clone()).section(section);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|one| !one.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(help) = command.get_after_help() {
        page.extend(sections(&help.to_string()).into_bytes());
    }
    if command.get_version().is_some() {
        man.render_version_section(&mut page)?;
    }
    Ok((man.get_filename(), page))
}

/// What stands at the end of a help, each part under its heading. The lines are as they are there.
fn sections(help: &str) -> String {
    let (mut text, mut before) = (String::new(), "");
    for part in help.split("\n\n") {
        let found = HEADINGS.iter().find_map(|(begin, name)| {
            part.strip_prefix(begin).map(|rest| (*name, rest.get(1..).unwrap_or_default()))
        });
        let (heading, body) = found.unwrap_or(("NOTES", part));
        match heading == before {
            true => text.push_str(".PP\n"),
            false => text.push_str(&format!(".SH {heading}\n")),
        }
        before = heading;
        text.push_str(&format!(".nf\n{}\n.fi\n", escape(body)));
    }
    text
}

/// Nothing in it is a request of roff.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    text.lines()
        .map(|line| if line.starts_with('.') { format!("\\&{line}") } else { line.into() })
        .collect::<Vec<String>>()
        .join("\n")
}
