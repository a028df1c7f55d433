//! The steps of the workspace, and which of their files changed.

use crate::directive::directives;
use std::fs;
use std::io;
use std::path::Path;

/// The files of `to/src` that differ from `from/src` and that no `{{#stepdiff}}` of the chapter
/// shows; a chapter owes its reader every change.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
/// let unshown = book::changed_files_shown(&workspace, "step1-udp", "step1-udp", "")?;
/// assert!(unshown.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn changed_files_shown(
    workspace: &Path,
    from: &str,
    to: &str,
    chapter: &str,
) -> io::Result<Vec<String>> {
    let (found, _) = directives(chapter);
    let shown =
        |file: &str| found.iter().any(|d| d.name == "stepdiff" && d.words == [from, to, file]);
    let mut unshown = changed_files(&workspace.join(from), &workspace.join(to))?;
    unshown.retain(|file| !shown(file));
    Ok(unshown)
}

/// The folders `step1-…`, `step2-…` of the workspace with their numbers, in order.
pub(crate) fn steps(workspace: &Path) -> io::Result<Vec<(u32, String)>> {
    let mut steps = Vec::new();
    for entry in fs::read_dir(workspace)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let number = name
            .strip_prefix("step")
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(number, _)| number.parse().ok());
        if let Some(number) = number {
            steps.push((number, name));
        }
    }
    steps.sort();
    Ok(steps)
}

/// All files below a folder as paths relative to it, sorted; none if there is no such folder.
pub(crate) fn files_below(folder: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    if folder.is_dir() {
        collect(folder, "", &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The files that differ between the `src` of two steps, as `src/…`, those of only one included.
pub fn changed_files(from: &Path, to: &Path) -> io::Result<Vec<String>> {
    let mut files = files_below(&from.join("src"))?;
    files.extend(files_below(&to.join("src"))?);
    files.sort();
    files.dedup();
    let mut changed = Vec::new();
    for file in files {
        let file = format!("src/{file}");
        let differs = fs::read(from.join(&file)).ok() != fs::read(to.join(&file)).ok();
        if differs {
            changed.push(file);
        }
    }
    Ok(changed)
}
