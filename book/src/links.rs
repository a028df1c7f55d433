//! Checks the rendered pages: every link, source and reference leads somewhere, every id is unique.
//!
//! There is no network: of a link to elsewhere only the form is checked.

use crate::fault::Fault;
use crate::steps::files_below;
use scraper::Html;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The faults of all pages below a folder.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let pages = tempfile::tempdir()?;
/// std::fs::write(pages.path().join("a.html"), "<a href='b.html#top'>b</a>")?;
/// let faults = book::check_pages(pages.path())?;
/// assert_eq!(faults[0].to_string(), "a.html: `b.html#top`: there is no b.html");
/// # Ok(())
/// # }
/// ```
pub fn check_pages(folder: &Path) -> io::Result<Vec<Fault>> {
    let mut site = Site::default();
    for file in files_below(folder)? {
        let page = if file.ends_with(".html") {
            Some(Page::parse(&fs::read_to_string(folder.join(&file))?))
        } else {
            None
        };
        site.files.insert(file, page);
    }
    Ok(site.faults())
}

/// All published files; those that are pages with what was found on them.
#[derive(Default)]
struct Site {
    files: BTreeMap<String, Option<Page>>,
}

impl Site {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (file, page) in &self.files {
            let Some(page) = page else { continue };
            for (id, count) in &page.ids {
                if *count > 1 {
                    faults.push(Fault::of(file, format!("{count} elements have the id `{id}`")));
                }
            }
            for target in &page.targets {
                if let Err(what) = self.leads_somewhere(file, target) {
                    faults.push(Fault::of(file, format!("`{target}`: {what}")));
                }
            }
        }
        faults
    }

    fn leads_somewhere(&self, from: &str, target: &str) -> Result<(), String> {
        if let Some((scheme, rest)) = scheme(target) {
            return well_formed(scheme, rest);
        }
        if target.starts_with('/') {
            return Err("an absolute path breaks where the book is not at the root".to_owned());
        }
        let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
        let path = path.split('?').next().unwrap_or(path);
        let file = match path {
            "" => from.to_owned(),
            path => resolve(from, &decode(path)).ok_or("it leaves the book")?,
        };
        let page = self.files.get(&file).ok_or_else(|| format!("there is no {file}"))?;
        let id = decode(fragment);
        match page {
            Some(page) if !id.is_empty() && !page.ids.contains_key(&id) => {
                Err(format!("there is no id `{id}` on {file}"))
            }
            _ => Ok(()),
        }
    }
}

struct Page {
    ids: BTreeMap<String, usize>,
    /// Links, sources, and as `#id` all references to elements of the same page.
    targets: Vec<String>,
}

impl Page {
    fn parse(html: &str) -> Page {
        let mut page = Page { ids: BTreeMap::new(), targets: Vec::new() };
        for element in Html::parse_document(html).root_element().descendent_elements() {
            for (name, value) in element.value().attrs() {
                page.attribute(name, value);
            }
        }
        page
    }

    fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "id" => *self.ids.entry(value.to_owned()).or_default() += 1,
            // SVG's xlink:href is among them: the parser splits the prefix off.
            "href" | "src" | "poster" => self.targets.push(value.trim().to_owned()),
            // Not aria-describedby: that of mdBook's own search box names an id it has renamed.
            "for" | "aria-labelledby" | "aria-controls" => {
                let ids = value.split_whitespace().map(|id| format!("#{id}"));
                self.targets.extend(ids);
            }
            // Markers, gradients and clip paths of SVG.
            _ => {
                let ids = value.split("url(").skip(1).filter_map(|rest| {
                    let (url, _) = rest.split_once(')')?;
                    Some(url.trim_matches(['"', '\'']).to_owned())
                });
                self.targets.extend(ids);
            }
        }
    }
}

/// Splits `scheme:rest`; `//host` is of the scheme of the page.
fn scheme(target: &str) -> Option<(&str, &str)> {
    if target.starts_with("//") {
        return Some(("https", target));
    }
    let (scheme, rest) = target.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some((scheme, rest))
}

fn well_formed(scheme: &str, rest: &str) -> Result<(), String> {
    let malformed = || Err("it is malformed".to_owned());
    if rest.contains(|c: char| c.is_whitespace() || "<>\"{}|\\^`".contains(c)) {
        return malformed();
    }
    match scheme {
        "http" | "https" => {
            let host = rest.strip_prefix("//").unwrap_or_default();
            let host = host.split(['/', '?', '#']).next().unwrap_or_default();
            let labels = host.split(':').next().unwrap_or_default();
            let good = !labels.is_empty()
                && labels.split('.').all(|label| !label.is_empty())
                && labels.chars().all(|c| c.is_alphanumeric() || ".-".contains(c));
            if good { Ok(()) } else { malformed() }
        }
        "mailto" if rest.contains('@') => Ok(()),
        "mailto" => malformed(),
        "data" => Ok(()),
        other => Err(format!("scheme `{other}` is not for a book")),
    }
}

/// The file a relative path leads to; `None` if it climbs out of the book.
fn resolve(from: &str, path: &str) -> Option<String> {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    if matches!(last, "" | "." | "..") {
        parts.push("index.html");
    }
    Some(parts.join("/"))
}

/// Undoes `%xx`; what is no escape stays.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(html: &str) -> Vec<String> {
        let other = Page::parse("<h1 id='é'>x</h1>");
        let files = [
            ("a/page.html".to_owned(), Some(Page::parse(html))),
            ("b.html".to_owned(), Some(other)),
            ("a/x.svg".to_owned(), None),
        ];
        let site = Site { files: files.into() };
        site.faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_exists_is_found() {
        let html = "<p id=x><a href='#x'>a</a><a href='../b.html?q#%C3%A9'>b</a><img src=x.svg>\
            <a href='#'>top</a><a href='https://example.org/a(b)#c'>c</a>\
            <a href='mailto:a@b.org'>d</a><svg><marker id=m /><path marker-end='url(#m)'/></svg>";
        assert_eq!(faults(html), [""; 0]);
    }

    #[test]
    fn each_dead_end_is_a_fault() {
        let dead = [
            "<a href='c.html'>",
            "<a href='../b.html#y'>",
            "<a href='../../b.html'>",
            "<a href='/b.html'>",
            "<a href='#x'>",
            "<img src='y.svg'>",
            "<a href='https://'>",
            "<a href='https://exa mple.org'>",
            "<a href='javascript:x'>",
            "<p id=a><p id=a>",
            "<svg><path marker-end='url(#m)'/></svg>",
            "<svg><use xlink:href='#m'/></svg>",
            "<svg aria-labelledby='t'></svg>",
        ];
        for html in dead {
            assert_eq!(faults(html).len(), 1, "{html}");
        }
    }
}
