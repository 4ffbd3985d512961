//! Readers that are not ours read every object, and find what was meant.

mod support;

use std::path::Path;

use cloister_results::View;
use cloister_test_data::readers::{self, Found};
use support::{COLUMNS, ROWS, instance};

fn holds(found: &Found, line: &str) {
    assert!(found.tree.iter().any(|there| there == line), "no {line:?} in {:#?}", found.tree);
}

fn impression(found: &Found) -> &str {
    let line = found.tree.iter().find(|line| line.starts_with("1.3.1 "));
    line.unwrap_or_else(|| panic!("no impression in {:#?}", found.tree))
}

#[test]
fn dicom3tools_finds_no_error_in_any_object() {
    let folder = tempfile::tempdir().unwrap();
    let paths = support::write_all(folder.path());
    for path in &paths {
        let said = readers::dciodvfy(path);
        let kind = ["MammographyCADSR", "BasicTextSR", "SCImage"].into_iter().find(|kind| said.contains(kind));
        assert!(kind.is_some(), "{path:?} was not recognised:\n{said}");
        assert!(!said.contains("Error"), "{path:?}:\n{said}");
    }
    assert_eq!(paths.len(), 6 * 2 + 4 * 4 + 3 + 1);
    // It counts bytes where the standard counts characters (PS3.5, 6.2), and finds nothing else.
    for path in support::write(folder.path(), "widest", &support::widest()) {
        let said = readers::dciodvfy(&path);
        let errors = said.lines().filter(|line| line.contains("Error"));
        let others = errors.filter(|line| !line.contains("Length invalid") && !line.contains("invalid data values"));
        assert_eq!(others.count(), 0, "{path:?}:\n{said}");
    }
}

#[test]
fn pydicom_and_highdicom_read_every_object() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = support::write_all(folder.path());
    paths.extend(support::write(folder.path(), "widest", &support::widest()));
    let found = readers::read(folder.path(), Path::new(env!("CARGO_TARGET_TMPDIR")));
    assert_eq!(found.len(), paths.len());
    for (file, found) in &found {
        let exams = [support::exams(), vec![("widest", support::widest())]].concat();
        let (_, exam) = exams.iter().find(|(name, _)| file.starts_with(name)).unwrap();
        let source = &exam.views[0].source;
        assert_eq!(found.attributes["PatientName"], source.patient.name, "{file}");
        assert_eq!(found.attributes["PatientID"], source.patient.id, "{file}");
        assert_eq!(found.attributes["StudyInstanceUID"], source.study.instance_uid.as_str(), "{file}");
        assert_eq!(found.attributes["AccessionNumber"], source.study.accession_number, "{file}");
        assert_eq!(found.attributes["ReferringPhysicianName"], source.study.referring_physician, "{file}");
        if found.tree.is_empty() {
            assert_eq!(found.class, "Secondary Capture Image Storage");
        } else {
            let images: Vec<_> =
                View::ALL.into_iter().map(instance).filter(|uid| found.evidence.contains(uid)).collect();
            assert_eq!(images.len(), exam.views.len(), "{file}");
            let references = found.tree.iter().filter(|line| line.contains("->")).count();
            // The root is no item of its own content.
            assert_eq!(found.highdicom + references + 1, found.tree.len(), "{file}");
        }
    }
    cad(&found["four-cad.dcm"]);
    text(&found["four-text.dcm"]);
    missing(&found["missing-text.dcm"], &found["one-cad.dcm"]);
    capture(&found["four-R-CC.dcm"], &found["bare-R-CC.dcm"]);
}

fn cad(found: &Found) {
    assert_eq!(found.class, "Mammography CAD SR Storage");
    assert_eq!(found.tree[0], "1  CONTAINER Mammography CAD Report (111036, DCM): ");
    for line in [
        "1.1 HAS CONCEPT MOD CODE Language of Content Item and Descendants (121049, DCM): English (en, RFC5646)",
        "1.2 CONTAINS CONTAINER Image Library (111028, DCM): ",
        "1.2.1 CONTAINS IMAGE : 1.2.826.0.1.3680043.10.999.3.1",
        "1.2.1.1 HAS ACQ CONTEXT CODE Image Laterality (111027, DCM): Left breast (80248007, SCT)",
        "1.2.4.1 HAS ACQ CONTEXT CODE Image Laterality (111027, DCM): Right breast (73056007, SCT)",
        "1.2.4.2 HAS ACQ CONTEXT CODE Image View (111031, DCM): medio-lateral oblique (399368009, SCT)",
        "1.2.1.3 HAS ACQ CONTEXT TEXT Patient Orientation Row (111044, DCM): A",
        "1.2.1.5 HAS ACQ CONTEXT DATE Study Date (111060, DCM): 20260301",
        "1.2.1.7 HAS ACQ CONTEXT NUM Horizontal Pixel Spacing (111026, DCM): 0.1 mm",
        "1.2.1.8 HAS ACQ CONTEXT NUM Vertical Pixel Spacing (111066, DCM): 0.0941 mm",
        "1.3 CONTAINS CODE CAD Processing and Findings Summary (111017, DCM): All algorithms succeeded; without findings (111241, DCM)",
        "1.4 CONTAINS CODE Summary of Detections (111064, DCM): Not Attempted (111225, DCM)",
        "1.5 CONTAINS CODE Summary of Analyses (111065, DCM): Succeeded (111222, DCM)",
        "1.5.1 INFERRED FROM CONTAINER Successful Analyses (111062, DCM): ",
        "1.5.1.1 CONTAINS CODE Analysis Performed (111004, DCM): Overall Impression/Recommendation Analysis (111234, DCM)",
        "1.5.1.1.1 HAS PROPERTIES TEXT Algorithm Name (111001, DCM): screening-mammogram",
        "1.5.1.1.2 HAS PROPERTIES TEXT Algorithm Version (111003, DCM): 3",
        "1.5.1.1.7 HAS PROPERTIES -> 1.2.1",
        "1.5.1.1.10 HAS PROPERTIES -> 1.2.4",
    ] {
        holds(found, line);
    }
    let impression = impression(found);
    assert!(
        impression.starts_with("1.3.1 HAS PROPERTIES TEXT Impression Description (111033, DCM): Not for clinical use")
    );
    assert!(impression.contains("Left breast: malignant 0.625000, benign 0.250000, the mean of L-CC and L-MLO."));
    assert!(impression.contains("R-MLO: malignant 0.062500, benign 0.250000."));
    for word in ["SCOORD", "Single Image Finding", "Composite", "Probability of cancer ("] {
        assert!(!found.tree.iter().any(|line| line.contains(word)), "{word}");
    }
}

