//! A tiny book in a workspace of its own, good as it stands, for tests to break.

use book::{Generators, build};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const FILES: &[(&str, &str)] = &[
    (
        "book/book.toml",
        r#"
[book]
title = "Tiny"
src = "chapters"
[build]
build-dir = "../target/book"
create-missing = false
[preprocessor.steps]
command = "no-such-program"
before = ["links"]
[output.html]
input-404 = ""
"#,
    ),
    ("book/chapters/SUMMARY.md", "- [One](step1.md)\n- [Two](step2.md)\n"),
    (
        "book/chapters/step1.md",
        r#"# One

{{#item step1-udp/src/site.rs fn ask}}

```rust,ignore
{{#include ../../step1-udp/src/site.rs:1:2}}
```

{{#trace step1-lost}}

Written out, an item is \{{#item step1-udp/src/site.rs fn ask}}.
"#,
    ),
    (
        "book/chapters/step2.md",
        r#"# Two

After [one](step1.md#one) comes the answer, {{#answer 2}}.

{{#stepdiff step1-udp step2-timer src/site.rs}}

{{#stepdiff step1-udp step2-timer src/timers.rs}}
"#,
    ),
    (
        "book/chapters/traces/step1-lost.snap",
        "---\nsource: step1-udp/tests/traces.rs\n---\n$ play -- \"drop <reply> 1\"\n     0 ms  A -> B  {{#include none}}\n",
    ),
    (
        "step1-udp/src/site.rs",
        "// ANCHOR: all\n/// Asks.\n///\n/// ```\n/// ask();\n/// ```\nfn ask() {\n    wait();\n}\n// ANCHOR_END: all\n\nfn wait() {}\n// ANCHOR: open\n",
    ),
    (
        "step2-timer/src/site.rs",
        "/// Asks.\n///\n/// ```\n/// ask();\n/// ```\nfn ask() {\n    again();\n    wait();\n}\n\nfn wait() {}\n",
    ),
    ("step2-timer/src/timers.rs", "fn again() {}\n"),
];

/// The tiny book's workspace; gone when dropped.
pub(crate) struct Tiny(TempDir);

impl Tiny {
    pub(crate) fn new() -> Tiny {
        let tiny = Tiny(tempfile::tempdir().expect("a temporary folder can be made"));
        for (file, text) in FILES {
            tiny.write(file, text);
        }
        tiny
    }

    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.0.path().join("book")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let file = self.0.path().join(file);
        let folder = file.parent().expect("a file lies in a folder");
        fs::create_dir_all(folder).expect("the folder can be made");
        fs::write(file, text).expect("the file can be written");
    }

    /// Adds lines to the first chapter; they begin at its line 12.
    pub(crate) fn say(&self, text: &str) {
        let chapter = "book/chapters/step1.md";
        let before = self.read(chapter);
        self.write(chapter, &format!("{before}{text}\n"));
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).expect("the file can be read")
    }

    pub(crate) fn build(&self) -> Result<(), Vec<String>> {
        match build(&self.root(), None, generators()) {
            Ok(_) => Ok(()),
            Err(faults) => Err(faults.to_string().lines().map(str::to_owned).collect()),
        }
    }

    pub(crate) fn page(&self, name: &str) -> String {
        self.read(&Path::new("target/book").join(name).to_string_lossy())
    }
}

pub(crate) fn generators() -> Generators {
    let mut generators = Generators::new();
    generators.insert("answer", |words| match words {
        [number] => Ok(format!("**{number} of 2**")),
        _ => Err("one number is wanted".to_owned()),
    });
    generators.insert("diagram", |_| Ok(book::figure("diagram", "A diagram", "<svg></svg>")));
    generators
}
