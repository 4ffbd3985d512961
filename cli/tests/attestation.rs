//! `cloister attestation` as a person and as a script meet it: what it prints, and its exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of a test fails as the test does, or says that it skips"
)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use cloister_attest::Binding;
use cloister_nsm::{AttestRequest, Nsm};
use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};
use serde_json::Value;
use tempfile::TempDir;

/// The exit codes that docs/attestation.md promises.
const OK: i32 = 0;
const USAGE: i32 = 64;
const INPUT: i32 = 65;
const NOT_VERIFIED: i32 = 77;

/// A folder with a simulated root and a document under it.
struct World {
    folder: TempDir,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::create(folder.path()).unwrap();
        let world = Self { folder, authority };
        world.keep("document", Simulated::default());
        world
    }

    fn keep(&self, name: &str, simulated: Simulated) {
        let nsm = SimulatedNsm::new(&self.authority, simulated).unwrap();
        self.keep_of(name, &nsm);
    }

    fn keep_of(&self, name: &str, nsm: &SimulatedNsm) {
        let request = AttestRequest {
            user_data: Some(Binding::of(b"a key").encode()),
            nonce: Some(b"nonce".to_vec()),
            public_key: None,
        };
        fs::write(self.path(name), nsm.attest(&request).unwrap()).unwrap();
    }

    fn policy(&self, pcr0: &str) {
        let root = self.authority.root_pem();
        let policy = format!(
            "version = 1\nroot = '''\n{root}'''\n[[accept]]\nlabel = \"this release\"\n[accept.pcrs]\n\
             0 = \"{}\"\n1 = \"{}\"\n2 = \"{}\"\n",
            pcr0.repeat(48),
            "11".repeat(48),
            "12".repeat(48)
        );
        fs::write(self.path("policy.toml"), policy).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `cloister attestation` in the folder.
    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cloister"))
            .arg("attestation")
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads no input may be gone before it gets any.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must fail: its code, silence on standard output, and one line that names the reason.
    fn refuses(&self, code: i32, reason: &str, arguments: &[&str]) {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}

fn text(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(OK), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).unwrap()
}

