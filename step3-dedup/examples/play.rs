//! A fault plan on the bench: `cargo run --example step3-play -- "drop reply 1"`.

use step3_dedup::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step3_dedup, |_life| Site::new(Config::default())
);

fn main() -> std::process::ExitCode {
    lab::play::main::<Step>()
}
