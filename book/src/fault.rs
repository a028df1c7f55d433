//! What is wrong with a book, and where.

use std::error::Error;
use std::fmt;

/// One thing wrong, with the file and, where there is one, the line to change.
///
/// ```
/// use book::Fault;
///
/// let fault = Fault::at("chapters/step1.md", 12, "`wire.rs`: no such file");
/// assert_eq!(fault.to_string(), "chapters/step1.md:12: `wire.rs`: no such file");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    file: String,
    line: Option<usize>,
    what: String,
}

impl Fault {
    /// A fault on a line, counted from 1.
    pub fn at(file: impl Into<String>, line: usize, what: impl Into<String>) -> Fault {
        Fault { file: file.into(), line: Some(line), what: what.into() }
    }

    /// A fault of a file as a whole.
    ///
    /// ```
    /// use book::Fault;
    ///
    /// let fault = Fault::of("chapters/step7.md", "SUMMARY.md does not name it");
    /// assert_eq!(fault.to_string(), "chapters/step7.md: SUMMARY.md does not name it");
    /// ```
    pub fn of(file: impl Into<String>, what: impl Into<String>) -> Fault {
        Fault { file: file.into(), line: None, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// All the faults of a book at once, by file and line; never empty.
///
/// ```
/// use book::{Fault, Faults};
///
/// let late = Fault::at("chapters/step1.md", 9, "no item");
/// let early = Fault::at("chapters/step1.md", 2, "no trace");
/// let faults = Faults::check(vec![late, early]).unwrap_err();
/// assert_eq!(faults.to_string(), "chapters/step1.md:2: no trace\nchapters/step1.md:9: no item");
/// assert!(Faults::check(vec![]).is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Sorts what was found; nothing found is good.
    pub fn check(mut found: Vec<Fault>) -> Result<(), Faults> {
        found.sort();
        found.dedup();
        if found.is_empty() { Ok(()) } else { Err(Faults(found)) }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Faults {
        Faults(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl Error for Faults {}
