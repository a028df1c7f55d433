//! The steps' examples as programs, for whoever starts them as processes.

use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

/// Builds these examples with the caller's own profile, and says where they are.
///
/// # Errors
/// They do not build.
pub fn examples<const N: usize>(names: [&str; N]) -> io::Result<[PathBuf; N]> {
    let folder = folder()?;
    let mut build = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    build.args(["build", "--quiet", "--manifest-path"]);
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    if let Some(target) = folder.ancestors().nth(2) {
        build.arg("--target-dir").arg(target);
    }
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    for name in names {
        build.args(["--example", name]);
    }
    match build.status()?.success() {
        true => Ok(names.map(|name| folder.join(name))),
        false => Err(io::Error::other("the examples do not build")),
    }
}

/// Where examples lie: beside this one, or beside the folder of this test.
fn folder() -> io::Result<PathBuf> {
    let mut folder = env::current_exe()?;
    folder.pop();
    if folder.ends_with("deps") {
        folder.set_file_name("examples");
    }
    Ok(folder)
}
