//! Data that tests share: a receipt to start from, parts of an enclave image, DICOM files, a registry, and what the repository does not hold: real mammograms, documents that AWS hardware signed, reference scores.
//!
//! `CLOISTER_DATA` names its folder, by default `../shared/data` beside the checkout. Without it such a test says that it was skipped; with
//! `CLOISTER_REQUIRE_DATA=1` it fails.

mod dicom;
pub mod image;
pub mod readers;
pub mod registry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

pub use dicom::{Dicom, PATIENT_NAME};

use cloister_receipt::{Crops, Model, Receipt, View};

/// Where one file of the data is, or nothing and a word about it on standard error.
pub fn path(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("CLOISTER_DATA").map_or_else(beside, PathBuf::from).join(name);
    if path.is_file() {
        return Some(path);
    }
    let required = std::env::var_os("CLOISTER_REQUIRE_DATA").is_some_and(|value| value == "1");
    assert!(!required, "{} is required and not there", path.display());
    eprintln!("skipped: {} is not there; set CLOISTER_DATA to the folder that holds it", path.display());
    None
}

/// The bytes of one file of the data, or nothing and a word about it.
pub fn read(name: &str) -> Option<Vec<u8>> {
    path(name).map(|path| std::fs::read(path).expect("a file that can be read"))
}

/// A receipt of one image of ten by ten pixels, for tests that need one and change what they are about.
pub fn receipt() -> Receipt {
    let view = View {
        view: "L-CC".to_owned(),
        bytes_sha256: [1; 32],
        pixels_sha256: [2; 32],
        rows: 10,
        columns: 10,
        sop_instance_uid: None,
        window: [1, 2, 3, 4],
        best_center: [5, 6],
        scores: BTreeMap::from([("malignant".to_owned(), 0.5)]),
        map: None,
        findings: Vec::new(),
    };
    Receipt {
        nonce: None,
        time: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        software: "a test".to_owned(),
        kernels: "none".to_owned(),
        model: Model { name: "m".to_owned(), version: 1, digest: [3; 48] },
        preprocessing: "resize/1".to_owned(),
        crops: Crops { seed: None, count: 1 },
        views: vec![view],
        breasts: BTreeMap::new(),
        findings: Vec::new(),
    }
}
