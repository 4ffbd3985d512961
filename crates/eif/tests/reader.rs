//! Strangers' bytes: whatever they are, the reader says no, or what it reads measures to something else.

mod common;

use std::ops::Range;

use cloister_eif::{Error, Image, Kind, limits};
use proptest::prelude::*;

use common::{HEADER, SECTION_HEAD, build, image, place, vector, with_checksum};

/// The index of the metadata among a vector's sections, and of the signature in the signed one.
const METADATA: usize = 2;
const SIGNATURE: usize = 5;

#[test]
fn every_truncation_is_refused_with_and_without_a_fitting_checksum() {
    let bytes = vector("signed.eif");
    for length in 0..bytes.len() {
        assert!(Image::read(&bytes[..length]).is_err(), "{length}");
        assert!(Image::read(&with_checksum(bytes[..length].to_vec())).is_err(), "{length}");
    }
}

#[test]
fn every_flipped_bit_is_told_by_the_checksum() {
    let bytes = vector("unsigned.eif");
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(Image::read(&flipped).is_err(), "{at}");
    }
    let mut flipped = bytes;
    flipped[HEADER + SECTION_HEAD] ^= 1;
    assert!(matches!(Image::read(&flipped), Err(Error::Checksum { .. })));
}

/// Whoever flips a bit can make the checksum fit.
#[test]
fn every_flipped_bit_under_a_fitting_checksum_is_refused_or_measured_but_for_what_is_known_not_to_be() {
    let bytes = vector("signed.eif");
    let whole = Image::read(&bytes).unwrap().measurements();
    let unmeasured: [Range<usize>; 3] = [7..8, 8..24, place(&bytes, METADATA)];
    let mut unnoticed = Vec::new();
    for at in (0..bytes.len()).filter(|at| !(HEADER - 4..HEADER).contains(at)) {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let Ok(image) = Image::read(&with_checksum(flipped)) else { continue };
            let verifies = image.signature().is_some_and(|s| s.verify(&image.measurements().pcr0).is_ok());
            // Between the lines of the certificate's base64 one line end is as good as another.
            if image.measurements() == whole && verifies && bytes[at] != b'\n' {
                unnoticed.push(at);
            }
        }
    }
    unnoticed.dedup();
    assert!(unnoticed.iter().all(|at| unmeasured.iter().any(|range| range.contains(at))), "{unnoticed:?}");
    // Each of them has bits that nobody notices: the list is not longer than it must be.
    assert!(unmeasured.iter().all(|range| unnoticed.iter().any(|at| range.contains(at))), "{unnoticed:?}");
}

#[test]
fn an_image_that_its_table_does_not_describe_is_refused() {
    let bytes = vector("unsigned.eif");
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        Image::read(&with_checksum(bytes)).unwrap_err()
    };
    let (offsets, sizes) = (28, 28 + 8 * limits::SECTIONS);
    assert_eq!(changed(0, b".efi"), Error::Magic);
    assert_eq!(changed(4, &3_u16.to_be_bytes()), Error::Version(3));
    assert_eq!(changed(6, &2_u16.to_be_bytes()), Error::Reserved);
    assert_eq!(changed(24, &1_u16.to_be_bytes()), Error::Reserved);
    assert_eq!(changed(HEADER - 8, &1_u32.to_be_bytes()), Error::Reserved);
    assert_eq!(changed(26, &33_u16.to_be_bytes()), Error::TooManySections(33));
    assert_eq!(changed(26, &4_u16.to_be_bytes()), Error::Table(4));
    assert_eq!(changed(26, &6_u16.to_be_bytes()), Error::Table(5));
    assert_eq!(changed(offsets + 8, &0_u64.to_be_bytes()), Error::Table(1));
    assert_eq!(changed(sizes + 8, &1_u64.to_be_bytes()), Error::Table(1));
    assert_eq!(changed(sizes + 8 * 31, &1_u64.to_be_bytes()), Error::Table(5));
    let second = place(&bytes, 1).start - SECTION_HEAD;
    assert_eq!(changed(second, &6_u16.to_be_bytes()), Error::SectionKind { index: 1, number: 6 });
    assert_eq!(changed(second, &3_u16.to_be_bytes()), Error::Missing(Kind::CommandLine));
    assert_eq!(changed(second + 2, &1_u16.to_be_bytes()), Error::Reserved);
    assert_eq!(changed(second + 4, &1_u64.to_be_bytes()), Error::Table(1));
    let third = place(&bytes, 2).start - SECTION_HEAD;
    assert_eq!(changed(third, &1_u16.to_be_bytes()), Error::Repeated(Kind::Kernel));
    let longer = with_checksum([&bytes[..], &[0; 3]].concat());
    assert_eq!(Image::read(&longer).unwrap_err(), Error::Trailing(3));
}

