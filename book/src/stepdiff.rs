//! What one step changes in a file of the step before.

use crate::figure::{code_figure, escape};
use crate::steps::changed_files;
use similar::{ChangeTag, TextDiff};
use std::fs;
use std::io;
use std::path::Path;

/// Unchanged lines shown around a change: what `diff -u` shows.
const CONTEXT: usize = 3;

/// The figure of `{{#stepdiff from to file}}`.
pub(crate) fn stepdiff_figure(workspace: &Path, words: &[&str]) -> Result<String, String> {
    let [from, to, file] = words else {
        return Err(format!("two steps and a file are wanted, not {} words", words.len()));
    };
    for step in [from, to] {
        // Without this, a misspelt step would show every line as new.
        if !workspace.join(step).is_dir() {
            return Err(format!("no step `{step}`"));
        }
    }
    let old =
        read(&workspace.join(from).join(file)).map_err(|e| format!("`{from}/{file}`: {e}"))?;
    let new = read(&workspace.join(to).join(file)).map_err(|e| format!("`{to}/{file}`: {e}"))?;
    if old.is_none() && new.is_none() {
        return Err(format!("`{file}` is neither in {from} nor in {to}"));
    }
    let name = |step: &str, text: &Option<String>| match text {
        Some(_) => format!("{step}/{file}"),
        None => "/dev/null".to_owned(),
    };
    let (old_name, new_name) = (name(from, &old), name(to, &new));
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let diff = TextDiff::from_lines(&old, &new);
    let text = diff.unified_diff().context_radius(CONTEXT).header(&old_name, &new_name).to_string();
    if text.is_empty() {
        return Err(format!("`{file}` is the same in {from} and {to}"));
    }
    let count = |tag| diff.iter_all_changes().filter(|c| c.tag() == tag).count();
    let caption = format!(
        "<code>{}</code> from <code>{}</code> to <code>{}</code>: +{} −{}",
        escape(file),
        escape(from),
        escape(to),
        count(ChangeTag::Insert),
        count(ChangeTag::Delete)
    );
    Ok(code_figure("diff", &caption, "diff", &text))
}

/// How many lines of code `to/src` has that `from/src` has not; blank lines and comments are none.
pub fn added_lines(workspace: &Path, from: &str, to: &str) -> io::Result<usize> {
    let mut added = 0;
    for file in changed_files(&workspace.join(from), &workspace.join(to))? {
        let old = read(&workspace.join(from).join(&file))?.unwrap_or_default();
        let new = read(&workspace.join(to).join(&file))?.unwrap_or_default();
        let diff = TextDiff::from_lines(&old, &new);
        let inserted = diff.iter_all_changes().filter(|c| c.tag() == ChangeTag::Insert);
        added += inserted.filter(|c| is_code(c.value())).count();
    }
    Ok(added)
}

fn is_code(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with("//")
}

/// A file that a step has not got is `None`.
fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
