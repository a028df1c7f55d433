//! A fault plan on the bench: `cargo run --example step4-play -- "drop reply 1"`.

use step4_epochs::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step4_epochs, |epoch| Site::new(Config::default(), epoch), epochs
);

fn main() -> std::process::ExitCode {
    lab::play::main::<Step>()
}
