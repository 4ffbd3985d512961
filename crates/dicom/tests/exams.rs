//! Two real exams of four views, scanned films from CBIS-DDSM, are read as pydicom reads them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::fs;

use aws_lc_rs::digest::{SHA256, digest};
use cloister_dicom::{DecodeLimits, Finding, read};
use cloister_imaging::{Angle, Finding as PictureFinding, View, prepare};
use ndarray::{ArrayView2, s};

fn network(view: View) -> (usize, usize) {
    if view.angle() == Angle::Cc { (2677, 1942) } else { (2974, 1748) }
}

#[test]
fn two_real_exams_are_read_as_pydicom_reads_them() {
    let exams = support::exams();
    let expected: BTreeMap<String, String> = serde_json::from_str(&support::python("exams.py", &[&exams])).unwrap();
    assert_eq!(expected.len(), 8);
    let (mut views, mut patients, mut studies) = (Vec::new(), HashSet::new(), HashSet::new());
    for (name, digest_of_pixels) in &expected {
        let mammogram = read(&fs::read(exams.join(name)).unwrap(), &DecodeLimits::default()).unwrap();
        let bytes: Vec<u8> = mammogram.pixels.iter().flat_map(|grey| grey.to_le_bytes()).collect();
        let same: String = digest(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&same, digest_of_pixels, "{name}");
        assert_eq!(mammogram.findings, [Finding::SecondaryCapture, Finding::ViewInPatientOrientation]);
        let (rows, columns) = mammogram.pixels.dim();
        let prepared = prepare(&mammogram.pixels, mammogram.view, network(mammogram.view)).unwrap();
        // Strips of the film's edge and fog, which in the first widens the breast to the upper edge.
        let at_edge = [PictureFinding::EdgeLine, PictureFinding::LitBackground];
        let fogged = if views.is_empty() { vec![PictureFinding::CutOffTop] } else { vec![] };
        assert_eq!(prepared.findings, [fogged, at_edge.to_vec()].concat(), "{name}");
        let of_eight_bits = prepare(&mammogram.pixels.mapv(|grey| grey >> 8), mammogram.view, network(mammogram.view));
        assert_eq!(of_eight_bits.unwrap().findings, at_edge, "{name}");
        let window = prepared.window;
        let breast = mammogram.pixels.slice(s![window.top..window.bottom, window.left..window.right]);
        let lit = |greys: ArrayView2<'_, u16>| greys.iter().filter(|&&grey| grey != 0).count();
        let outside = (lit(mammogram.pixels.view()) - lit(breast)) as f64 / (rows * columns - breast.len()) as f64;
        println!(
            "{name}: {}, {rows} x {columns}, {:.1} % not 0 outside of {window:?}",
            mammogram.view,
            100.0 * outside
        );
        // A scan whose background nobody set to 0 is not guessed at.
        let fog = mammogram.pixels.mapv(|grey| grey.max(300));
        let refused = prepare(&fog, mammogram.view, network(mammogram.view)).err();
        assert_eq!(refused, Some(cloister_imaging::Error::NonZeroBackground));
        views.push(mammogram.view.as_str());
        patients.insert(mammogram.patient.unwrap());
        studies.insert(mammogram.study);
    }
    assert_eq!(views, ["L-CC", "L-MLO", "R-CC", "R-MLO", "L-CC", "L-MLO", "R-CC", "R-MLO"]);
    // CBIS-DDSM made each image a patient with a study.
    assert_eq!((patients.len(), studies.len()), (8, 8));
}
