//! What is copied out of source files, and that results of them are read by others.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::path::Path;

use cloister_dicom::DecodeLimits;
use cloister_imaging::synthetic::{Options, encode_png, generate};
use cloister_results::{
    Exam, Kind, Map, Model, OperatingPoint, Picture, Rule, Scored, Scores, SourceError, View, files, read,
};
use cloister_test_data::{Dicom, readers};
use proptest::prelude::*;
use time::macros::datetime;

const CHARACTER_SET: u32 = 0x0008_0005;
const PATIENT_NAME: u32 = 0x0010_0010;
const STUDY: u32 = 0x0020_000D;

fn png(view: View) -> Vec<u8> {
    encode_png(&generate(3, view, Options { width: 64, height: 96, ..Options::default() })).unwrap()
}

fn file(view: View) -> Dicom {
    let png = png(view);
    Dicom::of(view, &png, view as u32 + 1)
        .with(CHARACTER_SET, "CS", "ISO_IR 192")
        .with(0x0008_0020, "DA", "20260301")
        .with(0x0008_0030, "TM", "101112.5")
        .with(0x0008_0050, "SH", "A-77")
        .with(0x0008_0090, "PN", "Łękawska^Żaneta")
        .with(PATIENT_NAME, "PN", "Wang^XiaoDong=王^小东")
        .with(0x0010_0030, "DA", "19640812")
        .with(0x0010_0040, "CS", "F")
        .with(0x0018_1164, "DS", "0.07\\0.065")
        .with(0x0020_0010, "SH", "S1")
        .with(0x0020_0020, "CS", "A\\R")
        .with(0x0028_0301, "CS", "NO")
}

fn of(file: &Dicom) -> Result<cloister_results::Read, SourceError> {
    read(&file.bytes(), &DecodeLimits::default())
}

#[test]
fn patient_study_and_image_are_copied() {
    let source = of(&file(View::RMlo)).unwrap().source;
    assert!(source.patient.name == "Wang^XiaoDong=王^小东" && source.patient.id == "zq7canary-4711");
    assert!(source.patient.birth_date == "19640812" && source.patient.sex == "F");
    assert_eq!((source.study.date.as_str(), source.study.time.as_str()), ("20260301", "101112.5"));
    assert_eq!((source.study.id.as_str(), source.study.accession_number.as_str()), ("S1", "A-77"));
    assert!(source.study.referring_physician == "Łękawska^Żaneta");
    assert_eq!(source.sop_instance_uid.as_str(), "1.2.826.0.1.3680043.8.1.4");
    assert_eq!(source.study.instance_uid.as_str(), "1.2.826.0.1.3680043.8.2.77777");
    assert_eq!((source.view, source.rows, source.columns), (View::RMlo, 96, 64));
    let spacing = source.spacing.unwrap();
    assert_eq!((spacing.between_rows, spacing.between_columns), (0.07, 0.065));
    assert_eq!(source.orientation, Some(["A".to_owned(), "R".to_owned()]));
    assert_eq!((source.burned_in_annotation, source.lossy), (Some(false), false));
}

#[test]
fn what_is_not_there_stays_empty() {
    let source = of(&Dicom::of(View::LCc, &png(View::LCc), 1).with(0x0020_0020, "CS", "CC")).unwrap().source;
    assert!(source.patient.birth_date.is_empty() && source.study.date.is_empty());
    assert_eq!((source.spacing, source.orientation, source.burned_in_annotation), (None, None, None));
}

#[test]
fn a_name_that_cannot_be_read_is_refused_and_not_repeated() {
    for (set, name) in [("ISO_IR 999", "Zq7canary"), ("", "Zq7canaryż")] {
        let error = of(&file(View::LCc).with(CHARACTER_SET, "CS", set).with(PATIENT_NAME, "PN", name)).err().unwrap();
        assert!(matches!(error, SourceError::Text(_)), "{error}");
        assert!(error.to_string().contains("character set") && !error.to_string().contains("Zq7"), "{error}");
    }
    let error = of(&file(View::LCc).with(STUDY, "UI", "1.02.3")).err().unwrap();
    let uid = |error: &SourceError| {
        matches!(error, SourceError::Value(cloister_results::Error::Value { rule: Rule::Uid, .. }))
    };
    assert!(uid(&error), "{error}");
}

#[test]
fn results_of_source_files_are_read_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let read: Vec<_> = View::ALL.into_iter().map(|view| of(&file(view)).unwrap()).collect();
    let scored = |read: &cloister_results::Read| Scored {
        source: read.source.clone(),
        scores: Scores::from([("benign".to_owned(), 0.25), ("malignant".to_owned(), 0.5)]),
        findings: Vec::new(),
    };
    let exam = Exam {
        views: read.iter().map(scored).collect(),
        findings: Vec::new(),
        model: Model { name: "screening".into(), version: 1, digest: [1; 48] },
        software: "cloister-enclave 0.1.0".into(),
        receipt_digest: [2; 48],
        operating_point: OperatingPoint { label: "sensitive".into(), score: "malignant".into(), least: 0.5 },
        time: datetime!(2026-03-02 09:08:07 +8),
    };
    let map = Map { label: "malignant", rows: 3, columns: 2, values: &[0, 10, 255, 100, 0, 0] };
    let pictures: Vec<_> =
        read.iter().map(|read| Picture { view: read.source.view, pixels: &read.pixels, map }).collect();
    let mut number = 0;
    let random = || {
        number += 1;
        [number; 16]
    };
    let written = files(&exam, &pictures, random).unwrap();
    let mut instances: Vec<_> = written.iter().map(|file| file.instance.as_str().to_owned()).collect();
    instances.sort();
    instances.dedup();
    assert_eq!((written.len(), instances.len()), (6, 6));
    for file in &written {
        let path = folder.path().join(file.kind.file_name());
        std::fs::write(&path, &file.bytes).unwrap();
        let said = readers::dciodvfy(&path);
        assert!(!said.contains("Error"), "{path:?}:\n{said}");
    }
    let found = readers::read(folder.path(), Path::new(env!("CARGO_TARGET_TMPDIR")));
    assert_eq!(found.len(), 6);
    for found in found.values() {
        assert_eq!(found.attributes["PatientName"], "Wang^XiaoDong=王^小东");
        assert_eq!(found.attributes["AccessionNumber"], "A-77");
    }
    let capture = &found[&Kind::SecondaryCapture(View::RCc).file_name()];
    assert_eq!(
        (capture.shape.as_slice(), capture.source.as_str()),
        ([96, 64, 3].as_slice(), "1.2.826.0.1.3680043.8.1.2")
    );
    assert!(capture.sum[0] > capture.sum[2], "a map is red and yellow: {:?}", capture.sum);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_that_was_cut_or_touched_is_read_or_refused(cut in 0_usize..14_000, at in 0_usize..700, byte: u8) {
        let mut bytes = file(View::LCc).bytes();
        bytes.truncate(cut.max(132));
        if let Some(there) = bytes.get_mut(at) {
            *there = byte;
        }
        if let Err(error) = read(&bytes, &DecodeLimits::default()) {
            let said = error.to_string();
            prop_assert!(!said.is_empty() && !said.to_ascii_lowercase().contains("canary"));
        }
    }
}
