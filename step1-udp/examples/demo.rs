//! The bank between two real processes over a lossy link: `cargo run --example step1-demo`.

fn main() -> std::process::ExitCode {
    lab::demo::main("step1")
}
