//! The Markdown and HTML that all figures of the book are made of.

/// A figure of HTML with a caption in HTML, wide or not; `theme/steps.css` knows the class.
///
/// ```
/// let figure = book::figure("verdicts", "20,000 storms", "<table>\n\n</table>");
/// assert_eq!(
///     figure,
///     "<figure class=\"verdicts\">\n<figcaption>20,000 storms</figcaption>\n\
///      <div class=\"scroll\">\n<table>\n</table>\n</div>\n</figure>\n"
/// );
/// ```
pub fn figure(class: &str, caption: &str, html: &str) -> String {
    // At a blank line Markdown would begin, and read `_` and `*` as its own.
    let lines: Vec<_> = html.lines().filter(|line| !line.trim().is_empty()).collect();
    let html = lines.join("\n");
    format!(
        "<figure class=\"{class}\">\n<figcaption>{caption}</figcaption>\n\
         <div class=\"scroll\">\n{html}\n</div>\n</figure>\n"
    )
}

/// A figure of code or plain text, `info` being what stands behind the opening fence.
///
/// ```
/// let figure = book::code_figure("trace", "A lost reply", "text", "A -> B");
/// assert!(figure.contains("</figcaption>\n\n```text\nA -> B\n```\n\n</figure>"));
/// ```
pub fn code_figure(class: &str, caption: &str, info: &str, text: &str) -> String {
    let code = fence(info, text);
    // The blank lines are where Markdown begins and ends.
    format!(
        "<figure class=\"{class}\">\n<figcaption>{caption}</figcaption>\n\n{code}\n\n</figure>\n"
    )
}

/// Text as HTML shows it.
///
/// ```
/// assert_eq!(book::escape("A -> \"B\""), "A -&gt; &quot;B&quot;");
/// ```
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Keeps mdBook from expanding a directive that stands in text which is shown, not meant.
pub(crate) fn inert(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.find("{{#") {
            // The escape runs to the last `}}` of the line, so that one is enough.
            Some(at) if line[at..].contains("}}") => {
                format!("{}\\{}", &line[..at], &line[at..])
            }
            _ => line.to_owned(),
        })
        .collect()
}

/// A code block whose fence is longer than any run of backticks in the text.
fn fence(info: &str, text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{info}\n{}\n{fence}", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_are_longer_than_any_within() {
        assert_eq!(fence("text", "a\n"), "```text\na\n```");
        assert_eq!(fence("rust", "/// ```"), "````rust\n/// ```\n````");
    }

    #[test]
    fn shown_directives_are_escaped_once_a_line() {
        assert_eq!(inert("a {{#x y}} {{#z w}}\n{{#\n"), "a \\{{#x y}} {{#z w}}\n{{#\n");
    }
}
