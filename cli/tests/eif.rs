//! `cloister eif` as a person and as a script meet it: the same bytes twice, what is said of an image, signatures, refusals, exit codes.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use cloister_eif::{BuildMetadata, Image, Metadata, Parts};
use cloister_sim::kms::{Config, Fault, Running, Server};
use cloister_sim::nsm::Authority;
use cloister_test_data::image::{elf, kernel};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384, SubjectPublicKeyInfo, date_time_ymd};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

const DIFFERENT: i32 = 1;
const USAGE: i32 = 64;
const INPUT: i32 = 65;
const UNAVAILABLE: i32 = 69;
const NOT_VERIFIED: i32 = 77;
const OWNER: &str = "111122223333";

/// A folder with the parts of an image.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: TempDir::new().unwrap() };
        world.write("kernel", &kernel());
        world.write("init", &elf(&[1]));
        world.write("enclave.toml", b"version = 1\n");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloister"));
        command.current_dir(self.folder.path()).arg("eif").args(arguments).env_remove("SOURCE_DATE_EPOCH");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn build_command(&self, more: &[&str]) -> Command {
        let mut command = self.command(&["build", "--kernel", "kernel", "--cmdline", "reboot=k panic=30"]);
        command.args(["--init", "init", "--config", "enclave.toml", "--name", "demo", "--version", "1.2"]);
        command.args(["--out", "image.eif", "--measurements", "measurements.json"]).args(more);
        command
    }

    fn build(&self, more: &[&str]) -> Output {
        self.build_command(more).output().unwrap()
    }

    /// The image's bytes.
    fn built(&self, more: &[&str]) -> Vec<u8> {
        let output = self.build(more);
        assert_eq!(code(&output), 0, "{}", said(&output));
        self.read("image.eif")
    }

    /// That nothing is written, with this exit code and these words.
    fn refuses(&self, more: &[&str], expected: i32, words: &str) {
        let output = self.build(more);
        assert_eq!(code(&output), expected, "{}", said(&output));
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
        assert!(!self.path("image.eif").exists() && !self.path("measurements.json").exists());
    }

    /// A key in `NAME.key`, with its certificate of these years in `NAME.pem`.
    fn signer(&self, name: &str, years: [i32; 2]) {
        let key = signing_key();
        self.write(&format!("{name}.key"), key.serialize_pem().as_bytes());
        let certificate = certificate(name, years).self_signed(&key).unwrap();
        self.write(&format!("{name}.pem"), certificate.pem().as_bytes());
    }
}

fn signing_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()
}

