//! The bank between two real processes over a lossy link: `cargo run --example step1-demo`.

use lab::demo::Step;

fn main() -> std::process::ExitCode {
    lab::demo::main(Step { name: "step1", survives: false, slows: false })
}
