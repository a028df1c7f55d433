//! The bench under the paper's rule to the letter (§3.2), which keeps a reply for the client's
//! patience and no longer: `cargo run --example step3-paper -- "duplicate request 1 by 3 s"`.

use std::time::Duration;

use step3_dedup::{Config, Site};

lab::node!(
    /// This step's core without the packet lifetime.
    Paper: step3_dedup, |_life| {
        Site::new(Config { packet_lifetime: Duration::ZERO, ..Config::default() })
    }
);

fn main() -> std::process::ExitCode {
    lab::play::main::<Paper>()
}
