//! A fault plan on the bench: `cargo run --example step5-play -- "drop reply 1"`.

use step5_heartbeat::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step5_heartbeat, |epoch| Site::new(Config::default(), epoch), epochs
);

fn main() -> std::process::ExitCode {
    lab::play::main::<Step>()
}
