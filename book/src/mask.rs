//! Rust source with its comments and literals blanked, so that words and brackets can be counted.

/// The same lines, with a space for every character of a comment, a string or a character literal.
pub(crate) fn mask(source: &str) -> String {
    let mut masked = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let word_before = masked.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = literal(rest, word_before);
        if length == 0 {
            masked.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            let blank = |c| if c == '\n' { '\n' } else { ' ' };
            masked.extend(rest[..length].chars().map(blank));
            rest = &rest[length..];
        }
    }
    masked
}

/// How many bytes of comment or literal the text begins with.
fn literal(text: &str, word_before: bool) -> usize {
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        block_comment(text)
    } else if text.starts_with('"') {
        quoted(text, '"')
    } else if text.starts_with('\'') {
        character(text)
    } else if word_before {
        0
    } else {
        raw_string(text)
    }
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == mark => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// A quote begins a character only if one character and a quote, or a backslash, follows;
/// otherwise it begins a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => quoted(text, '\''),
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 0,
    }
}

/// `r"…"`, `r#"…"#` and the same with `b` or `c` before it; `r#type` is a word.
fn raw_string(text: &str) -> usize {
    let prefix = text.trim_start_matches(['b', 'c']);
    let kind = text.len() - prefix.len();
    let Some(hashed) = prefix.strip_prefix('r').filter(|_| kind <= 1) else {
        return 0;
    };
    let open = hashed.trim_start_matches('#');
    let Some(body) = open.strip_prefix('"') else {
        return 0;
    };
    let close = format!("\"{}", "#".repeat(hashed.len() - open.len()));
    let head = text.len() - body.len();
    body.find(&close).map_or(text.len(), |end| head + end + close.len())
}

#[cfg(test)]
mod tests {
    use super::mask;

    fn words(source: &str) -> String {
        mask(source).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_blank() {
        assert_eq!(words("a // }\nb /* { /* { */ } */ c"), "a b c");
    }

    #[test]
    fn strings_are_blank() {
        assert_eq!(words(r#"a("\"}", b"{") c"#), "a( , b ) c");
        assert_eq!(words(r###"a(r#"}"{"#, br"\") c"###), "a( , ) c");
    }

    #[test]
    fn characters_are_blank_and_lifetimes_are_not() {
        assert_eq!(words(r"'{' '\'' '\u{7d}' &'a str 'é' x"), "&'a str x");
    }

    #[test]
    fn raw_words_stay() {
        assert_eq!(words("r#type bar\"x\""), "r#type bar");
    }

    #[test]
    fn lines_stay_where_they_are() {
        assert_eq!(mask("a\n\"b\nc\"\nd").lines().count(), 4);
    }
}
