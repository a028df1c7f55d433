//! The same, by callers who wait 300 ms and then want to know: `cargo run --example unavez-hurried -- "delay request 1 by 400 ms"`.

#[allow(dead_code)] // Each of these programs plays one setup.
mod node;

fn main() -> std::process::ExitCode {
    lab::play::main::<node::Core<node::Hurried>>()
}
