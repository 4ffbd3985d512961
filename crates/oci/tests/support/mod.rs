//! What the tests share: a real registry of Debian's, a front that breaks things on the way to it, and images to push.
#![allow(dead_code, unused_imports, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

pub mod front;
pub mod images;
pub mod registry;

use std::process::{Command, Output};

pub use cloister_test_data::registry::tool;

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
