//! The bank between two real processes over a lossy link: `cargo run --example step5-demo`.

use lab::demo::Step;

fn main() -> std::process::ExitCode {
    lab::demo::main(Step { name: "step5", survives: true, slows: true })
}