fn json(output: &Output) -> Value {
    let text = text(output);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

/// A real document of the given data, or nothing and a word about it.
fn real_document() -> Option<PathBuf> {
    cloister_test_data::path("nitro/attestation-1.cbor")?.canonicalize().ok()
}

#[test]
fn showing_a_document_says_that_nobody_vouches_for_it() {
    let world = World::new();
    let output = world.run(&["show", "document"]);
    let text = text(&output);
    assert!(text.starts_with("NOT VERIFIED"), "{text}");
    assert!(text.contains(&"10".repeat(48)) && text.contains("the whole image"), "{text}");
    assert!(text.contains("simulated.nitro-enclaves"), "{text}");
}

#[test]
fn shown_json_has_the_documented_keys() {
    let world = World::new();
    let shown = json(&world.run(&["show", "--json", "document"]));
    assert_eq!(shown["verified"], false);
    assert_eq!(shown["module_id"], Simulated::default().module_id);
    assert_eq!(shown["digest"], "SHA384");
    assert_eq!(shown["pcrs"]["0"], "10".repeat(48));
    assert_eq!(shown["pcrs"].as_object().unwrap().len(), 16);
    assert_eq!(shown["nonce"], hex::encode("nonce"));
    assert_eq!(shown["public_key"], Value::Null);
    assert_eq!(shown["user_data"], hex::encode(Binding::of(b"a key").encode()));
    assert_eq!(shown["binding"]["tls_spki_sha384"], hex::encode(Binding::of(b"a key").tls_spki_sha384));
    assert_eq!(shown["binding"]["receipt_spki_sha384"], Value::Null);
    let certificates = shown["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 5);
    assert_eq!(certificates[0]["name"], "simulated.nitro-enclaves");
    for absent in ["at", "root", "accepted", "checked", "not_checked"] {
        assert!(shown.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn a_document_is_verified_under_the_root_that_is_named() {
    let world = World::new();
    let output = world.run(&["verify", "document", "--root", "root.pem"]);
    let text = text(&output);
    assert!(text.starts_with("VERIFIED as of "), "{text}");
    assert!(text.contains("NOT Amazon's: a simulation"), "{text}");
    let unchecked: Vec<_> = text.lines().filter(|line| line.starts_with("NOT checked")).collect();
    assert_eq!(unchecked.len(), 5, "age, measurements, nonce, TLS key, revocation: {text}");
}

#[test]
fn verified_json_says_what_was_checked_and_what_was_not() {
    let world = World::new();
    let verified = json(&world.run(&["verify", "document", "--root", "root.pem", "--json"]));
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["root"]["name"], "other");
    assert_eq!(verified["accepted"], Value::Null);
    let always = ["shape", "certificates", "signature", "times", "debug_mode"];
    assert_eq!(verified["checked"], Value::from(always.to_vec()));
    let never = ["nonce", "tls_key", "revocation"];
    assert_eq!(verified["not_checked"], Value::from([&["age", "measurements"][..], &never].concat()));

    world.policy("10");
    let accepted = json(&world.run(&["verify", "document", "--policy", "policy.toml", "--json"]));
    assert_eq!(accepted["accepted"], "this release");
    assert_eq!(accepted["checked"], Value::from([&always[..], &["age", "measurements"]].concat()));
    assert_eq!(accepted["not_checked"], Value::from(never.to_vec()));
}

#[test]
fn a_simulated_document_is_not_amazons() {
    World::new().refuses(NOT_VERIFIED, "not the pinned one", &["verify", "document"]);
}

#[test]
fn a_document_of_another_time_is_not_verified() {
    let world = World::new();
    for (at, reason) in [("2020-01-01T00:00:00Z", "not valid before"), ("2126-01-01T00:00:00Z", "expired at")] {
        world.refuses(NOT_VERIFIED, reason, &["verify", "document", "--root", "root.pem", "--at", at]);
    }
}

#[test]
fn a_document_that_was_touched_is_not_verified() {
    let world = World::new();
    let mut document = fs::read(world.path("document")).unwrap();
    *document.last_mut().unwrap() ^= 1;
    fs::write(world.path("touched"), document).unwrap();
    world.refuses(NOT_VERIFIED, "signature is wrong", &["verify", "touched", "--root", "root.pem"]);
}

#[test]
fn debug_mode_is_never_verified() {
    let world = World::new();
    world.keep("debug", Simulated { debug: true, ..Simulated::default() });
    world.refuses(NOT_VERIFIED, "debug mode", &["verify", "debug", "--root", "root.pem"]);
    let shown = world.run(&["show", "debug"]);
    assert!(text(&shown).contains("debug mode"));
}

#[test]
fn a_policy_accepts_or_names_what_differs() {
    let world = World::new();
    world.policy("10");
    let output = world.run(&["verify", "document", "--policy", "policy.toml"]);
    assert!(text(&output).contains("ACCEPTED by the policy as \"this release\""));
    world.policy("20");
    world.refuses(NOT_VERIFIED, "PCR0 is 1010", &["verify", "document", "--policy", "policy.toml"]);
    let behind = Duration::from_secs(600);
    let old = SimulatedNsm::with_clock_behind(&world.authority, Simulated::default(), behind).unwrap();
    world.keep_of("old", &old);
    world.policy("10");
    world.refuses(NOT_VERIFIED, "the policy allows 300 s", &["verify", "old", "--policy", "policy.toml"]);
}

#[test]
fn the_policys_root_and_a_named_one_must_agree() {
    let world = World::new();
    world.policy("10");
    let both = ["verify", "document", "--policy", "policy.toml", "--root", "root.pem"];
    assert_eq!(world.run(&both).status.code(), Some(OK));
    Authority::create(&world.path("other")).unwrap();
    let differing = ["verify", "document", "--policy", "policy.toml", "--root", "other/root.pem"];
    world.refuses(USAGE, "--root", &differing);
}

#[test]
fn a_document_comes_from_standard_input_too() {
    let world = World::new();
    let document = fs::read(world.path("document")).unwrap();
    let shown = json(&world.run_with(&["show", "-", "--json"], &document));
    assert_eq!(shown["module_id"], Simulated::default().module_id);
    let output = world.run_with(&["verify", "-", "--root", "root.pem"], &document);
    assert!(text(&output).starts_with("VERIFIED"));
}

#[test]
fn what_is_no_document_policy_or_root_is_bad_input() {
    let world = World::new();
    fs::write(world.path("noise"), b"noise").unwrap();
    fs::write(world.path("empty"), b"").unwrap();
    fs::write(world.path("huge"), vec![0x84; 100_000]).unwrap();
    world.refuses(INPUT, "no attestation document", &["show", "noise"]);
    world.refuses(INPUT, "no attestation document", &["verify", "empty"]);
    world.refuses(INPUT, "longer than any attestation document", &["verify", "huge"]);
    world.refuses(INPUT, "cannot read absent", &["show", "absent"]);
    world.refuses(INPUT, "noise", &["verify", "document", "--root", "noise"]);
    world.refuses(INPUT, "noise", &["verify", "document", "--policy", "noise"]);
    world.refuses(INPUT, "absent", &["verify", "document", "--policy", "absent"]);
}

#[test]
fn a_wrong_command_line_is_told_from_a_wrong_document() {
    let world = World::new();
    world.refuses(USAGE, "", &["verify"]);
    world.refuses(USAGE, "--at", &["verify", "document", "--at", "yesterday"]);
    world.refuses(USAGE, "--colour", &["show", "document", "--colour"]);
}

#[test]
fn names_in_a_document_cannot_steer_the_terminal() {
    let world = World::new();
    let module_id = "i-1\u{1b}[2Jevil-enc1".to_owned();
    world.keep("evil", Simulated { module_id, ..Simulated::default() });
    let output = world.run(&["show", "evil"]);
    let text = text(&output);
    assert!(text.contains("evil") && !text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_real_document_verifies_in_its_hour_and_shows_its_hardware() {
    let Some(document) = real_document() else { return };
    let (world, document) = (World::new(), document.to_str().unwrap().to_owned());
    let at = "2024-12-13T07:38:30Z";
    let output = world.run(&["verify", &document, "--at", at]);
    assert!(text(&output).starts_with("VERIFIED as of 2024-12-13T07:38:30Z: signed by AWS Nitro hardware"));
    let verified = json(&world.run(&["verify", &document, "--at", at, "--json"]));
    assert_eq!(verified["root"]["name"], "amazon");
    assert_eq!(verified["timestamp"], "2024-12-13T07:37:58.96Z");
    assert_eq!(verified["module_id"], "i-0f1cd77d37fd8bcc9-enc018e7aa61e2040ff");
    // Today even its regional certificate is past; three hours later its signer was.
    world.refuses(NOT_VERIFIED, "expired at 2025-01-01T05:25:54Z", &["verify", &document]);
    let late = ["verify", &document, "--at", "2024-12-13T10:30:00Z"];
    world.refuses(NOT_VERIFIED, "the signing certificate expired at 2024-12-13T08:57:45Z", &late);
    let early = ["verify", &document, "--at", "2024-12-13T06:00:00Z"];
    world.refuses(NOT_VERIFIED, "after the time of verification", &early);
}