fn certificate(name: &str, [from, until]: [i32; 2]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    params
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn parsed(output: &Output) -> Value {
    assert_eq!(code(output), 0, "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn two_builds_in_two_folders_with_two_umasks_and_file_times_are_the_same_bytes() {
    let (one, other) = (World::new(), World::new());
    let mut careful = Command::new("sh");
    careful.current_dir(other.folder.path()).args([
        "-c",
        "umask 077; touch -d 2001-02-03 *; chmod 700 *; exec \"$@\"",
        "sh",
    ]);
    let build = other.build_command(&[]);
    careful.arg(build.get_program()).args(build.get_args()).env_remove("SOURCE_DATE_EPOCH").env("TZ", "Asia/Tokyo");
    assert!(careful.status().unwrap().success());
    assert_eq!(one.built(&[]), other.read("image.eif"));
    assert_eq!(one.read("measurements.json"), other.read("measurements.json"));
}

#[test]
fn the_time_of_the_build_is_the_flags_else_the_environments_else_1970() {
    let world = World::new();
    let time = |mut command: Command| {
        assert!(command.status().unwrap().success());
        let image = Image::read(&world.read("image.eif")).unwrap();
        (image.measurements(), image.metadata().unwrap()["BuildMetadata"]["BuildTime"].clone())
    };
    let plain = time(world.build_command(&[]));
    assert_eq!(plain.1, "1970-01-01T00:00:00Z");
    let mut environment = world.build_command(&[]);
    environment.env("SOURCE_DATE_EPOCH", "1700000000");
    assert_eq!(time(environment), (plain.0, json!("2023-11-14T22:13:20Z")));
    let mut flag = world.build_command(&["--build-time", "2026-01-02T03:04:05Z"]);
    flag.env("SOURCE_DATE_EPOCH", "1700000000");
    assert_eq!(time(flag), (plain.0, json!("2026-01-02T03:04:05Z")));
    let mut nonsense = world.build_command(&[]);
    assert_eq!(code(&nonsense.env("SOURCE_DATE_EPOCH", "yesterday").output().unwrap()), USAGE);
}

#[test]
fn measurements_are_written_and_printed_as_nitro_cli_does_and_a_policy_takes_them() {
    let world = World::new();
    world.built(&[]);
    let written: Value = serde_json::from_slice(&world.read("measurements.json")).unwrap();
    assert_eq!(parsed(&world.run(&["measure", "image.eif", "--json"])), written);
    assert_eq!(parsed(&world.run(&["measure", "image.eif"])), written);
    let measurements = written["Measurements"].as_object().unwrap();
    assert_eq!(measurements.keys().collect::<Vec<_>>(), ["HashAlgorithm", "PCR0", "PCR1", "PCR2"]);
    assert_eq!(measurements["HashAlgorithm"], "Sha384 { ... }");
    let kinds: Vec<&str> =
        written["Sections"].as_array().unwrap().iter().map(|s| s["Kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["kernel", "command line", "metadata", "ramdisk", "ramdisk"]);
    assert_eq!(written["Sections"][1]["Sha384"], hex::encode(cloister_eif::sha384(b"reboot=k panic=30")));

    let mut policy = Command::new(env!("CARGO_BIN_EXE_cloister"));
    policy.current_dir(world.folder.path()).args([
        "policy",
        "make",
        "--label",
        "demo",
        "--any-model",
        "--out",
        "policy.toml",
    ]);
    assert!(policy.args(["--measurements", "measurements.json"]).status().unwrap().success());
    let policy = String::from_utf8(world.read("policy.toml")).unwrap();
    assert!(policy.contains(measurements["PCR0"].as_str().unwrap()), "{policy}");
}

#[test]
fn inspect_says_what_is_in_an_image_and_what_of_it_is_measured() {
    let world = World::new();
    world.built(&[]);
    let words = printed(&world.run(&["inspect", "image.eif"]));
    for part in [
        "enclave image for x86-64",
        "reboot=k panic=30",
        "kernel        6.12.94",
        "not measured",
        "metadata, which is not measured",
        "etc/cloister/enclave.toml",
        "dev/console",
        "5,1",
        "signature     none",
        "where kernel, command line and ramdisks end",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let json = parsed(&world.run(&["inspect", "image.eif", "--json"]));
    let into = |index: usize| json["sections"][index]["measured_into"].clone();
    assert_eq!([into(0), into(1), into(2)], [json!([0, 1]), json!([0, 1]), json!([])]);
    assert_eq!([into(3), into(4)], [json!([0, 1]), json!([0, 2])]);
    assert_eq!(json["bytes"].as_u64().unwrap() as usize, world.read("image.eif").len());
    assert_eq!(json["ramdisks"][0]["files"][4]["path"], "init");
    assert_eq!(json["ramdisks"][0]["files"][4]["sha384"], hex::encode(cloister_eif::sha384(&elf(&[1]))));
    assert_eq!(json["metadata"]["ImageName"], "demo");
    assert_eq!(json["kernel"]["bytes_behind"], 0);
}

#[test]
fn words_that_were_moved_into_the_kernel_show_as_bytes_behind_its_end() {
    let world = World::new();
    let moved = [&kernel()[..], b"reboot=k"].concat();
    world.write("kernel", &moved);
    let mut build = world.command(&["build", "--kernel", "kernel", "--cmdline", " panic=30", "--init", "init"]);
    build.args(["--config", "enclave.toml", "--name", "demo", "--version", "1.2", "--out", "moved.eif"]);
    assert!(build.args(["--measurements", "moved.json"]).status().unwrap().success());
    world.write("kernel", &kernel());
    world.built(&[]);
    let json = parsed(&world.run(&["inspect", "moved.eif", "--json"]));
    assert_eq!(json["pcrs"], parsed(&world.run(&["inspect", "image.eif", "--json"]))["pcrs"]);
    assert_eq!(json["kernel"]["bytes_behind"], 8);
    assert!(printed(&world.run(&["inspect", "moved.eif"])).contains("8 bytes behind its end"));
}

#[test]
fn what_an_image_says_cannot_steer_a_terminal() {
    let world = World::new();
    let Value::Object(custom_metadata) = json!({ "\u{1b}[2J": "\u{9b}31m\u{202e}\u{1b}]0;x\u{7}" }) else { panic!() };
    let metadata = Metadata {
        image_name: "demo".into(),
        image_version: "1".into(),
        build_metadata: BuildMetadata {
            build_time: "\u{1b}c".into(),
            build_tool: "x".into(),
            build_tool_version: "1".into(),
            operating_system: "Linux".into(),
            kernel_version: "6".into(),
        },
        docker_info: Map::new(),
        custom_metadata,
    };
    let entry = format!("070701{}{:08X}{:08X}\u{1b}[2Jx\0", "00000000".repeat(11), 6, 0);
    let parts =
        |kernel| Parts { kernel, command_line: "", metadata: &metadata, ramdisks: vec![entry.clone().into_bytes()] };
    world.write("a.eif", &Image::build(parts(b"a")).unwrap().to_bytes());
    world.built(&[]);
    for arguments in [&["inspect", "a.eif"][..], &["inspect", "a.eif", "--json"], &["compare", "a.eif", "image.eif"]] {
        let words = printed(&world.run(arguments));
        assert!(words.contains("[2J"), "{words}");
        if arguments.len() < 3 || arguments[0] == "compare" {
            assert!(
                !words.contains(|letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}'),
                "{words}"
            );
        } else {
            assert!(!words.contains('\u{1b}'), "{words}");
        }
    }
}

#[test]
fn compare_tells_the_same_from_the_different_by_its_exit_code_and_says_where() {
    let world = World::new();
    world.built(&[]);
    fs::rename(world.path("image.eif"), world.path("one.eif")).unwrap();
    world.built(&[]);
    assert_eq!(code(&world.run(&["compare", "one.eif", "image.eif"])), 0);

    world.write("enclave.toml", b"version = 2\n");
    world.built(&["--build-time", "2026-01-02T03:04:05Z"]);
    let output = world.run(&["compare", "one.eif", "image.eif"]);
    assert_eq!(code(&output), DIFFERENT);
    let words = printed(&output);
    for part in [
        "kernel        the same",
        "ramdisk 1     the same",
        "ramdisk 2     differs from byte ",
        "etc/cloister/enclave.toml: content",
        "(not measured)",
        "BuildMetadata.BuildTime: \\\"1970-01-01T00:00:00Z\\\" | \\\"2026-01-02T03:04:05Z\\\"",
        "PCR0          another",
        "PCR1          the same",
        "PCR2          another",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(code(&world.run(&["compare", "one.eif", "kernel"])), INPUT);
    assert_eq!(code(&world.run(&["compare", "one.eif"])), USAGE);
}

#[test]
fn parts_that_would_not_boot_are_refused_with_what_to_give_instead() {
    let world = World::new();
    world.write("dynamic", &elf(&[1, 3]));
    world.write("script", b"#!/bin/sh\n");
    world.write("vmlinux", &elf(&[1]));
    world.write("no.toml", b"version = ");
    for (flag, file, words) in [
        ("--init", "dynamic", "dynamic loader"),
        ("--init", "script", "x86_64-unknown-linux-musl"),
        ("--kernel", "vmlinux", "not vmlinux"),
        ("--config", "no.toml", "no.toml: the configuration cannot be used"),
        ("--config", "none.toml", "none.toml"),
        ("--kernel-config", "no.toml", "does not name a kernel's version"),
    ] {
        let arguments: Vec<String> = {
            let build = world.build_command(&[]);
            build.get_args().map(|argument| argument.to_str().unwrap().to_owned()).collect()
        };
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments.iter().position(|argument| *argument == flag) {
            Some(at) => arguments[at + 1] = file,
            None => arguments.extend([flag, file]),
        }
        let output = world.run(&arguments[1..]);
        assert_eq!(code(&output), INPUT, "{file}");
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
        assert!(!world.path("image.eif").exists() && !world.path("measurements.json").exists());
    }
    let damaged = [&world.built(&[])[..], b"x"].concat();
    world.write("damaged.eif", &damaged);
    for verb in ["inspect", "measure"] {
        let output = world.run(&[verb, "damaged.eif"]);
        assert_eq!((code(&output), output.stdout.len()), (INPUT, 0));
        assert!(said(&output).contains("checksum"), "{}", said(&output));
    }
}

#[test]
fn the_kernels_configuration_names_its_version() {
    let world = World::new();
    world.write(
        "kernel.config",
        b"#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.5 Kernel Configuration\n#\n",
    );
    world.built(&["--kernel-config", "kernel.config"]);
    let json = parsed(&world.run(&["inspect", "image.eif", "--json"]));
    assert_eq!(json["metadata"]["BuildMetadata"]["KernelVersion"], "6.1.5");
}

#[test]
fn a_signed_image_says_by_whom_and_until_when() {
    let world = World::new();
    world.signer("release", [2020, 2040]);
    let unsigned: Value = {
        world.built(&[]);
        serde_json::from_slice(&world.read("measurements.json")).unwrap()
    };
    world.built(&["--sign-key", "release.key", "--sign-cert", "release.pem"]);
    let signed: Value = serde_json::from_slice(&world.read("measurements.json")).unwrap();
    assert_eq!(signed["Measurements"]["PCR0"], unsigned["Measurements"]["PCR0"]);
    assert_eq!(signed["Measurements"]["PCR8"].as_str().unwrap().len(), 96);
    let words = printed(&world.run(&["inspect", "image.eif"]));
    for part in ["verifies over PCR0", "CN=release", "2020-01-01T00:00:00Z to 2040-01-01T00:00:00Z", "PCR8"] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[test]
fn certificates_that_no_enclave_starts_from_and_keys_of_others_sign_nothing() {
    let world = World::new();
    world.signer("ended", [2019, 2020]);
    world.signer("coming", [2090, 2095]);
    world.signer("release", [2020, 2040]);
    world.signer("other", [2020, 2040]);
    world.refuses(&["--sign-key", "ended.key", "--sign-cert", "ended.pem"], INPUT, "has expired");
    world.refuses(&["--sign-key", "coming.key", "--sign-cert", "coming.pem"], INPUT, "not valid yet");
    world.refuses(&["--sign-key", "other.key", "--sign-cert", "release.pem"], INPUT, "not the certificate's");
    world.refuses(&["--sign-key", "release.pem", "--sign-cert", "release.pem"], INPUT, "release.pem: the signing key");
    world.refuses(&["--sign-key", "release.key"], USAGE, "--sign-cert");
    world.refuses(&["--sign-cert", "release.pem"], USAGE, "--sign-k");
    world.refuses(&["--sign-key", "release.key", "--sign-kms", "arn", "--sign-cert", "release.pem"], USAGE, "--sign-k");
}

#[test]
fn a_signature_of_another_image_is_told_and_fails() {
    let world = World::new();
    world.signer("release", [2020, 2040]);
    let mut image = world.built(&["--sign-key", "release.key", "--sign-cert", "release.pem"]);
    // One letter of the command line, and the checksum that fits.
    let at = image.windows(8).position(|window| window == b"panic=30").unwrap();
    image[at + 6] = b'6';
    let mut crc = crc32fast::Hasher::new();
    crc.update(&image[..544]);
    crc.update(&image[548..]);
    image[544..548].copy_from_slice(&crc.finalize().to_be_bytes());
    world.write("image.eif", &image);
    let output = world.run(&["inspect", "image.eif"]);
    assert_eq!(code(&output), NOT_VERIFIED);
    assert!(printed(&output).contains("REFUSED: the signature is of another image"), "{}", printed(&output));
}

/// A simulated KMS with a key that the owner may sign with, and a certificate for it from an authority.
struct Kms {
    running: Running,
    key: String,
}

impl Kms {
    async fn start(world: &World) -> Self {
        let running = Server::start(Config::local(Authority::ephemeral().unwrap().root_pem())).await.unwrap();
        world.write("ca.pem", running.ca_pem.as_bytes());
        let (key, public_key) = running.create_signing_key(OWNER, &policy("kms:Sign")).unwrap();
        let authority = Issuer::new(certificate("authority", [2020, 2040]), signing_key());
        let public_key = SubjectPublicKeyInfo::from_der(&public_key).unwrap();
        let signed = certificate("release by KMS", [2020, 2040]).signed_by(&public_key, &authority).unwrap();
        world.write("kms.pem", signed.pem().as_bytes());
        Self { running, key }
    }

    fn build(&self, world: &World, key: &str, certificate: &str) -> Output {
        let (endpoint, arguments) =
            (self.running.endpoint(), ["--sign-kms", key, "--sign-cert", certificate, "--ca", "ca.pem"]);
        let mut command = world.build_command(&arguments);
        command.args(["--endpoint", &endpoint]).env_remove("AWS_SESSION_TOKEN").env_remove("AWS_PROFILE");
        command.env("AWS_ACCESS_KEY_ID", "CLOISTERSIMMODELOWNER");
        command.env("AWS_SECRET_ACCESS_KEY", "simulated-secret-of-the-model-owner");
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command.output().unwrap()
    }
}

fn policy(action: &str) -> String {
    let principal = json!({ "AWS": format!("arn:aws:iam::{OWNER}:root") });
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": principal, "Resource": "*", "Action": action}]})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_kms_signs_an_image() {
    let world = World::new();
    let kms = Kms::start(&world).await;
    let output = kms.build(&world, &kms.key, "kms.pem");
    assert_eq!(code(&output), 0, "{}", said(&output));
    let words = printed(&world.run(&["inspect", "image.eif"]));
    assert!(words.contains("verifies over PCR0") && words.contains("CN=release by KMS"), "{words}");
    assert!(words.contains("CN=authority"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kms_does_not_sign_is_not_written() {
    let world = World::new();
    let kms = Kms::start(&world).await;
    world.signer("release", [2020, 2040]);
    let symmetric = kms.running.create_key(OWNER, &policy("kms:*")).unwrap();
    let (forbidden, _) = kms.running.create_signing_key(OWNER, &policy("kms:GetPublicKey")).unwrap();
    let refused = |key: &str, certificate: &str, expected: i32, words: &str| {
        let output = kms.build(&world, key, certificate);
        assert_eq!(code(&output), expected, "{}", said(&output));
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
        assert!(!world.path("image.eif").exists() && !world.path("measurements.json").exists());
    };
    refused(&kms.key, "release.pem", INPUT, "not the certificate's");
    refused(&symmetric, "kms.pem", UNAVAILABLE, "InvalidKeyUsageException");
    refused(&forbidden, "kms.pem", UNAVAILABLE, "kms:Sign");
    refused("alias/release", "kms.pem", USAGE, "not the full ARN");
    kms.running.inject(Fault::OtherKeyId(forbidden.clone()));
    refused(&kms.key, "kms.pem", NOT_VERIFIED, &forbidden);
}
