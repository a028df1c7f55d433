//! The bank between two real processes over a lossy link: `cargo run --example step4-demo`.

use lab::demo::Step;

fn main() -> std::process::ExitCode {
    lab::demo::main(Step { name: "step4", survives: true, slows: false })
}
