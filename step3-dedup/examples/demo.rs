//! The bank between two real processes over a lossy link: `cargo run --example step3-demo`.

fn main() -> std::process::ExitCode {
    lab::demo::main("step3")
}
