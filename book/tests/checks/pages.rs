//! Good books are built, and their pages say what the sources say.

use crate::tiny::{Tiny, generators};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

/// The generators of the real book are in its program, so the program builds it.
#[test]
fn the_book_builds() {
    let pages = tempfile::tempdir().expect("a temporary folder can be made");
    let built = std::process::Command::new(env!("CARGO_BIN_EXE_book"))
        .env("MDBOOK_BUILD__BUILD_DIR", pages.path())
        .output()
        .expect("the program runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert!(pages.path().join("index.html").exists());
}

#[test]
fn good_tiny_book_passes() {
    let tiny = Tiny::new();
    assert_eq!(tiny.build(), Ok(()));
}

#[test]
fn items_come_with_docs_and_caption() {
    let tiny = Tiny::new();
    tiny.build().expect("the tiny book is good");
    let page = tiny.page("step1.html");
    assert!(page.contains("<figcaption><code>step1-udp/src/site.rs</code></figcaption>"));
    assert!(page.contains("/// ```\n/// ask();\n/// ```\nfn ask() {\n    wait();\n}"));
    assert!(page.contains("is {{#item step1-udp/src/site.rs fn ask}}."), "an escape is text");
}

#[test]
fn traces_come_with_plan_and_command() {
    let tiny = Tiny::new();
    tiny.build().expect("the tiny book is good");
    let page = tiny.page("step1.html");
    assert!(page.contains("<span class=\"plan\">drop &lt;reply&gt; 1</span>"));
    assert!(page.contains("     0 ms  A -&gt; B  {{#include none}}"), "shown, not expanded");
    assert!(!page.contains("source: step1-udp"), "insta's head is no part of it");
}

#[test]
fn diffs_show_changes_and_new_files() {
    let tiny = Tiny::new();
    tiny.build().expect("the tiny book is good");
    let page = tiny.page("step2.html");
    assert!(page.contains("\n fn ask() {\n+    again();\n     wait();\n"));
    assert!(page.contains("--- /dev/null\n+++ step2-timer/src/timers.rs\n"));
}

#[test]
fn generators_fill_in_markdown() {
    let tiny = Tiny::new();
    tiny.build().expect("the tiny book is good");
    assert!(tiny.page("step2.html").contains("<strong>2 of 2</strong>."));
}

#[test]
fn shown_diagrams_are_no_orphans() {
    let tiny = Tiny::new();
    tiny.write("book/chapters/traces/step1-lost-diagram.snap.svg", "<svg/>");
    tiny.say("{{#diagram step1-lost}}");
    assert_eq!(tiny.build(), Ok(()));
}

/// A change of a source is on the page of the next request; a fault is the answer itself.
#[test]
fn server_follows_the_sources() {
    let tiny = Tiny::new();
    let server = book::Server::open(&tiny.root(), None, generators(), 0).expect("it opens");
    let address = server.address();
    thread::spawn(move || server.run());

    let first = get(address, "/");
    assert!(first.starts_with("HTTP/1.1 200 OK"), "{first}");
    assert!(first.contains("Content-Type: text/html; charset=utf-8"));

    tiny.write("book/chapters/more.md", "# More\n");
    let broken = get(address, "/step1.html");
    assert!(broken.starts_with("HTTP/1.1 500"), "{broken}");
    assert!(broken.contains("chapters/more.md: SUMMARY.md does not name it"));

    let listed = format!("{}- [More](more.md)\n", tiny.read("book/chapters/SUMMARY.md"));
    tiny.write("book/chapters/SUMMARY.md", &listed);
    assert!(get(address, "/more.html").starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn server_gives_nothing_but_pages() {
    let tiny = Tiny::new();
    let server = book::Server::open(&tiny.root(), None, generators(), 0).expect("it opens");
    let address = server.address();
    thread::spawn(move || server.run());
    assert!(address.ip().is_loopback());
    for path in ["/../../book/book.toml", "/%2e%2e/%2e%2e/book/book.toml", "/none.html"] {
        assert!(get(address, path).starts_with("HTTP/1.1 404"), "{path}");
    }
    let style = get(address, &format!("/{}", hashed(&tiny, "css", "general")));
    assert!(style.contains("Content-Type: text/css"), "{style}");
}

/// mdBook names its own files after their content.
fn hashed(tiny: &Tiny, folder: &str, stem: &str) -> String {
    let folder_path = tiny.root().join("../target/book").join(folder);
    std::fs::read_dir(folder_path)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the entry can be read").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .find(|name| name.starts_with(stem))
        .map(|name| format!("{folder}/{name}"))
        .expect("mdBook writes it")
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: book\r\nConnection: close\r\n\r\n")
        .expect("the request is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer comes");
    answer
}
