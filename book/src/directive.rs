//! Finds the `{{#name words…}}` directives of a chapter.
//!
//! It sees what mdBook's own scan sees, and calls a flaw whatever that scan would pass over and
//! publish as it stands.

use std::ops::Range;

/// One directive, as written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Directive<'a> {
    /// Its bytes in the chapter, braces included.
    pub(crate) range: Range<usize>,
    pub(crate) line: usize,
    pub(crate) name: &'a str,
    pub(crate) words: Vec<&'a str>,
    /// Alone on its line, from the first column, outside of code: where a figure may stand.
    pub(crate) alone: bool,
}

/// Something on a line that looks like a directive and is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// All directives of a text in their order, and what is malformed.
pub(crate) fn directives(text: &str) -> (Vec<Directive<'_>>, Vec<Flaw>) {
    let mut scan = Scan::default();
    let mut code = Code::default();
    let mut offset = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let in_code = code.holds(line);
        scan.line(n + 1, offset, line, in_code);
        offset += line.len();
    }
    (scan.directives, scan.flaws)
}

#[derive(Default)]
struct Scan<'a> {
    directives: Vec<Directive<'a>>,
    flaws: Vec<Flaw>,
}

impl<'a> Scan<'a> {
    fn line(&mut self, number: usize, offset: usize, line: &'a str, in_code: bool) {
        let mut at = 0;
        while let Some(start) = opening(line, at) {
            let rest = &line[start..];
            if line[..start].ends_with('\\') {
                at = start + self.escaped(number, rest);
                continue;
            }
            let Some(close) = rest.find("}}") else {
                self.flaw(number, "`{{#` is not closed by `}}` on its line");
                return;
            };
            let end = start + close + "}}".len();
            let inner = rest["{{".len()..close].trim_start();
            let mut words = inner.split_whitespace();
            match words.next().and_then(|first| first.strip_prefix('#')) {
                Some(name) if !name.is_empty() => self.directives.push(Directive {
                    range: offset + start..offset + end,
                    line: number,
                    name,
                    words: words.collect(),
                    alone: !in_code && start == 0 && line[end..].trim().is_empty(),
                }),
                _ => self.flaw(number, "`{{#` must be followed at once by a name"),
            }
            at = end;
        }
    }

    /// Returns how far the escape reaches: mdBook lets it run to the last `}}` of the line.
    fn escaped(&mut self, number: usize, rest: &str) -> usize {
        let Some(close) = rest.rfind("}}") else {
            return "{{".len();
        };
        if opening(&rest[..close], "{{".len()).is_some() {
            self.flaw(
                number,
                "mdBook's escape runs to the last `}}` of the line: put the next `{{#` on another",
            );
        }
        close + "}}".len()
    }

    fn flaw(&mut self, line: usize, what: &str) {
        self.flaws.push(Flaw { line, what: what.to_owned() });
    }
}

/// Where the next `{{#` begins; mdBook allows blanks before the `#`.
fn opening(line: &str, from: usize) -> Option<usize> {
    line[from..]
        .match_indices("{{")
        .map(|(at, _)| from + at)
        .find(|at| line[at + "{{".len()..].trim_start().starts_with('#'))
}

/// Whether the reader stands inside a fenced code block, and which fence closes it.
#[derive(Default)]
struct Code {
    fence: Option<(char, usize)>,
}

impl Code {
    /// Takes the next line; true when it is inside a block or one of its fences.
    fn holds(&mut self, line: &str) -> bool {
        let line = line.trim();
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'));
        let length = mark.map_or(0, |mark| line.chars().take_while(|c| *c == mark).count());
        let fence = mark.filter(|_| length >= 3).map(|mark| (mark, length));
        match (self.fence, fence) {
            (None, None) => false,
            (None, Some(_)) => {
                self.fence = fence;
                true
            }
            (Some((open, least)), Some((mark, length))) => {
                if mark == open && length >= least && line.len() == length {
                    self.fence = None;
                }
                true
            }
            (Some(_), None) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        directives(text).0.iter().map(|d| d.name).collect()
    }

    fn flaws(text: &str) -> Vec<usize> {
        directives(text).1.iter().map(|f| f.line).collect()
    }

    #[test]
    fn words_and_line_are_kept() {
        let (found, flaws) = directives("Text.\n\n{{#item a.rs impl Site {}}\n");
        assert_eq!(flaws, []);
        assert_eq!(found[0].name, "item");
        assert_eq!(found[0].words, ["a.rs", "impl", "Site", "{"]);
        assert_eq!((found[0].line, found[0].range.clone()), (3, 7..33));
        assert!(found[0].alone);
    }

    #[test]
    fn escaped_directives_are_text() {
        assert_eq!(names("say \\{{#include x}} here"), [""; 0]);
    }

    #[test]
    fn what_an_escape_swallows_is_a_flaw() {
        assert_eq!(flaws("\\{{#include x}} and {{#include y}}"), [1]);
    }

    #[test]
    fn unclosed_and_nameless_are_flaws() {
        assert_eq!(flaws("a\n{{#include x}\n{{# include x}}\n"), [2, 3]);
    }

    #[test]
    fn handlebars_of_others_are_text() {
        assert_eq!(names("{{title}} and {{{{ x"), [""; 0]);
        assert_eq!(flaws("{{title}} and {{{{ x"), [0; 0]);
    }

    #[test]
    fn only_a_bare_line_is_alone() {
        let text = "{{#a}}\n - {{#b}}\n````rust\n```\n{{#c}}\n````\n{{#d}} \n";
        let alone: Vec<_> = directives(text).0.iter().map(|d| d.alone).collect();
        assert_eq!(alone, [true, false, false, true]);
    }
}