#[test]
fn an_image_without_a_ramdisk_is_refused() {
    assert_eq!(build(b"kernel", "panic=30", &[]).unwrap_err(), Error::Missing(Kind::Ramdisk));
}

#[test]
fn an_image_of_more_sections_than_the_table_holds_is_refused() {
    let ramdisks = [&b"ramdisk"[..]; 30];
    assert_eq!(build(b"kernel", "panic=30", &ramdisks).unwrap_err(), Error::TooManySections(33));
    let most = build(b"kernel", "panic=30", &ramdisks[1..]).unwrap().to_bytes();
    assert_eq!(Image::read(&most).unwrap().to_bytes(), most);
}

#[test]
fn a_command_line_that_linux_would_not_read_as_it_stands_is_refused() {
    let refused = |line: &str| matches!(build(b"kernel", line, &[b"ramdisk"]), Err(Error::CommandLine(_)));
    for line in ["panic=30\n", "panic=30\0", "caf\u{e9}", "\u{7f}", &"x".repeat(limits::COMMAND_LINE + 1)] {
        assert!(refused(line), "{line:?}");
    }
    assert!(!refused(&"x".repeat(limits::COMMAND_LINE)) && !refused(""));
    // The same in an image of somebody else's.
    let mut bytes = vector("unsigned.eif");
    let start = place(&bytes, 1).start;
    bytes[start] = 0xe9;
    assert!(matches!(Image::read(&with_checksum(bytes)), Err(Error::CommandLine(_))));
}

#[test]
fn metadata_that_are_no_json_object_are_refused() {
    let bytes = vector("unsigned.eif");
    let range = place(&bytes, METADATA);
    let deep = "[".repeat(range.len());
    for text in ["[]", "7", "", "{\"ImageName\":", &deep] {
        let mut changed = bytes.clone();
        changed[range.clone()].fill(b' ');
        changed[range.start..range.start + text.len()].copy_from_slice(text.as_bytes());
        assert!(matches!(Image::read(&with_checksum(changed)), Err(Error::Metadata(_))), "{text}");
    }
}

#[test]
fn a_signature_section_that_aws_would_not_write_is_refused() {
    let bytes = vector("signed.eif");
    let range = place(&bytes, SIGNATURE);
    // An array of two where there is one, a map of three, another name, an indefinite array.
    for (at, value) in [(0, 0x82), (1, 0xa3), (3, b'x'), (0, 0x9f)] {
        let mut changed = bytes.clone();
        changed[range.start + at] = value;
        let error = Image::read(&with_checksum(changed)).unwrap_err();
        assert!(matches!(error, Error::SignatureSection(_)), "{at} {value}: {error}");
    }
}

/// What the format does not measure, and this crate therefore says: where one section ends and the next begins.
#[test]
fn words_moved_from_the_command_line_into_the_kernel_change_no_measurement() {
    let honest = build(b"kernel", "random.trust_cpu=off panic=30", &[b"ramdisk"]).unwrap();
    let moved = build(b"kernelrandom.trust_cpu=off", " panic=30", &[b"ramdisk"]).unwrap();
    assert_eq!(honest.measurements(), moved.measurements());
    let other = build(b"kernel", "random.trust_cpu=on panic=30", &[b"ramdisk"]).unwrap();
    assert_ne!(honest.measurements().pcr0, other.measurements().pcr0);
}

#[test]
fn what_moves_between_the_ramdisks_changes_pcr1_and_pcr2_and_not_pcr0() {
    let (one, other) = (image(&[b"first", b"second"]).measurements(), image(&[b"firsts", b"econd"]).measurements());
    assert_eq!(one.pcr0, other.pcr0);
    assert!(one.pcr1 != other.pcr1 && one.pcr2 != other.pcr2);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for (place, byte) in bytes.iter_mut().zip(b".eif\0\x04\0\0") {
            *place = *byte;
        }
        let _ = Image::read(&with_checksum(bytes));
    }

    #[test]
    fn an_image_that_was_changed_anyhow_is_refused_or_read_as_what_it_is(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = vector("signed.eif");
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        let bytes = with_checksum(bytes);
        if let Ok(image) = Image::read(&bytes) {
            prop_assert_eq!(image.to_bytes(), bytes);
        }
    }
}
