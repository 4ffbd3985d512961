//! Held against AWS's library: the same bytes for what it built, the same measurements, and its signature.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod common;

use cloister_eif::{Error, Image, Kind, ramdisk};
use serde_json::Value;

use common::{image, vector};

/// What AWS's library reported for a vector.
fn reported(name: &str, pcr: &str) -> Option<String> {
    let json: Value = serde_json::from_slice(&vector(&format!("{name}.json"))).unwrap();
    json["Measurements"][pcr].as_str().map(str::to_owned)
}

#[test]
fn the_same_parts_give_the_same_bytes_as_awss_library() {
    let (first, second) = (vector("ramdisk-1"), vector("ramdisk-2"));
    assert_eq!(image(&[&first, &second]).to_bytes(), vector("unsigned.eif"));
    assert_eq!(image(&[&first]).to_bytes(), vector("one-ramdisk.eif"));
}

#[test]
fn the_measurements_are_those_that_awss_library_reports() {
    for name in ["unsigned", "one-ramdisk", "signed"] {
        let image = Image::read(&vector(&format!("{name}.eif"))).unwrap();
        let ours = serde_json::to_value(image.measurements()).unwrap();
        for pcr in ["PCR0", "PCR1", "PCR2", "PCR8"] {
            assert_eq!(ours[pcr].as_str().map(str::to_owned), reported(name, pcr), "{name} {pcr}");
        }
        assert_eq!(image.measurements().pcr8.is_some(), name == "signed");
    }
}

#[test]
fn the_signature_of_awss_library_verifies_over_this_image_and_no_other() {
    let signed = Image::read(&vector("signed.eif")).unwrap();
    let signature = signed.signature().unwrap();
    assert_eq!(signature.verify(&signed.measurements().pcr0), Ok(()));
    assert_eq!(signature.certificate().subject(), "C=XX, O=Vectors, CN=eif vector");
    let other = image(&[&vector("ramdisk-2")]);
    assert_eq!(signature.verify(&other.measurements().pcr0), Err(Error::SignedOther));
    assert!(matches!(other.signed(signature), Err(Error::SignedOther)));
}

#[test]
fn what_is_read_is_written_again_byte_for_byte() {
    for name in ["unsigned.eif", "one-ramdisk.eif", "signed.eif"] {
        let bytes = vector(name);
        assert_eq!(Image::read(&bytes).unwrap().to_bytes(), bytes, "{name}");
    }
}

#[test]
fn every_part_of_a_vector_is_read() {
    let image = Image::read(&vector("signed.eif")).unwrap();
    assert_eq!(image.kernel(), vector("kernel"));
    assert_eq!(image.command_line().as_bytes(), vector("cmdline"));
    let ramdisks: Vec<_> = image.ramdisks().map(|section| section.data().to_vec()).collect();
    assert_eq!(ramdisks, [vector("ramdisk-1"), vector("ramdisk-2")]);
    assert_eq!(image.metadata().unwrap()["BuildMetadata"]["BuildTool"], "aws-nitro-enclaves-image-format");
    let header = image.header();
    assert_eq!((header.arm64, header.memory, header.cpus), (false, 1 << 30, 2));
    let kinds: Vec<Kind> = image.sections().iter().map(|section| section.kind()).collect();
    use Kind::{CommandLine, Kernel, Metadata, Ramdisk, Signature};
    assert_eq!(kinds, [Kernel, CommandLine, Metadata, Ramdisk, Ramdisk, Signature]);
}

#[test]
fn an_archive_that_gnu_cpio_made_is_listed() {
    let files = ramdisk::list(&vector("ramdisk-1")).unwrap();
    let facts: Vec<_> = files.iter().map(|file| (file.path.as_slice(), file.mode, file.size, file.owner)).collect();
    assert_eq!(facts, [(&b"dev"[..], 0o40755, 0, 0), (b"etc", 0o40755, 0, 0), (b"init", 0o100755, 14, 0)]);
    assert_eq!(files[2].sha384, cloister_eif::sha384(b"not a program\n"));
}
