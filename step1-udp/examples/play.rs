//! A fault plan on the bench: `cargo run --example step1-play -- "drop reply 1"`.

lab::node!(
    /// This step's core.
    Step: step1_udp, no clock
);

fn main() -> std::process::ExitCode {
    lab::play::main::<Step>()
}
