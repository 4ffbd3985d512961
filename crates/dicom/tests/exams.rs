//! Two real exams of four views, scanned films from CBIS-DDSM, are read as pydicom reads them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use aws_lc_rs::digest::{SHA256, digest};
use cloister_dicom::{DecodeLimits, Finding, read};
use cloister_imaging::{Angle, prepare};

#[test]
fn two_real_exams_are_read_as_pydicom_reads_them() {
    let exams = support::exams();
    let expected: BTreeMap<String, String> = serde_json::from_str(&support::python("exams.py", &[&exams])).unwrap();
    assert_eq!(expected.len(), 8);
    let mut views = Vec::new();
    for (name, digest_of_pixels) in &expected {
        let mammogram = read(&fs::read(exams.join(name)).unwrap(), &DecodeLimits::default()).unwrap();
        let bytes: Vec<u8> = mammogram.pixels.iter().flat_map(|grey| grey.to_le_bytes()).collect();
        let same: String = digest(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&same, digest_of_pixels, "{name}");
        assert_eq!(mammogram.findings, [Finding::SecondaryCapture, Finding::ViewInPatientOrientation]);
        let (rows, columns) = mammogram.pixels.dim();
        let zero = mammogram.pixels.iter().filter(|&&grey| grey == 0).count() as f64 / (rows * columns) as f64;
        let network = if mammogram.view.angle() == Angle::Cc { (2677, 1942) } else { (2974, 1748) };
        let outcome = match prepare(&mammogram.pixels, mammogram.view, network) {
            Ok(prepared) => format!("{:?}", prepared.window),
            Err(error) => format!("{error:?}"),
        };
        println!("{name}: {}, {rows} x {columns}, {:.1} % zero; {outcome}", mammogram.view, 100.0 * zero);
        views.push(mammogram.view.as_str());
    }
    assert_eq!(views, ["L-CC", "L-MLO", "R-CC", "R-MLO", "L-CC", "L-MLO", "R-CC", "R-MLO"]);
}
