//! Every file that pydicom wrote is read as pydicom reads it, or refused for the reason that it was made for.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;

use cloister_dicom::{DecodeLimits, Mammogram, Refusal, read};
use proptest::prelude::*;
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
    assert!(!["SEKRET", "4711", "TIENTIN", "680043"].iter().any(|secret| said.contains(secret)), "{said}");
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
    let kinds = [
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
    let files = kinds.map(|kind| fs::read(folder.path().join(format!("{kind}.dcm"))).unwrap());
    let touches = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    // Where pixels start is where most bytes are; headers get a share of their own.
    let place = prop_oneof![Just(None), Just(Some(1200usize))];
    let strategy = (0..files.len(), touches, place, any::<Option<prop::sample::Index>>());
    let (mut read_still, mut runner) = (0, proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(6000)));
    let counted = std::cell::Cell::new(0);
    runner
        .run(&strategy, |(file, touches, within, cut)| {
            let mut bytes = files[file].clone();
            for (place, value) in touches {
                let place = place.index(within.unwrap_or(bytes.len()).min(bytes.len()));
                bytes[place] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            match read(&bytes, &DecodeLimits::default()) {
                Ok(_) => counted.set(counted.get() + 1),
                Err(refusal) => says_nothing_of_a_patient(&refusal),
            }
            Ok(())
        })
        .unwrap();
    read_still += counted.get();
    println!("6000 touched files, of which {read_still} could still be read");
}
