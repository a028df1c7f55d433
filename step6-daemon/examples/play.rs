//! A fault plan on the bench: `cargo run --example step6-play -- "drop reply 1"`.

use step6_daemon::{Config, Site};

lab::node!(
    /// This step's core.
    Step: step6_daemon, |epoch| Site::new(Config::default(), epoch), epochs
);

fn main() -> std::process::ExitCode {
    lab::play::main::<Step>()
}
