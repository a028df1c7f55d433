//! Checks what mdBook's own includes will take, before mdBook takes it.
//!
//! mdBook publishes an empty block for a missing file, a missing anchor or a range past the end
//! (its issue 1094); here each is a fault.

use crate::directive::directives;
use std::fs;
use std::path::Path;

/// Checks `{{#include path[:part]}}` in a chapter that lies in `folder`.
pub(crate) fn check_include(folder: &Path, words: &[&str]) -> Result<(), String> {
    check(folder, words, Part::take)
}

/// Checks `{{#rustdoc_include path[:part]}}`, which keeps the rest of the file as hidden lines.
pub(crate) fn check_rustdoc_include(folder: &Path, words: &[&str]) -> Result<(), String> {
    check(folder, words, |part, text| {
        part.take(text)?;
        Ok(text.to_owned())
    })
}

fn check(
    folder: &Path,
    words: &[&str],
    take: impl Fn(&Part, &str) -> Result<String, String>,
) -> Result<(), String> {
    let [spec] = words else {
        return Err(format!("one path is wanted, not {} words", words.len()));
    };
    let (path, part) = spec.split_once(':').unwrap_or((spec, ""));
    let part = Part::parse(part)?;
    let text = fs::read_to_string(folder.join(path)).map_err(|e| format!("`{path}`: {e}"))?;
    let taken = take(&part, &text).map_err(|what| format!("`{path}`: {what}"))?;
    if taken.trim().is_empty() {
        return Err(format!("`{spec}` takes nothing but blank lines"));
    }
    // mdBook would expand them after this check and without it.
    if let Some(inner) = directives(&taken).0.first() {
        return Err(format!("`{path}` itself holds `{{{{#{} …}}}}`", inner.name));
    }
    Ok(())
}

/// The part of a file that an include asks for.
enum Part {
    /// Lines counted from 1, both ends taken.
    Lines {
        first: usize,
        last: Option<usize>,
    },
    Anchor(String),
}

impl Part {
    fn parse(part: &str) -> Result<Part, String> {
        let number = |word: &str| word.parse::<usize>().ok();
        match part.split_once(':') {
            None if part.is_empty() => Ok(Part::Lines { first: 1, last: None }),
            None => Ok(match number(part) {
                Some(line) => Part::Lines { first: line, last: Some(line) },
                None => Part::Anchor(part.to_owned()),
            }),
            Some((first, last)) => {
                let wrong = || format!("`{part}` is no range of lines");
                let first = if first.is_empty() { Some(1) } else { number(first) };
                let first = first.ok_or_else(wrong)?;
                let last = match last {
                    "" => None,
                    last => Some(number(last).ok_or_else(wrong)?),
                };
                Ok(Part::Lines { first, last })
            }
        }
    }

    fn take(&self, text: &str) -> Result<String, String> {
        match self {
            Part::Lines { first, last } => take_lines(text, *first, *last),
            Part::Anchor(name) => take_anchor(text, name),
        }
    }
}

fn take_lines(text: &str, first: usize, last: Option<usize>) -> Result<String, String> {
    let lines: Vec<_> = text.lines().collect();
    let last = last.unwrap_or(lines.len());
    if first == 0 || first > last {
        return Err(format!("lines {first} to {last} are none"));
    }
    if last > lines.len() {
        return Err(format!("line {last} is past the end, line {}", lines.len()));
    }
    Ok(lines[first - 1..last].join("\n"))
}

fn take_anchor(text: &str, name: &str) -> Result<String, String> {
    let marks = |mark: &'static str| move |line: &&str| marked(line, mark) == Some(name);
    let mut lines = text.lines().skip_while(|line| !marks("ANCHOR:")(line));
    if lines.next().is_none() {
        return Err(format!("no anchor `{name}`"));
    }
    let rest: Vec<_> = lines.collect();
    let Some(end) = rest.iter().position(|line| marks("ANCHOR_END:")(line)) else {
        return Err(format!("anchor `{name}` is not closed"));
    };
    Ok(rest[..end].join("\n"))
}

/// The name behind a mark, cut as mdBook cuts it.
fn marked<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    let rest = line[line.find(mark)? + mark.len()..].trim_start();
    let end =
        rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
    Some(&rest[..end])
}
