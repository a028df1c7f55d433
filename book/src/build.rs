//! From the chapters to checked pages.

use crate::fault::{Fault, Faults};
use crate::links::check_pages;
use crate::preprocess::{Generators, Steps};
use crate::warnings::collecting;
use mdbook_driver::MDBook;
use mdbook_driver::errors::Error;
use std::path::{Path, PathBuf};

/// Builds the book that lies in `root` and checks every page; returns where the pages are.
///
/// They go to `pages` if it is given, else to where `book.toml` says.
///
/// # Errors
///
/// All faults of the chapters; if there are none, all faults of the pages. Chapters with faults
/// leave the pages of an earlier build as they were.
///
/// ```no_run
/// use book::Generators;
/// use std::path::Path;
///
/// let pages = book::build(Path::new("book"), None, Generators::new())?;
/// println!("{}", pages.join("index.html").display());
/// # Ok::<(), book::Faults>(())
/// ```
pub fn build(root: &Path, pages: Option<&Path>, generators: Generators) -> Result<PathBuf, Faults> {
    let (built, mut faults) = collecting(|| render(root, pages, generators));
    let pages = built.map_err(into_faults)?;
    faults.extend(check_pages(&pages).map_err(|e| Fault::of("book", e.to_string()))?);
    Faults::check(faults)?;
    Ok(pages)
}

fn render(root: &Path, pages: Option<&Path>, generators: Generators) -> Result<PathBuf, Error> {
    let mut book = MDBook::load(root)?;
    let before: Option<Vec<String>> = book.config.get("preprocessor.steps.before")?;
    if !before.is_some_and(|names| names.iter().any(|name| name == "links")) {
        // mdBook would run us last, when its own includes have been expanded unchecked.
        let what = "[preprocessor.steps] must say `before = [\"links\"]`";
        return Err(Faults::from(Fault::of("book.toml", what)).into());
    }
    if let Some(pages) = pages {
        book.config.build.build_dir = pages.to_owned();
    }
    // It takes the place of the command of the same name in book.toml.
    book.with_preprocessor(Steps::new(generators));
    book.build()?;
    Ok(book.build_dir_for("html"))
}

fn into_faults(error: Error) -> Faults {
    error.downcast::<Faults>().unwrap_or_else(|error| {
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        let what = chain.join(": ").split_whitespace().collect::<Vec<_>>().join(" ");
        Faults::from(Fault::of("book", what))
    })
}
