//! Every rule of the protocol's page is cited where it is kept and where it is tried.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_rule_is_kept_somewhere_and_tried_somewhere() {
    // HOUSE §5.5. A rule is a heading: "### R23: how long a reply is kept".
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = here.join("../book/chapters/protocol.md");
    let page = fs::read_to_string(page).expect("the page of the protocol is there");
    let named: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### R")).collect();
    assert_eq!(named.len(), 43, "{named:?}");
    let rules: Vec<u32> = named
        .iter()
        .filter(|name| !name.contains("(not yet)"))
        .map(|name| name.split([':', ' ']).next().expect("a split has a first part"))
        .map(|number| number.parse().expect("a rule has a number"))
        .collect();
    let missing = ["src", "tests"].map(|folder| {
        let cited = cited_below(&here.join(folder));
        let missing = rules.iter().copied().filter(|rule| !cited.contains(rule));
        (folder, missing.collect::<Vec<u32>>())
    });
    assert!(missing.iter().all(|(_, rules)| rules.is_empty()), "cited nowhere: {missing:?}");
}

/// The numbers of all rules cited in the Rust files below a folder.
fn cited_below(folder: &Path) -> BTreeSet<u32> {
    let mut cited = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            cited.extend(cited_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_this(&path) {
            let text = fs::read_to_string(&path).expect("it is text");
            cited.extend(citations(&text));
        }
    }
    cited
}

fn is_this(path: &Path) -> bool {
    path.ends_with("tests/rules.rs")
}

/// `(R23)`, `(R23, R35)`, `R20: …` in a comment: an R, not within a word, with a number behind it.
fn citations(text: &str) -> impl Iterator<Item = u32> {
    let comments = text.lines().filter_map(|line| line.split_once("//").map(|(_, after)| after));
    let words = comments.flat_map(|comment| comment.split(|c: char| !c.is_alphanumeric()));
    words.filter_map(|word| word.strip_prefix('R')?.parse().ok())
}

#[test]
fn citations_are_found_and_other_words_are_not() {
    let found: Vec<u32> =
        citations("a(); // frees it (R23, R4), not RFC 6298\n// R7: R77x\nR9").collect();
    assert_eq!(found, [23, 4, 7]);
}
