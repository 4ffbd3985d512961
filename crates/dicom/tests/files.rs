//! Every file that pydicom wrote is read as pydicom reads it, or refused for the reason that it was made for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cloister_dicom::{DecodeLimits, Mammogram, Refusal, read};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use support::Case;

fn read_file(folder: &Path, case: &Case) -> Result<Mammogram, Refusal> {
    read(&fs::read(folder.join(&case.file)).unwrap(), &DecodeLimits::default())
}

#[test]
fn files_are_read_as_pydicom_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let (mut exact, mut near, mut pixels, mut worst) = (0, 0, 0, 0);
    for case in support::files(folder.path()) {
        let Some(view) = &case.view else { continue };
        let name = &case.file;
        let mammogram = read_file(folder.path(), &case).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(mammogram.view.as_str(), view, "{name}");
        let findings: Vec<_> = mammogram.findings.iter().map(|finding| format!("{finding:?}")).collect();
        assert_eq!(findings, case.findings, "{name}");
        let expected = fs::read(folder.path().join(name).with_extension("raw")).unwrap();
        let expected: Vec<u16> = expected.as_chunks().0.iter().map(|&grey| u16::from_le_bytes(grey)).collect();
        assert_eq!(mammogram.pixels.len(), expected.len(), "{name}");
        let furthest = mammogram.pixels.iter().zip(&expected).map(|(read, expected)| read.abs_diff(*expected)).max();
        let furthest = furthest.unwrap();
        assert!(furthest <= case.tolerance, "{name}: a grey differs by {furthest}");
        pixels += expected.len();
        worst = worst.max(furthest);
        if case.tolerance == 0 { exact += 1 } else { near += 1 }
    }
    assert!(exact > 140 && near == 5, "{exact} {near}");
    println!("{exact} files equal in every bit, {near} lossy ones within {worst}; {pixels} pixels");
}

#[test]
fn files_are_refused_for_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for case in support::files(folder.path()) {
        let Some(expected) = &case.refusal else { continue };
        let refusal = read_file(folder.path(), &case).expect_err(&case.file);
        assert!(format!("{refusal:?}").starts_with(expected.as_str()), "{}: {refusal:?}, not {expected}", case.file);
        says_nothing_of_a_patient(&refusal);
        refused += 1;
    }
    assert!(refused > 70, "{refused}");
    println!("{refused} files refused, each for its reason");
}

fn says_nothing_of_a_patient(refusal: &Refusal) {
    let said = format!("{refusal} {refusal:?}").to_uppercase();
    // Letters alone: sizes are repeated, and touched ones come to any digits.
    assert!(!["SEKRET", "TIENTIN"].iter().any(|secret| said.contains(secret)), "{said}");
}

#[test]
fn nothing_of_a_patient_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let cases = support::files(folder.path());
    let case = cases.iter().find(|case| case.file == "explicit-12.dcm").unwrap();
    let mammogram = read_file(folder.path(), case).unwrap();
    assert_eq!(
        format!("{mammogram:?} {:?} {:?}", mammogram.patient, mammogram.sop_instance_uid),
        "Mammogram { view: LCc, size: (130, 91), findings: [], .. } Some(ComparisonKey(..)) Uid(..)"
    );
    assert_eq!(mammogram.sop_instance_uid.as_str(), "1.2.826.0.1.3680043.8.498.1");
    let spacing = mammogram.spacing.unwrap();
    assert_eq!((spacing.between_rows, spacing.between_columns, spacing.at_detector), (0.07, 0.075, true));
    let other = cases.iter().find(|case| case.file == "implicit-8.dcm").unwrap();
    let other = read_file(folder.path(), other).unwrap();
    assert_eq!((mammogram.patient, mammogram.study), (other.patient, other.study));
}

