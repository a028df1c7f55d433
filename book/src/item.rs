//! Cuts one item out of a Rust file, so that sources need no anchors.

use crate::figure::{code_figure, escape};
use crate::mask::mask;
use std::fs;
use std::path::Path;

/// The figure of `{{#item path words…}}`: the item, its docs and attributes, and where it stands.
pub(crate) fn item_figure(workspace: &Path, words: &[&str]) -> Result<String, String> {
    let [path, head @ ..] = words else {
        return Err("a path and the words of an item are wanted".to_owned());
    };
    if head.is_empty() {
        return Err(format!("which item of `{path}`? No words are given"));
    }
    let source = fs::read_to_string(workspace.join(path)).map_err(|e| format!("`{path}`: {e}"))?;
    let item = cut(&source, head).map_err(|what| format!("`{path}`: {what}"))?;
    let caption = format!("<code>{}</code>", escape(path));
    Ok(code_figure("code", &caption, "rust,ignore", &item))
}

/// The one item whose line holds these words, dedented.
fn cut(source: &str, head: &[&str]) -> Result<String, String> {
    let masked = mask(source);
    let code: Vec<_> = masked.lines().collect();
    let lines: Vec<_> = source.lines().collect();
    let line = find(&code, head)?;
    let last =
        end_of(&code, line).ok_or_else(|| format!("the item on line {} has no end", line + 1))?;
    let indent = lines[line].len() - lines[line].trim_start().len();
    let dedented: Vec<_> = lines[start_of(&lines, line)..=last]
        .iter()
        .map(|text| text.get(indent..).unwrap_or(text.trim_start()))
        .collect();
    Ok(dedented.join("\n"))
}

fn find(code: &[&str], head: &[&str]) -> Result<usize, String> {
    let wanted = head.join(" ");
    let tokens_wanted = tokens(&wanted);
    let holds = |line: &str| {
        tokens(line).windows(tokens_wanted.len()).any(|window| window == tokens_wanted)
    };
    let found: Vec<_> = (0..code.len()).filter(|n| holds(code[*n])).collect();
    match found[..] {
        [] => Err(format!("no item `{wanted}`")),
        [line] => Ok(line),
        [first, second, ..] => {
            Err(format!("`{wanted}` is ambiguous: lines {} and {}", first + 1, second + 1))
        }
    }
}

/// Words and single marks.
fn tokens(line: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match rest.find(|c| !word(c)) {
            Some(0) => first.len_utf8(),
            Some(end) => end,
            None => rest.len(),
        };
        tokens.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    tokens
}

/// The line that closes what `line` opens. rustfmt ends every item at the end of a line, so a
/// balanced line that ends in `;` or `}` is the last.
fn end_of(code: &[&str], line: usize) -> Option<usize> {
    let mut depth = 0;
    for (n, text) in code.iter().enumerate().skip(line) {
        for c in text.chars() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                _ => {}
            }
            // It closes what was open before: a field, a variant, an argument.
            if depth < 0 {
                return None;
            }
        }
        if depth == 0 && text.trim_end().ends_with([';', '}']) {
            return Some(n);
        }
    }
    None
}

/// The first of the comments and attributes directly above.
fn start_of(lines: &[&str], line: usize) -> usize {
    let mut first = line;
    while first > 0 {
        let above = lines[first - 1].trim();
        let comment = above.starts_with("//") && !above.starts_with("//!");
        if comment || above.starts_with("#[") {
            first -= 1;
        } else if above == ")]" {
            let Some(open) = lines[..first].iter().rposition(|l| l.trim().starts_with("#[")) else {
                break;
            };
            first = open;
        } else {
            break;
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::cut;

    const SOURCE: &str = r#"//! A module.

/// A call that awaits its reply.
#[derive(
    Clone,
)]
pub struct Call(
    u64,
);

pub struct CallId(u64);

/// Not a `struct Call`.
const BODY_MAX: usize = 1_200; // struct Call too
const TEXT: &str =
    "fn handle_request { ";

impl<T> Site<T>
where
    T: Copy,
{
    /// Serves a request.
    ///
    /// Once.
    pub fn handle_request(
        &mut self,
        body: [u8; 4],
    ) -> bool {
        if body[0] == b'}' {
            return false;
        }

        true
    }

    fn one(&self) {}
}
"#;

    fn item(words: &str) -> Result<String, String> {
        cut(SOURCE, &words.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn docs_and_attributes_come_along() {
        let call = item("struct Call").unwrap();
        assert!(call.starts_with("/// A call that"), "{call}");
        assert!(call.ends_with("\n    u64,\n);"), "{call}");
    }

    #[test]
    fn a_method_is_dedented_and_whole() {
        let method = item("fn handle_request").unwrap();
        assert!(method.starts_with("/// Serves a request.\n///\n/// Once.\npub fn"));
        assert!(method.ends_with("\n    }\n\n    true\n}"), "{method}");
    }

    #[test]
    fn one_line_items_end_on_their_line() {
        assert_eq!(item("struct CallId").unwrap(), "pub struct CallId(u64);");
        assert_eq!(item("fn one").unwrap(), "fn one(&self) {}");
        assert!(item("const BODY_MAX").unwrap().starts_with("/// Not a"));
    }

    #[test]
    fn values_on_the_next_line_belong_to_it() {
        assert!(item("const TEXT").unwrap().ends_with("{ \";"));
    }

    #[test]
    fn a_where_clause_does_not_end_it() {
        assert!(item("impl<T> Site<T>").unwrap().ends_with("fn one(&self) {}\n}"));
    }

    #[test]
    fn an_argument_is_no_item() {
        assert_eq!(item("body: [u8; 4]").unwrap_err(), "the item on line 27 has no end");
    }

    #[test]
    fn missing_and_ambiguous_are_told_apart() {
        assert_eq!(item("fn handle").unwrap_err(), "no item `fn handle`");
        let twice = item("T").unwrap_err();
        assert!(twice.contains("ambiguous: lines 18 and 20"), "{twice}");
    }
}
