//! `cloister policy` as a person and as a script meet it: what it writes, what it refuses, and its exit codes.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use cloister_attest::Policy;
use tempfile::TempDir;

const USAGE: i32 = 64;
const INPUT: i32 = 65;

/// A folder that policies are made in.
struct World {
    folder: TempDir,
}

fn pcr(index: u16, byte: &str) -> String {
    format!("--pcr={index}={}", byte.repeat(48))
}

impl World {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a policy of an image and what else is given.
    fn make(&self, arguments: &[&str]) -> Output {
        let image = [pcr(0, "a0"), pcr(1, "a1"), pcr(2, "a2")];
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloister"));
        command.current_dir(self.folder.path()).args(["policy", "make", "--label", "a label", "--out", "policy.toml"]);
        command.args(image).args(arguments).output().unwrap()
    }

    fn made(&self, arguments: &[&str]) -> Policy {
        let output = self.make(arguments);
        assert!(output.status.success(), "{output:?}");
        Policy::from_toml(&fs::read_to_string(self.path("policy.toml")).unwrap()).unwrap()
    }

    /// That nothing is written, with this exit code and these words.
    fn refuses(&self, arguments: &[&str], code: i32, words: &str) {
        let output = self.make(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().filter(|e| is_toml(e.as_ref().unwrap())).count(), 0);
    }
}

fn is_toml(entry: &fs::DirEntry) -> bool {
    entry.path().extension().is_some_and(|extension| extension == "toml")
}

#[test]
fn the_model_and_the_configuration_are_pinned_as_the_enclave_measures_them() {
    let world = World::new();
    // A package of this content is not needed to pin a PCR by its number.
    fs::write(world.path("config"), "mode = \"test\"\n").unwrap();
    let model = pcr(16, "16");
    let policy = world.made(&[&model, "--config", "config", "--max-age", "60"]);
    let [accepted] = policy.accept() else { panic!("{policy:?}") };
    assert_eq!(accepted.label, "a label");
    assert_eq!(policy.max_age().as_secs(), 60);
    assert_eq!(accepted.pcrs.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 16, 17]);
    assert_eq!(accepted.pcrs[&0], [0xa0; 48]);
    assert_eq!(accepted.pcrs[&16], [0x16; 48]);
    // printf 'mode = "test"\n' | sha384sum, in binary, after 48 zero bytes; sha384sum of that.
    assert_eq!(
        hex::encode(accepted.pcrs[&17]),
        "8028b308c76c457ef939fa4dd4908fdd6152368ed2d851112e460dd577a1209ba65482af6154769163eb8b8d62b5242b"
    );
    assert!(policy.root() == &cloister_attest::Root::amazon());
}

#[test]
fn a_package_pins_its_digest() {
    let world = World::new();
    let demo = Command::new(env!("CARGO_BIN_EXE_cloister"))
        .args(["model", "demo", "--width", "1", "--window", "64x64", "--out"])
        .arg(world.path("package"))
        .output()
        .unwrap();
    assert!(demo.status.success(), "{demo:?}");
    let said = String::from_utf8(demo.stdout).unwrap();
    let digest = said.lines().find_map(|line| line.strip_prefix("digest ")).unwrap();
    let policy = world.made(&["--package", "package"]);
    let expected = cloister_attest::extended(&hex::decode(digest).unwrap());
    assert_eq!(policy.accept()[0].pcrs[&16], expected);
    fs::remove_file(world.path("policy.toml")).unwrap();
    world.refuses(&["--package", "package", &pcr(16, "16")], USAGE, "PCR16 is pinned twice");
    world.refuses(&["--package", "package", "--any-model"], USAGE, "--any-model contradicts");
}

