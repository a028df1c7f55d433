//! The strict preprocessor: expands the book's directives and refuses a book with any fault.

use crate::directive::{Directive, directives};
use crate::fault::{Fault, Faults};
use crate::figure::inert;
use crate::include::{check_include, check_rustdoc_include};
use crate::item::item_figure;
use crate::stepdiff::stepdiff_figure;
use crate::steps::{changed_files_shown, files_below, steps};
use crate::trace::{orphans, trace_figure};
use mdbook_preprocessor::book::{Book, Chapter};
use mdbook_preprocessor::errors::Result;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Makes the Markdown of a directive from its words, or says what is wrong.
pub type Generator = fn(&[&str]) -> std::result::Result<String, String>;

/// The directives that are computed, by name: `{{#matrix}}` calls `generators["matrix"]`.
pub type Generators = BTreeMap<&'static str, Generator>;

/// The preprocessor. The workspace is the folder that holds the book's.
///
/// ```
/// use book::{Generators, Steps};
/// use mdbook_preprocessor::Preprocessor;
///
/// let mut generators = Generators::new();
/// generators.insert("answer", |_| Ok("42".to_owned()));
/// assert_eq!(Steps::new(generators).name(), "steps");
/// ```
#[derive(Clone, Debug)]
pub struct Steps {
    generators: Generators,
}

impl Steps {
    /// A preprocessor with these computed directives beside its own.
    pub fn new(generators: Generators) -> Steps {
        Steps { generators }
    }
}

impl Preprocessor for Steps {
    fn name(&self) -> &str {
        "steps"
    }

    fn run(&self, ctx: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let mut run = Run {
            generators: &self.generators,
            workspace: ctx.root.join(".."),
            chapters: ctx.root.join(&ctx.config.book.src),
            listed: BTreeSet::new(),
            shown: BTreeSet::new(),
            faults: Vec::new(),
        };
        let step_chapters = step_chapters(&run.workspace)?;
        book.for_each_chapter_mut(|chapter| run.chapter(chapter, &step_chapters));
        run.unlisted()?;
        run.faults.extend(orphans(&run.chapters, &run.shown)?);
        Faults::check(run.faults)?;
        Ok(book)
    }
}

/// The chapter of each step, with the step before it and the step.
type StepChapters = BTreeMap<String, (String, String)>;

fn step_chapters(workspace: &Path) -> Result<StepChapters> {
    let steps = steps(workspace)?;
    let pairs = steps.windows(2).map(|pair| {
        let [(_, from), (number, to)] = pair else {
            unreachable!("a window of two has two steps");
        };
        (format!("step{number}.md"), (from.clone(), to.clone()))
    });
    Ok(pairs.collect())
}

/// One pass over the book.
struct Run<'a> {
    generators: &'a Generators,
    workspace: PathBuf,
    chapters: PathBuf,
    /// The chapters of SUMMARY.md.
    listed: BTreeSet<String>,
    /// The traces and diagrams that the chapters show: directive and name.
    shown: BTreeSet<(String, String)>,
    faults: Vec<Fault>,
}

impl Run<'_> {
    fn chapter(&mut self, chapter: &mut Chapter, step_chapters: &StepChapters) {
        let Some(source) = chapter.source_path.clone() else {
            return;
        };
        let name = source.to_string_lossy().into_owned();
        if let Some((from, to)) = step_chapters.get(&name) {
            self.changes_shown(&name, from, to, &chapter.content);
        }
        let mut folder = self.chapters.join(&source);
        folder.pop();
        chapter.content = self.expand(&name, &folder, &chapter.content);
        self.listed.insert(name);
    }

    fn changes_shown(&mut self, name: &str, from: &str, to: &str, text: &str) {
        let file = format!("chapters/{name}");
        match changed_files_shown(&self.workspace, from, to, text) {
            Ok(unshown) => self.faults.extend(unshown.iter().map(|changed| {
                let what = format!("`{{{{#stepdiff {from} {to} {changed}}}}}` is missing");
                Fault::of(&file, what)
            })),
            Err(e) => self.faults.push(Fault::of(file, e.to_string())),
        }
    }

    fn expand(&mut self, name: &str, folder: &Path, text: &str) -> String {
        let file = format!("chapters/{name}");
        let (found, flaws) = directives(text);
        let flaws = flaws.iter().map(|flaw| Fault::at(&file, flaw.line, &flaw.what));
        self.faults.extend(flaws);
        let mut page = String::with_capacity(text.len());
        let mut done = 0;
        for directive in &found {
            page.push_str(&text[done..directive.range.start]);
            match self.replacement(folder, directive) {
                Ok(Some(replacement)) => page.push_str(&inert(&replacement)),
                Ok(None) => page.push_str(&text[directive.range.clone()]),
                Err(what) => {
                    let what = format!("{{{{#{}}}}}: {what}", directive.name);
                    self.faults.push(Fault::at(&file, directive.line, what));
                }
            }
            done = directive.range.end;
        }
        page.push_str(&text[done..]);
        page
    }

    /// What stands in the place of a directive; `None` leaves it to mdBook.
    fn replacement(
        &mut self,
        folder: &Path,
        directive: &Directive<'_>,
    ) -> std::result::Result<Option<String>, String> {
        let words = &directive.words[..];
        if let (name @ ("trace" | "diagram"), [shown, ..]) = (directive.name, words) {
            self.shown.insert((name.to_owned(), (*shown).to_owned()));
        }
        if matches!(directive.name, "item" | "stepdiff" | "trace") && !directive.alone {
            return Err("a figure stands alone on its line, outside of code".to_owned());
        }
        match directive.name {
            "include" => check_include(folder, words).map(|()| None),
            "rustdoc_include" => check_rustdoc_include(folder, words).map(|()| None),
            "title" => Ok(None),
            "item" => item_figure(&self.workspace, words).map(Some),
            "stepdiff" => stepdiff_figure(&self.workspace, words).map(Some),
            "trace" => trace_figure(&self.chapters, words).map(Some),
            name => match self.generators.get(name) {
                Some(generate) => generate(words).map(Some),
                None => Err("unknown directive".to_owned()),
            },
        }
    }

    fn unlisted(&mut self) -> Result<()> {
        for file in files_below(&self.chapters)? {
            let chapter = file.ends_with(".md") && file != "SUMMARY.md";
            if chapter && !self.listed.contains(&file) {
                let fault = Fault::of(format!("chapters/{file}"), "SUMMARY.md does not name it");
                self.faults.push(fault);
            }
        }
        Ok(())
    }
}
