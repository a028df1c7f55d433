//! Traces as files: what a step's test asserts is what the book prints.

use std::path::PathBuf;

use crate::node::Node;
use crate::plan::Plan;
use crate::run::Run;
use crate::world::{run, transcript};

/// Asserts that this plan gives the trace in `book/chapters/traces`, and hands over the run.
///
/// The file's first line is the command that prints the rest of it. To accept a change: `INSTA_UPDATE=always cargo test`.
///
/// # Panics
/// The plan does not parse, or the trace is another.
pub fn assert_trace<N: Node>(example: &str, name: &str, plan: &str) -> Run {
    let plan: Plan = plan.parse().expect("a test's plan is right");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text::<N>(example, &plan)));
    run::<N>(&plan)
}

/// What the file of a trace says: the command, then what it prints.
pub fn text<N: Node>(example: &str, plan: &Plan) -> String {
    format!("$ cargo run --example {example} -- \"{plan}\"\n{}", transcript::<N>(plan))
}

/// Where the traces are.
pub fn folder() -> PathBuf {
    let lab = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    lab.parent().expect("the lab lies in the book").join("chapters/traces")
}
