//! Shows the traces that the tests of the steps assert.
//!
//! A trace is an insta snapshot. Its first line is the command that prints it, with the fault plan
//! as the last quoted word: `$ cargo run --example step3-play -- "drop reply 1"`.

use crate::fault::Fault;
use crate::figure::{code_figure, escape};
use crate::steps::files_below;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// Where the traces lie among the chapters.
pub(crate) const FOLDER: &str = "traces";

/// The figure of `{{#trace name}}`.
pub(crate) fn trace_figure(chapters: &Path, words: &[&str]) -> Result<String, String> {
    let [name] = words else {
        return Err(format!("one name is wanted, not {} words", words.len()));
    };
    let file = chapters.join(FOLDER).join(format!("{name}.snap"));
    let snapshot = fs::read_to_string(file).map_err(|e| format!("trace `{name}`: {e}"))?;
    let trace = Trace::parse(&snapshot).map_err(|what| format!("trace `{name}`: {what}"))?;
    let caption = format!(
        "<span class=\"plan\">{}</span> <code>{}</code>",
        escape(trace.plan),
        escape(trace.command)
    );
    Ok(code_figure("trace", &caption, "text", trace.events))
}

/// The traces that no chapter shows. A diagram's snapshot is named after its trace, with
/// `-diagram` behind.
pub(crate) fn orphans(
    chapters: &Path,
    shown: &BTreeSet<(String, String)>,
) -> io::Result<Vec<Fault>> {
    let shows =
        |directive: &str, name: &str| shown.contains(&(directive.to_owned(), name.to_owned()));
    let mut faults = Vec::new();
    for file in files_below(&chapters.join(FOLDER))? {
        let name = file.split_once(".snap").map_or(&*file, |(name, _)| name);
        let diagram = name.strip_suffix("-diagram");
        if !shows("trace", name) && !diagram.is_some_and(|name| shows("diagram", name)) {
            let path = format!("chapters/{FOLDER}/{file}");
            faults.push(Fault::of(path, "no chapter shows it"));
        }
    }
    Ok(faults)
}

/// A snapshot, taken apart.
pub struct Trace<'a> {
    /// The fault plan.
    pub plan: &'a str,
    /// The command that prints the trace.
    pub command: &'a str,
    /// What it prints.
    pub events: &'a str,
}

impl Trace<'_> {
    /// The example that the command runs.
    pub fn example(&self) -> Option<&str> {
        let mut words = self.command.split(' ').skip_while(|word| *word != "--example");
        words.nth(1)
    }

    /// Takes an insta snapshot apart.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn parse(snapshot: &str) -> Result<Trace<'_>, &'static str> {
        let content = snapshot
            .strip_prefix("---\n")
            .and_then(|rest| rest.split_once("\n---\n"))
            .map(|(_, content)| content)
            .ok_or("no head between two lines `---`")?;
        let (first, events) = content.split_once('\n').unwrap_or((content, ""));
        let command = first.strip_prefix("$ ").ok_or("the first line is no command, `$ …`")?;
        let plan = command
            .rsplit('"')
            .nth(1)
            .filter(|plan| !plan.is_empty())
            .ok_or("the command names no fault plan in quotes")?;
        let events = events.trim_matches('\n');
        if events.is_empty() {
            return Err("nothing happens in it");
        }
        Ok(Trace { plan, command, events })
    }
}

#[cfg(test)]
mod tests {
    use super::Trace;

    const HEAD: &str = "---\nsource: tests/traces.rs\n---\n";

    #[test]
    fn command_plan_and_events_are_told_apart() {
        let snapshot = format!("{HEAD}$ play -- \"drop reply 1\"\n     0 ms  A -> B\n");
        let trace = Trace::parse(&snapshot).unwrap();
        assert_eq!(trace.plan, "drop reply 1");
        assert_eq!(trace.command, "play -- \"drop reply 1\"");
        assert_eq!(trace.events, "     0 ms  A -> B");
    }

    #[test]
    fn half_a_trace_is_refused() {
        for content in
            ["", "A -> B\n", "$ play\nA -> B\n", "$ play -- \"drop\"\n", "$ play -- \"\"\nA\n"]
        {
            assert!(Trace::parse(&format!("{HEAD}{content}")).is_err(), "{content}");
        }
        assert!(Trace::parse("$ play -- \"drop\"\nA -> B\n").is_err());
    }
}