fn text(found: &Found) {
    assert_eq!(found.class, "Basic Text SR Storage");
    let digest = "cd".repeat(48);
    for line in [
        "1.3 HAS OBS CONTEXT UIDREF Device Observer UID (121012, DCM): 2.25.228189351935217406736182579037362432939",
        "1.8.1 HAS CONCEPT MOD CODE Finding Site (363698007, SCT): Left breast (80248007, SCT)",
        "1.8.2 CONTAINS TEXT Finding (121071, DCM): Left breast: malignant 0.625000, benign 0.250000, the mean of L-CC and L-MLO.",
        "1.8.2.2 INFERRED FROM IMAGE : 1.2.826.0.1.3680043.10.999.3.3",
        "1.9.3 CONTAINS TEXT Finding (121071, DCM): R-CC: malignant 0.125000, benign 0.250000.",
        "1.10.1 CONTAINS TEXT Conclusion (121077, DCM): Operating point \"sensitive\", a mean malignant score of 0.5 or more: Left breast reached; Right breast not reached.",
        &format!("1.11.2 CONTAINS TEXT Procedure Description (121065, DCM): Receipt, SHA-384 {digest}."),
        "1.11.3 CONTAINS TEXT Procedure Description (121065, DCM): Computed by cloister-enclave 0.1.0 on 20260302 at 090807, UTC+01:00.",
    ] {
        holds(found, line);
    }
    assert!(
        found
            .tree
            .iter()
            .any(|line| line.starts_with("1.7.1 CONTAINS TEXT Summary (55112-7, LN): Not for clinical use"))
    );
}

fn missing(text: &Found, alone: &Found) {
    holds(text, "1.9.2 CONTAINS TEXT Finding (121071, DCM): Right breast: no score, because no R-MLO was given.");
    let impression = impression(alone);
    assert!(impression.contains("Left breast: no view was given, and nothing is said about it."));
    assert!(impression.contains("Left breast not known; Right breast not known."));
    assert_eq!(alone.evidence, [instance(View::RMlo)]);
}

fn capture(found: &Found, bare: &Found) {
    assert_eq!(found.shape, [ROWS, COLUMNS, 3]);
    // Greys of 0, 14, ... as they are, and 7, 21, ... half under yellow.
    let even: u64 = (0..35).step_by(2).map(|at| at * 7).sum();
    let odd: u64 = (1..35).step_by(2).map(|at| at * 7).sum();
    let under = |colour: u64| -> u64 { (1..35_u64).step_by(2).map(|at| (at * 7 * 255 + colour * 255) / 510).sum() };
    assert_eq!(found.sum, [even + under(255), even + under(255), even + under(0)]);
    assert!(odd > 0 && found.sum[2] < even + odd);
    assert_eq!(found.source, instance(View::RCc));
    assert_eq!((found.laterality.as_str(), found.preserved.as_str()), ("R", "YES"));
    assert_eq!(found.view, "cranio-caudal (399162004, SCT)");
    assert_eq!(found.purpose, "Source image for image processing operation (121322, DCM)");
    assert_eq!((found.burned_in.as_str(), bare.burned_in.as_str()), ("NO", ""));
    assert!(found.comments.starts_with("Not for clinical use"));
}

#[test]
fn our_own_reader_takes_no_result_for_a_mammogram() {
    let limits = cloister_dicom::DecodeLimits::default();
    for (file, bytes) in support::objects(&support::exam(&View::ALL)) {
        let refusal = cloister_dicom::read(&bytes, &limits).err().map(|refusal| format!("{refusal:?}")).unwrap();
        let wanted = if file.contains('-') { "Modality" } else { "SopClass" };
        assert!(refusal.starts_with(wanted), "{file}: {refusal}");
    }
}

#[test]
fn the_same_exam_and_identifiers_give_the_same_bytes() {
    let once = support::objects(&support::exam(&View::ALL));
    assert_eq!(once, support::objects(&support::exam(&View::ALL)));
}