#[test]
fn a_touched_file_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut kinds = vec![
        "explicit-12",
        "implicit-12",
        "deflated-12",
        "rle-12",
        "j2k-12",
        "j2k-lossy-16",
        "ljpeg-16-7",
        "ljpeg-restart-4",
        "surroundings-explicit",
        "surroundings-implicit",
    ];
    support::files(folder.path());
    // PROPTEST_CASES and this are for trying one kind for long.
    if let Ok(only) = std::env::var("CLOISTER_TOUCHED") {
        kinds.retain(|kind| *kind == only);
    }
    let files: Vec<_> = kinds.iter().map(|kind| fs::read(folder.path().join(format!("{kind}.dcm"))).unwrap()).collect();
    let touches = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    // Where pixels start is where most bytes are; headers get a share of their own.
    let place = prop_oneof![Just(None), Just(Some(1200usize))];
    let strategy = (0..files.len(), touches, place, any::<Option<prop::sample::Index>>());
    let cases = std::env::var("PROPTEST_CASES").map_or(6000, |cases| cases.parse().unwrap());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let (still, slowest) = (Cell::new(0), Cell::new(Duration::ZERO));
    TestRunner::new(config)
        .run(&strategy, |(file, touches, within, cut)| {
            let mut bytes = files[file].clone();
            for (place, value) in touches {
                let place = place.index(within.unwrap_or(bytes.len()).min(bytes.len()));
                bytes[place] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let start = Instant::now();
            match read(&bytes, &DecodeLimits::default()) {
                Ok(_) => still.set(still.get() + 1),
                Err(refusal) => says_nothing_of_a_patient(&refusal),
            }
            slowest.set(slowest.get().max(start.elapsed()));
            Ok(())
        })
        .unwrap();
    assert!(slowest.get() < Duration::from_secs(60), "{:?}", slowest.get());
    println!(
        "{cases} touched files, of which {} could still be read; the slowest took {:?}",
        still.get(),
        slowest.get()
    );
}

/// Where a marker segment's content starts in a file.
fn content(file: &[u8], marker: u8) -> usize {
    file.windows(2).position(|pair| pair == [0xFF, marker]).unwrap() + 4
}

#[test]
fn a_codestream_that_asks_for_much_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    support::files(folder.path());
    let file = fs::read(folder.path().join("j2k-12.dcm")).unwrap();
    let (size, style, steps) = (content(&file, 0x51), content(&file, 0x52), content(&file, 0x5C));
    let part = content(&file, 0x90);
    // Where, what, and which reason: sizes, offsets, tiles, samples; layers, colours, decompositions, code-blocks, precincts;
    // guard bits; a tile-part's length.
    let patches: &[(usize, &[u8], &str)] = &[
        (size + 2, &[0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF], "Mismatch"),
        (size + 10, &[0, 0, 0, 1], "Pixels"),
        (size + 18, &[0, 0, 0, 1, 0, 0, 0, 1], "TooMany"),
        (size + 18, &[0, 0, 0, 0], "Pixels"),
        (size + 34, &[0x40, 0], "Mismatch"),
        (size + 36, &[37], "Mismatch"),
        (size + 36, &[0x8B], "Mismatch"),
        (size + 37, &[0, 0], "Mismatch"),
        (style + 2, &[0xFF, 0xFF], "Pixels"),
        (style + 4, &[1], "Pixels"),
        (style + 5, &[32], "Pixels"),
        (style + 6, &[0, 0], "Pixels"),
        (style + 6, &[8, 8], "Pixels"),
        (style, &[1], "Pixels"),
        (steps, &[0xE0, 0xF8], "Pixels"),
        (part + 2, &[0xFF, 0xFF, 0xFF, 0xFF], "Truncated"),
        (part + 2, &[0, 0, 0, 1], "Pixels"),
        (part - 4, &[0xFF, 0x61], "Pixels"),
    ];
    for (at, bytes, reason) in patches {
        let mut touched = file.clone();
        touched[*at..at + bytes.len()].copy_from_slice(bytes);
        let refusal = read(&touched, &DecodeLimits::default()).expect_err(&format!("{at} {bytes:?}"));
        assert!(format!("{refusal:?}").starts_with(reason), "{at} {bytes:?}: {refusal:?}");
    }
    let end = file.len() - 8;
    for length in part..end {
        let mut cut = file[..length].to_vec();
        // The fragment's length and the delimiter stay right, so that the codestream alone is short.
        let start = size - 6;
        let fragment = u32::try_from(length - start).unwrap();
        cut[start - 4..start].copy_from_slice(&fragment.to_le_bytes());
        cut.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        if length < end - 4 {
            read(&cut, &DecodeLimits::default()).expect_err("a codestream that is cut short");
        }
    }
}
