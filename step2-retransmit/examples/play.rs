//! A fault plan on the bench: `cargo run --example step2-play -- "drop reply 1"`.

use step2_retransmit::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step2_retransmit, |_life| Site::new(Config::default())
);

fn main() -> std::process::ExitCode {
    lab::play::main::<Step>()
}
