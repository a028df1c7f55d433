//! The same, by clients that ask for the service by its name: `cargo run --example unavez-by-name -- "crash B at 20 ms for 50 ms"`.

#[allow(dead_code)] // Each of these programs plays one setup.
mod node;

fn main() -> std::process::ExitCode {
    lab::play::main::<node::Core<node::ByName>>()
}
