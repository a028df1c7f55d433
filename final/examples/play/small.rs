//! The same, at sites with little room and a short memory: `cargo run --example unavez-small -- "4 clients"`.

#[allow(dead_code)] // Each of these programs plays one setup.
mod node;

fn main() -> std::process::ExitCode {
    lab::play::main::<node::Core<node::Small>>()
}
