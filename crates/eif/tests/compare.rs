//! Where two images differ.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod common;

use cloister_eif::{Change, Comparison, Image, Kind, Metadata, Outcome, Parts, ramdisk};
use common::{Authority, build, image, metadata, place, vector, with_checksum};
use serde_json::{Value, json};

fn of(comparison: &Comparison, kind: Kind, number: usize) -> &Outcome {
    let found = comparison.sections.iter().find(|section| section.kind == kind && section.number == number);
    &found.unwrap().outcome
}

fn changes(outcome: &Outcome) -> Vec<(&str, Option<&str>, Option<&str>)> {
    let Outcome::Differs { changes, .. } = outcome else { panic!("{outcome:?}") };
    changes.iter().map(|change| (change.what.as_str(), change.first.as_deref(), change.second.as_deref())).collect()
}

#[test]
fn an_image_is_the_same_as_itself() {
    let image = Image::read(&vector("signed.eif")).unwrap();
    let comparison = Comparison::of(&image, &image);
    assert!(comparison.is_same());
    assert_eq!(comparison.sections.len(), 6);
}

#[test]
fn a_command_line_differs_by_its_words_from_a_byte_on() {
    let one = build(b"kernel", "panic=30 quiet console=ttyS0", &[b"first"]).unwrap();
    let other = build(b"kernel", "panic=60 console=ttyS0 console=ttyS0", &[b"first"]).unwrap();
    let comparison = Comparison::of(&one, &other);
    let outcome = of(&comparison, Kind::CommandLine, 1);
    assert!(matches!(outcome, Outcome::Differs { offset: 6, .. }));
    let expected = [
        ("console=ttyS0", Some("1"), Some("2")),
        ("panic=30", Some("1"), None),
        ("panic=60", None, Some("1")),
        ("quiet", Some("1"), None),
    ];
    assert_eq!(changes(outcome), expected);
    assert_eq!(of(&comparison, Kind::Kernel, 1), &Outcome::Same);
    let reordered = build(b"kernel", "quiet panic=30 console=ttyS0", &[b"first"]).unwrap();
    assert_eq!(changes(of(&Comparison::of(&one, &reordered), Kind::CommandLine, 1)), []);
}

#[test]
fn a_ramdisk_differs_by_its_files() {
    let [one, other] = [&b"version = 1\n"[..], b"version = 1\nqueue = 2\n"].map(|toml| {
        let configuration = ramdisk::configuration(toml).unwrap();
        image(&[&vector("ramdisk-1"), &configuration])
    });
    let comparison = Comparison::of(&one, &other);
    assert_eq!(of(&comparison, Kind::Ramdisk, 1), &Outcome::Same);
    let found = changes(of(&comparison, Kind::Ramdisk, 2));
    let names: Vec<_> = found.iter().map(|(what, ..)| *what).collect();
    assert_eq!(names, ["etc/cloister/enclave.toml: bytes", "etc/cloister/enclave.toml: content, SHA-384"]);
    assert_eq!(found[0], (names[0], Some("12"), Some("22")));
}

#[test]
fn files_of_one_ramdisk_alone_are_told_and_so_is_one_that_cannot_be_listed() {
    let one = image(&[&vector("ramdisk-1")]);
    let other = image(&[&vector("ramdisk-2")]);
    let comparison = Comparison::of(&one, &other);
    let found = changes(of(&comparison, Kind::Ramdisk, 1));
    assert!(
        found.contains(&("init", Some("there"), None)) && found.contains(&("etc/app/settings", None, Some("there")))
    );
    let unreadable = Comparison::of(&one, &image(&[b"nothing that one knows"]));
    let found = changes(of(&unreadable, Kind::Ramdisk, 1));
    assert!(matches!(found[..], [("listing", None, Some(_))]), "{found:?}");
}

#[test]
fn metadata_differ_by_their_keys() {
    let bytes = vector("unsigned.eif");
    let range = place(&bytes, 2);
    let at = bytes[range.clone()].windows(6).position(|window| window == b"6.12.1").unwrap() + range.start;
    let mut other = bytes.clone();
    other[at + 5] = b'2';
    let [one, other] = [bytes, with_checksum(other)].map(|bytes| Image::read(&bytes).unwrap());
    let comparison = Comparison::of(&one, &other);
    assert_eq!(one.measurements(), other.measurements());
    let expected = [("BuildMetadata.KernelVersion", Some("\"6.12.1\""), Some("\"6.12.2\""))];
    assert_eq!(changes(of(&comparison, Kind::Metadata, 1)), expected);
    assert!(!comparison.is_same());
}

#[test]
fn metadata_whose_paths_would_not_fit_into_memory_are_compared_as_a_whole() {
    let large = |last: u64| {
        let Value::Object(custom_metadata) = json!({ "x".repeat(400_000): vec![last; 200_000] }) else {
            unreachable!()
        };
        let metadata = Metadata { custom_metadata, ..metadata() };
        let parts = Parts { kernel: b"kernel", command_line: "", metadata: &metadata, ramdisks: vec![vec![1]] };
        Image::build(parts).unwrap()
    };
    let comparison = Comparison::of(&large(1), &large(2));
    assert!(matches!(changes(of(&comparison, Kind::Metadata, 1))[..], [("all of it", Some(_), Some(_))]));
}

#[test]
fn the_header_and_a_section_that_only_one_has_are_told() {
    let bytes = vector("unsigned.eif");
    let mut more = bytes.clone();
    more[8..16].copy_from_slice(&(2_u64 << 30).to_be_bytes());
    let [one, other] = [bytes, with_checksum(more)].map(|bytes| Image::read(&bytes).unwrap());
    let header = Comparison::of(&one, &other).header;
    let expected =
        Change { what: "default memory".into(), first: Some("1073741824".into()), second: Some("2147483648".into()) };
    assert_eq!(header, [expected]);
    let shorter = Image::read(&vector("one-ramdisk.eif")).unwrap();
    assert_eq!(of(&Comparison::of(&one, &shorter), Kind::Ramdisk, 2), &Outcome::OnlyInFirst);
    assert_eq!(of(&Comparison::of(&shorter, &one), Kind::Ramdisk, 2), &Outcome::OnlyInSecond);
}

#[test]
fn two_signatures_by_the_same_key_differ_in_bytes_alone_and_those_of_two_keys_in_their_certificates() {
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let signed = |authority: &Authority| authority.sign(image(&[b"first"]));
    let again = Comparison::of(&signed(&one), &signed(&one));
    assert_eq!(changes(of(&again, Kind::Signature, 1)), []);
    let others = Comparison::of(&signed(&one), &signed(&other));
    let names: Vec<_> = changes(of(&others, Kind::Signature, 1)).iter().map(|(what, ..)| *what).collect();
    assert_eq!(names, ["certificate", "issuer", "subject"]);
}
