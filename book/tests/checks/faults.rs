//! Each kind of fault, made on purpose in a tiny book, is found where it is.

use crate::tiny::Tiny;

/// What the tiny book is told when its first chapter goes on with this, on its line 12.
fn said(text: &str) -> Vec<String> {
    let tiny = Tiny::new();
    tiny.say(text);
    tiny.build().expect_err("the fault is found")
}

fn assert_only(faults: &[String], expected: &str) {
    assert_eq!(faults, [expected], "the one fault, and no other");
}

#[test]
fn broken_include_is_a_fault() {
    let faults = said("{{#include ../../step1-udp/src/cite.rs}}");
    assert_eq!(faults.len(), 1);
    let expected =
        "chapters/step1.md:12: {{#include}}: `../../step1-udp/src/cite.rs`: No such file";
    assert!(faults[0].starts_with(expected), "{}", faults[0]);
}

#[test]
fn missing_anchor_is_a_fault() {
    assert_only(
        &said("{{#include ../../step1-udp/src/site.rs:none}}"),
        "chapters/step1.md:12: {{#include}}: `../../step1-udp/src/site.rs`: no anchor `none`",
    );
}

#[test]
fn unclosed_anchor_is_a_fault() {
    assert_only(
        &said("{{#rustdoc_include ../../step1-udp/src/site.rs:open}}"),
        "chapters/step1.md:12: {{#rustdoc_include}}: `../../step1-udp/src/site.rs`: \
         anchor `open` is not closed",
    );
}

#[test]
fn range_past_the_end_is_a_fault() {
    assert_only(
        &said("{{#include ../../step1-udp/src/site.rs:12:14}}"),
        "chapters/step1.md:12: {{#include}}: `../../step1-udp/src/site.rs`: \
         line 14 is past the end, line 13",
    );
    assert_only(
        &said("{{#include ../../step1-udp/src/site.rs:14:}}"),
        "chapters/step1.md:12: {{#include}}: `../../step1-udp/src/site.rs`: \
         lines 14 to 13 are none",
    );
}

#[test]
fn include_with_directives_in_it_is_a_fault() {
    let tiny = Tiny::new();
    tiny.write("notes.txt", "{{#include other.txt}}\n");
    tiny.say("{{#include ../../notes.txt}}");
    assert_only(
        &tiny.build().unwrap_err(),
        "chapters/step1.md:12: {{#include}}: `../../notes.txt` itself holds `{{#include …}}`",
    );
}

#[test]
fn missing_item_is_a_fault() {
    assert_only(
        &said("{{#item step1-udp/src/site.rs fn as}}"),
        "chapters/step1.md:12: {{#item}}: `step1-udp/src/site.rs`: no item `fn as`",
    );
}

#[test]
fn ambiguous_item_is_a_fault() {
    assert_only(
        &said("{{#item step1-udp/src/site.rs fn}}"),
        "chapters/step1.md:12: {{#item}}: `step1-udp/src/site.rs`: \
         `fn` is ambiguous: lines 7 and 12",
    );
}

#[test]
fn figure_within_a_line_is_a_fault() {
    assert_only(
        &said("Here: {{#item step1-udp/src/site.rs fn ask}}"),
        "chapters/step1.md:12: {{#item}}: a figure stands alone on its line, outside of code",
    );
}

#[test]
fn wrong_number_of_words_is_a_fault() {
    assert_eq!(
        said("{{#item step1-udp/src/site.rs}}\n\n{{#stepdiff step1-udp src/site.rs}}"),
        [
            "chapters/step1.md:12: {{#item}}: \
             which item of `step1-udp/src/site.rs`? No words are given",
            "chapters/step1.md:14: {{#stepdiff}}: two steps and a file are wanted, not 2 words",
        ]
    );
}

#[test]
fn empty_diff_is_a_fault() {
    assert_only(
        &said("{{#stepdiff step1-udp step1-udp src/site.rs}}"),
        "chapters/step1.md:12: {{#stepdiff}}: \
         `src/site.rs` is the same in step1-udp and step1-udp",
    );
}

#[test]
fn diff_of_no_file_is_a_fault() {
    assert_only(
        &said("{{#stepdiff step1-udp step2-timer src/cite.rs}}"),
        "chapters/step1.md:12: {{#stepdiff}}: \
         `src/cite.rs` is neither in step1-udp nor in step2-timer",
    );
    assert_only(
        &said("{{#stepdiff step1-upd step2-timer src/site.rs}}"),
        "chapters/step1.md:12: {{#stepdiff}}: no step `step1-upd`",
    );
}

#[test]
fn missing_trace_is_a_fault() {
    let faults = said("{{#trace step1-found}}");
    assert_eq!(faults.len(), 1);
    let expected = "chapters/step1.md:12: {{#trace}}: trace `step1-found`: No such file";
    assert!(faults[0].starts_with(expected), "{}", faults[0]);
}

