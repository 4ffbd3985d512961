//! A receipt that another program made: Python's cbor2 and pycose, by `vector/make.py`, written from `docs/receipts.md`.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use cloister_receipt::{Crops, Map, Model, Receipt, Scores, Unverified, View, map_sha256, pixels_sha256};

const RECEIPT: &[u8] = include_bytes!("vector/receipt.cbor");
/// From before there were findings.
const EARLIER: &[u8] = include_bytes!("vector/earlier.cbor");
const KEY: &[u8] = include_bytes!("vector/key.der");

fn scores(benign: f64, malignant: f64) -> Scores {
    BTreeMap::from([("benign".to_owned(), benign), ("malignant".to_owned(), malignant)])
}

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|&code| code.to_owned()).collect()
}

fn view(name: &str, sop_instance_uid: Option<&str>, scores: Scores, findings: &[&str]) -> View {
    View {
        view: name.to_owned(),
        bytes_sha256: digest(&SHA256, name.as_bytes()).as_ref().try_into().unwrap(),
        pixels_sha256: pixels_sha256(2, 3, [[u16::MAX; 6]]),
        rows: 2,
        columns: 3,
        sop_instance_uid: sop_instance_uid.map(str::to_owned),
        window: [0, 2, 1, 3],
        best_center: [1, -70_000],
        scores,
        map: Some(Map {
            label: "malignant".to_owned(),
            sha256: map_sha256("malignant", 2, 3, &[0, 1, 2, 253, 254, 255]),
        }),
        findings: codes(findings),
    }
}

fn expected() -> Receipt {
    let single = 1.0 - 1.0 / f64::from(1 << 20);
    Receipt {
        nonce: Some((0..16).collect()),
        time: UNIX_EPOCH + Duration::from_millis(1_790_000_000_123),
        software: "cloister-enclave 0.1.0".to_owned(),
        kernels: "tract 0.23.9 x86_64,avx,avx2,fma".to_owned(),
        model: Model {
            name: "demo".to_owned(),
            version: 3,
            digest: digest(&SHA384, b"package").as_ref().try_into().unwrap(),
        },
        preprocessing: "screening-mammogram/1".to_owned(),
        crops: Crops { seed: Some(0), count: 10 },
        views: vec![
            view("L-CC", Some("1.2.840.10008.1"), scores(0.25, 0.1), &["edge-line", "secondary-capture"]),
            view("L-MLO", None, scores(0.75, single), &[]),
        ],
        breasts: BTreeMap::from([("left".to_owned(), scores(0.5, (0.1 + single) / 2.0))]),
        findings: codes(&["missing-R-CC", "missing-R-MLO"]),
    }
}

#[test]
fn a_receipt_that_another_program_made_is_read_and_verified() {
    let receipt = Unverified::parse(RECEIPT).unwrap();
    assert_eq!(receipt.document(), b"an attestation document");
    assert_eq!(receipt.verify(KEY), Ok(expected()));
}

#[test]
fn a_receipt_from_before_there_were_findings_and_maps_is_read_and_verified() {
    let mut before = expected();
    before.findings.clear();
    for view in &mut before.views {
        view.findings.clear();
        view.map = None;
    }
    assert_eq!(Unverified::parse(EARLIER).unwrap().verify(KEY), Ok(before));
}

/// The hexadecimal block of this name in `docs/receipts.md`.
fn shown(block: &str) -> Vec<u8> {
    const PAGE: &str = include_str!("../../../docs/receipts.md");
    let (_, rest) = PAGE.split_once(&format!("```{block}\n")).unwrap();
    let (digits, _) = rest.split_once("```").unwrap();
    hex::decode(digits.replace('\n', "")).unwrap()
}

#[test]
fn the_worked_example_of_the_documentation_is_this_receipt() {
    assert_eq!(shown("receipt"), RECEIPT);
    assert_eq!(shown("key"), KEY);
}
