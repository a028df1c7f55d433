//! The bank between two real processes over a lossy link: `cargo run --example step2-demo`.

use lab::demo::Step;

fn main() -> std::process::ExitCode {
    lab::demo::main(Step { name: "step2", survives: false, slows: false })
}
