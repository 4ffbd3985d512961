//! What the tests share: a real registry of Debian's, a front that breaks things on the way to it, and images to push.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

pub mod front;
pub mod images;
pub mod registry;

use std::path::PathBuf;
use std::process::{Command, Output};

/// The path of a tool, or a failure that says how to get it.
pub fn tool(name: &str) -> PathBuf {
    let found = std::env::var_os("PATH")
        .and_then(|paths| std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|path| path.is_file()));
    found.unwrap_or_else(|| panic!("{name} is missing; as root: apt-get install --no-install-recommends {name}"))
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
