//! A fault plan on the bench: `cargo run --example unavez-play -- "drop reply 1"`.

#[allow(dead_code)] // Each of these programs plays one setup.
mod node;

fn main() -> std::process::ExitCode {
    lab::play::main::<node::Core<node::Usual>>()
}