#[test]
fn every_model_is_accepted_only_where_that_is_asked_for() {
    let world = World::new();
    world.refuses(&[], USAGE, "--any-model");
    world.refuses(&[&pcr(16, "16"), "--any-model"], USAGE, "--any-model contradicts");
    let policy = world.made(&["--any-model"]);
    assert_eq!(policy.accept()[0].pcrs.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn two_values_for_one_pcr_are_refused() {
    let world = World::new();
    fs::write(world.path("config"), "").unwrap();
    world.refuses(&["--any-model", &pcr(1, "b1")], USAGE, "PCR1 is pinned twice");
    world.refuses(&["--any-model", &pcr(1, "a1")], USAGE, "PCR1 is pinned twice");
    world.refuses(&["--any-model", "--config", "config", &pcr(17, "17")], USAGE, "PCR17 is pinned twice");
}

#[test]
fn what_is_no_pcr_is_refused() {
    let world = World::new();
    for text in ["--pcr=3", "--pcr=3=ab", "--pcr=x=", "--pcr="] {
        world.refuses(&["--any-model", text], USAGE, "is not INDEX=HEX");
    }
    world.refuses(&["--any-model", &pcr(32, "32")], USAGE, "is not INDEX=HEX");
}

#[test]
fn files_that_are_not_there_are_bad_input() {
    let world = World::new();
    world.refuses(&["--package", "missing"], INPUT, "missing");
    world.refuses(&["--any-model", "--config", "missing"], INPUT, "missing");
    world.refuses(&["--any-model", "--root", "missing"], INPUT, "missing");
}

#[test]
fn a_policy_is_shown_as_it_was_made() {
    let world = World::new();
    world.made(&["--any-model"]);
    let show = |name: &str| {
        let path = world.path(name);
        Command::new(env!("CARGO_BIN_EXE_cloister")).args(["policy", "show"]).arg(path).output().unwrap()
    };
    let shown = String::from_utf8(show("policy.toml").stdout).unwrap();
    // The SHA-256 of Amazon's root certificate, as AWS publishes it for nitro-enclaves.
    let root = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";
    assert!(shown.contains(&format!("SHA-256 {root}")), "{shown}");
    assert!(shown.contains("maximum age   300 s") && shown.contains("accepts       a label"), "{shown}");
    assert!(shown.contains(&format!("PCR2          {}  the application", "a2".repeat(48))), "{shown}");
    assert!(shown.contains("any model is accepted") && shown.contains("no end"), "{shown}");
    assert_eq!(show("missing").status.code(), Some(INPUT));
    fs::write(world.path("broken"), "version = 2").unwrap();
    assert_eq!(show("broken").status.code(), Some(INPUT));
}

#[test]
fn a_policy_replaces_the_one_before_and_leaves_nothing_beside_it() {
    let world = World::new();
    fs::write(world.path("policy.toml"), "old").unwrap();
    world.made(&["--any-model"]);
    assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 1);
}

#[test]
fn a_roll_over_keeps_the_old_image_until_its_end_and_adds_the_new_one() {
    let world = World::new();
    let until = "2027-01-01T00:00:00Z";
    let old = world.made(&[&pcr(16, "16"), "--until", until, "--max-age", "60", "--skew", "120"]);
    fs::rename(world.path("policy.toml"), world.path("old")).unwrap();
    let measurements = format!(
        r#"{{"Measurements": {{"PCR0": "{}", "PCR1": "{}", "PCR2": "{}", "PCR8": "{}"}}}}"#,
        "b0".repeat(48),
        "b1".repeat(48),
        "b2".repeat(48),
        "b8".repeat(48)
    );
    fs::write(world.path("measurements"), measurements).unwrap();
    let add = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloister"));
        command.current_dir(world.folder.path()).args(["policy", "make", "--out", "policy.toml"]).args(arguments);
        command.output().unwrap()
    };
    let new = ["--measurements", "measurements", &pcr(16, "17"), "--label", "the new one", "--add-to", "old"];
    let output = add(&new);
    assert!(output.status.success(), "{output:?}");
    let policy = Policy::from_toml(&fs::read_to_string(world.path("policy.toml")).unwrap()).unwrap();
    assert_eq!((policy.max_age(), policy.skew()), (old.max_age(), old.skew()));
    assert_eq!(policy.skew().as_secs(), 120);
    let [first, second] = policy.accept() else { panic!("{policy:?}") };
    assert_eq!(first, &old.accept()[0]);
    assert!(first.until.is_some() && second.until.is_none());
    assert_eq!((second.label.as_str(), second.pcrs[&0], second.pcrs[&8]), ("the new one", [0xb0; 48], [0xb8; 48]));

    let again = add(&["--measurements", "measurements", "--any-model", "--label", "a label", "--add-to", "old"]);
    assert_eq!(again.status.code(), Some(USAGE), "a label twice: {again:?}");
    for (option, what) in [("--max-age", "maximum ages"), ("--skew", "skews")] {
        let both = add(&[&new[..], &[option, "300"]].concat());
        assert_eq!(both.status.code(), Some(USAGE), "two {what}: {both:?}");
    }
}

#[test]
fn a_file_that_holds_no_measurements_and_a_pcr_from_two_places_are_refused() {
    let world = World::new();
    fs::write(world.path("config"), "{}").unwrap();
    world.refuses(&["--any-model", "--measurements", "config"], INPUT, "not measurements");
    let own = format!(r#"{{"Measurements": {{"PCR0": "{}"}}}}"#, "a0".repeat(48));
    fs::write(world.path("config"), own).unwrap();
    world.refuses(&["--any-model", "--measurements", "config"], USAGE, "PCR0 is pinned twice");
    world.refuses(&["--any-model", "--until", "tomorrow"], USAGE, "not a time");
}
