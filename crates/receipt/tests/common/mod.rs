//! Receipts to test with.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use cloister_receipt::{Crops, Map, Model, Receipt, Scores, View};

/// Stands for an attestation document, which is not this crate's to read.
pub const DOCUMENT: &[u8] = b"a document";

pub fn scores(malignant: f64) -> Scores {
    BTreeMap::from([("benign".to_owned(), 0.25), ("malignant".to_owned(), malignant)])
}

pub fn view(name: &str) -> View {
    View {
        view: name.to_owned(),
        bytes_sha256: [1; 32],
        pixels_sha256: [2; 32],
        rows: 2600,
        columns: 2000,
        sop_instance_uid: Some("1.2.840.10008.5.1.4.1.1.1.2".to_owned()),
        window: [100, 2400, 0, 1500],
        best_center: [1200, -3],
        scores: scores(0.1),
        map: Some(Map { label: "malignant".to_owned(), sha256: [3; 32] }),
        findings: Vec::new(),
    }
}

/// A receipt of one image.
pub fn image() -> Receipt {
    Receipt {
        nonce: Some(vec![7; 32]),
        time: UNIX_EPOCH + Duration::from_millis(1_790_000_000_123),
        software: "cloister-enclave 0.1.0".to_owned(),
        kernels: "tract 0.23.9 x86_64,avx,avx2,fma".to_owned(),
        model: Model { name: "demo".to_owned(), version: 3, digest: [9; 48] },
        preprocessing: "screening-mammogram/1".to_owned(),
        crops: Crops { seed: Some(0), count: 10 },
        views: vec![view("L-CC")],
        breasts: BTreeMap::new(),
        findings: Vec::new(),
    }
}

/// A receipt of an exam.
pub fn exam() -> Receipt {
    let views = ["L-CC", "R-CC", "L-MLO", "R-MLO"].map(view).to_vec();
    let breasts = ["left", "right"].map(|breast| (breast.to_owned(), scores(0.1))).into();
    let mut receipt = Receipt { views, breasts, findings: vec!["mixed-studies".to_owned()], ..image() };
    receipt.views[1].findings = ["edge-line", "lit-background"].map(str::to_owned).to_vec();
    receipt
}

/// A receipt of an exam whose views were looked at together.
pub fn together() -> Receipt {
    let mut receipt = exam();
    for view in &mut receipt.views {
        view.scores.clear();
        view.map = None;
    }
    receipt
}

/// The smallest receipt: nothing optional in it.
pub fn least() -> Receipt {
    let crops = Crops { seed: None, count: 1 };
    let views = vec![View { sop_instance_uid: None, map: None, ..view("R-MLO") }];
    Receipt { nonce: None, crops, views, ..image() }
}
