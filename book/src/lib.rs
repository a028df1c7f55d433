//! Builds, checks and serves the book.
//!
//! Nothing on a page may be wrong: every listing, trace and diff is taken from a file that a test
//! checks, every table and diagram is generated. What mdBook lets pass in silence (a dead include,
//! a missing anchor, a range past the end, a dead link) is a fault here, and a book with a fault
//! is not built.

mod bench;
mod build;
mod comparison;
mod directive;
mod fault;
mod figure;
mod generators;
mod include;
mod item;
mod links;
mod mask;
mod matrix;
mod preprocess;
mod price;
mod protocol;
mod scoreboard;
mod serve;
mod stepdiff;
mod steps;
mod trace;
#[path = "../../final/examples/play/node.rs"]
mod unavez_node;
mod warnings;

pub use bench::{Core, STEPS};
pub use build::build;
pub use comparison::comparison_folder;
pub use fault::{Fault, Faults};
pub use figure::{code_figure, escape, figure};
pub use generators::generators;
pub use links::check_pages;
pub use matrix::matrix_text;
pub use preprocess::{Generator, Generators, Steps};
pub use price::{Cost, Median, Price, play_peer, price_file, price_rounds, price_text};
pub use scoreboard::{STORMS, scoreboard_file, scoreboard_text, storms_in_all};
pub use serve::Server;
pub use stepdiff::added_lines;
pub use steps::{changed_files, changed_files_shown};
pub use trace::Trace;

/// The chapters with Rust in them: rustdoc compiles and runs it as it does any example.
///
/// A fence without a language counts as Rust; directives stand outside of fences or in `ignore`d
/// ones.
#[cfg(doctest)]
mod chapters {
    #[doc = include_str!("../chapters/preface.md")]
    struct Preface;
    #[doc = include_str!("../chapters/final.md")]
    struct Final;
}