#[test]
fn orphan_trace_is_a_fault() {
    let tiny = Tiny::new();
    let trace = tiny.read("book/chapters/traces/step1-lost.snap");
    tiny.write("book/chapters/traces/step1-late.snap", &trace);
    tiny.write("book/chapters/traces/step1-lost-diagram.snap.svg", "<svg/>");
    assert_eq!(
        tiny.build().unwrap_err(),
        [
            "chapters/traces/step1-late.snap: no chapter shows it",
            "chapters/traces/step1-lost-diagram.snap.svg: no chapter shows it",
        ]
    );
}

#[test]
fn unknown_directive_is_a_fault() {
    assert_only(
        &said("{{#itme step1-udp/src/site.rs fn ask}}"),
        "chapters/step1.md:12: {{#itme}}: unknown directive",
    );
}

#[test]
fn half_a_directive_is_a_fault() {
    assert_only(
        &said("{{#include ../../step1-udp/src/site.rs}"),
        "chapters/step1.md:12: `{{#` is not closed by `}}` on its line",
    );
}

#[test]
fn refusing_generator_is_a_fault() {
    assert_only(&said("{{#answer}}"), "chapters/step1.md:12: {{#answer}}: one number is wanted");
}

#[test]
fn changed_file_without_a_diff_is_a_fault() {
    let tiny = Tiny::new();
    tiny.write("step2-timer/src/daemon/send.rs", "fn send() {}\n");
    assert_only(
        &tiny.build().unwrap_err(),
        "chapters/step2.md: `{{#stepdiff step1-udp step2-timer src/daemon/send.rs}}` is missing",
    );
}

#[test]
fn chapter_outside_the_summary_is_a_fault() {
    let tiny = Tiny::new();
    tiny.write("book/chapters/step3.md", "# Three\n");
    assert_only(&tiny.build().unwrap_err(), "chapters/step3.md: SUMMARY.md does not name it");
}

#[test]
fn summary_without_its_chapter_is_a_fault() {
    let tiny = Tiny::new();
    tiny.write("book/chapters/SUMMARY.md", "- [One](step1.md)\n- [Nine](step9.md)\n");
    let faults = tiny.build().unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("failed to read chapter `step9.md`"), "{}", faults[0]);
}

#[test]
fn book_that_runs_us_last_is_a_fault() {
    let tiny = Tiny::new();
    let config = tiny.read("book/book.toml");
    tiny.write("book/book.toml", &config.replace("before = [\"links\"]", ""));
    assert_only(
        &tiny.build().unwrap_err(),
        "book.toml: [preprocessor.steps] must say `before = [\"links\"]`",
    );
}

#[test]
fn what_mdbook_only_warns_of_is_a_fault() {
    let faults = said("<details><summary>Answer</summary>\n\nNo.");
    assert!(faults[0].contains("unclosed HTML tag `<details>` found in `step1.md`"), "{faults:?}");
}

#[test]
fn dead_link_is_a_fault() {
    let faults = said("[three](step3.md)");
    let expected = "step1.html: `step3.html`: there is no step3.html";
    assert!(faults.contains(&expected.to_owned()), "{faults:?}");
}

#[test]
fn dead_fragment_is_a_fault() {
    let faults = said("[two](step2.md#too)");
    let expected = "step1.html: `step2.html#too`: there is no id `too` on step2.html";
    assert!(faults.contains(&expected.to_owned()), "{faults:?}");
}

#[test]
fn one_id_twice_is_a_fault() {
    let faults = said("<svg><marker id=\"one\"></marker></svg>");
    let expected = "step1.html: 2 elements have the id `one`";
    assert!(faults.contains(&expected.to_owned()), "{faults:?}");
}

#[test]
fn all_faults_are_told_at_once() {
    let tiny = Tiny::new();
    tiny.say("{{#trace}}\n{{#what}} {{#answer}}");
    tiny.write("book/chapters/step0.md", "# Zero\n");
    assert_eq!(
        tiny.build().unwrap_err(),
        [
            "chapters/step0.md: SUMMARY.md does not name it",
            "chapters/step1.md:12: {{#trace}}: one name is wanted, not 0 words",
            "chapters/step1.md:13: {{#answer}}: one number is wanted",
            "chapters/step1.md:13: {{#what}}: unknown directive",
        ]
    );
}

#[test]
fn faults_leave_the_old_pages() {
    let tiny = Tiny::new();
    tiny.build().expect("the tiny book is good");
    tiny.say("{{#what}}");
    tiny.build().expect_err("and now it is not");
    assert!(tiny.page("step1.html").contains("drop &lt;reply&gt; 1"));
}
