//! The enclave's process where there is nothing to run it: what it says, and its exit code. (What it does where there is: `tests/`.)

#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "tests start processes, enclaves do not")]

use std::process::{Command, Output};

fn enclave(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } =
        Command::new(env!("CARGO_BIN_EXE_cloister-enclave")).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let (code, words) = enclave(&["--config", "/nonexistent/enclave.toml"]);
    assert_eq!(code, Some(65), "{words}");
    assert!(words.contains("/nonexistent/enclave.toml"), "{words}");
}

#[test]
fn without_a_security_module_it_is_no_enclave_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("enclave.toml");
    let key = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-4000-8000-000000000000";
    let text = format!("version = 1\n[model]\nname = \"m\"\nminimum_version = 1\nkey_arns = [\"{key}\"]\n");
    std::fs::write(&config, text).unwrap();
    let (code, words) = enclave(&["--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(69), "{words}");
    assert!(words.contains("/dev/nsm"), "{words}");
}

#[test]
fn a_flag_that_nobody_knows_is_bad_usage() {
    let (code, words) = enclave(&["--no-such-flag"]);
    assert_eq!(code, Some(64), "{words}");
}
