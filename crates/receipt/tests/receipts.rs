//! What a receipt keeps: every claim comes back, and what cannot be claimed is not signed.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use cloister_receipt::{Crops, Error, Map, Model, Receipt, SigningKey, Unverified, View, limits};
use common::{DOCUMENT, exam, image, least, scores, together, view};
use proptest::prelude::*;

#[test]
fn what_was_signed_comes_back_with_its_document() {
    let key = SigningKey::generate().unwrap();
    for receipt in [image(), exam(), together(), least()] {
        let bytes = receipt.sign(&key, DOCUMENT).unwrap();
        let unverified = Unverified::parse(&bytes).unwrap();
        assert_eq!((unverified.claims(), unverified.document()), (&receipt, DOCUMENT));
        assert_eq!(unverified.verify(key.public_key_der()), Ok(receipt));
    }
}

#[test]
fn the_largest_claims_and_the_largest_document_fit() {
    let label = |number: usize| format!("{number:0>width$}", width = limits::NAME);
    let most = (0..limits::LABELS).map(|number| (label(number), 0.1)).collect::<BTreeMap<_, _>>();
    let text = "x".repeat(limits::TEXT);
    let mut receipt = exam();
    for view in &mut receipt.views {
        view.scores = most.clone();
        view.sop_instance_uid = Some("1".repeat(limits::UID));
        view.best_center = [i64::MIN, i64::MAX];
        view.map = Some(map(&label(0), 255));
    }
    receipt.breasts.values_mut().for_each(|scores| *scores = most.clone());
    receipt.nonce = Some(vec![0; limits::NONCE]);
    receipt.model = Model { name: "x".repeat(limits::NAME), version: u32::MAX, digest: [0; 48] };
    receipt.crops = Crops { seed: Some(u32::MAX), count: limits::CROPS };
    (receipt.software, receipt.kernels, receipt.preprocessing) = (text.clone(), text.clone(), text);
    let bytes = receipt.sign(&SigningKey::generate().unwrap(), &vec![0; limits::DOCUMENT]).unwrap();
    assert_eq!(Unverified::parse(&bytes).unwrap().claims(), &receipt);
}

#[test]
fn a_time_is_signed_to_the_millisecond() {
    let receipt = Receipt { time: UNIX_EPOCH + Duration::from_nanos(1_999_999), ..image() };
    let bytes = receipt.sign(&SigningKey::generate().unwrap(), DOCUMENT).unwrap();
    assert_eq!(Unverified::parse(&bytes).unwrap().claims().time, UNIX_EPOCH + Duration::from_millis(1));
}

fn map(label: &str, digest: u8) -> Map {
    Map { label: label.to_owned(), sha256: [digest; 32] }
}

/// Changes a receipt into one that cannot be.
type Change = fn(&mut Receipt);

#[test]
fn what_no_receipt_says_is_not_signed() {
    let key = SigningKey::generate().unwrap();
    let changes: [(&str, Change); 36] = [
        ("nonce", |r| r.nonce = Some(vec![0; 15])),
        ("nonce", |r| r.nonce = Some(vec![0; 65])),
        ("time", |r| r.time = UNIX_EPOCH),
        ("time", |r| r.time = UNIX_EPOCH - Duration::from_millis(1)),
        ("time", |r| r.time = UNIX_EPOCH + Duration::from_millis(limits::LATEST_TIME_MS + 1)),
        ("software", |r| r.software.clear()),
        ("software", |r| r.software.push('\u{1b}')),
        ("kernels", |r| r.kernels = "x".repeat(257)),
        ("preprocessing", |r| r.preprocessing = "é".to_owned()),
        ("model's name", |r| r.model.name = "x".repeat(65)),
        ("crops' count", |r| r.crops.count = 0),
        ("crops' count", |r| r.crops.count = 65),
        ("views", |r| r.views.clear()),
        ("views", |r| r.views.swap(0, 1)),
        ("views", |r| r.views.insert(0, view("L-CC"))),
        ("views", |r| r.views[0].view = "L-ML".to_owned()),
        ("rows", |r| r.views[3].rows = 0),
        ("columns", |r| r.views[3].columns = limits::SIDE + 1),
        ("sop_instance_uid", |r| r.views[3].sop_instance_uid = Some(String::new())),
        ("sop_instance_uid", |r| r.views[3].sop_instance_uid = Some("1".repeat(65))),
        ("sop_instance_uid", |r| r.views[3].sop_instance_uid = Some("1.2.a".to_owned())),
        ("window", |r| r.views[3].window = [100, 100, 0, 1]),
        ("window", |r| r.views[3].window = [0, 2601, 0, 1]),
        ("window", |r| r.views[3].window = [0, 1, 1999, 2001]),
        ("map", |r| r.views[3].map = None),
        ("map", |r| r.views[3].map = Some(map("benign", 3))),
        ("map", |r| r.views.iter_mut().for_each(|view| view.map = Some(map("other", 3)))),
        ("breasts", |r| r.breasts.extend([("middle".to_owned(), scores(0.1))])),
        ("findings", |r| r.findings.push("edge-line".to_owned())),
        ("findings", |r| r.findings.push("mixed-studies".to_owned())),
        ("findings", |r| r.findings = vec![String::new()]),
        ("findings", |r| r.views[3].findings = vec!["x".repeat(33)]),
        ("findings", |r| r.views[3].findings = vec!["a finding".to_owned()]),
        ("findings", |r| r.views[3].findings = (10..27).map(|number| number.to_string()).collect()),
        ("breasts", |r| r.views.retain(|view| view.view.starts_with('R'))),
        ("label", |r| {
            r.views.iter_mut().map(|view| &mut view.scores).chain(r.breasts.values_mut()).for_each(|scores| {
                scores.insert(String::new(), 0.5);
            });
        }),
    ];
    for (index, (wrong, change)) in changes.into_iter().enumerate() {
        let mut receipt = exam();
        change(&mut receipt);
        let error = receipt.sign(&key, DOCUMENT).unwrap_err();
        assert!(matches!(error, Error::Field { field, .. } if field == wrong), "change {index} of {wrong}: {error}");
    }
}

#[test]
fn scores_that_are_no_probabilities_or_of_other_labels_are_not_signed() {
    let key = SigningKey::generate().unwrap();
    let refused = |receipt: Receipt| match receipt.sign(&key, DOCUMENT) {
        Err(Error::Field { field, .. }) => assert_eq!(field, "scores"),
        other => panic!("{other:?}"),
    };
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, -f64::MIN_POSITIVE, 1.0 + f64::EPSILON, 2.0] {
        refused(Receipt { views: vec![View { scores: scores(wrong), ..view("L-CC") }], ..image() });
        refused(Receipt { breasts: [("right".to_owned(), scores(wrong))].into(), ..exam() });
    }
    let other = BTreeMap::from([("benign".to_owned(), 0.5)]);
    refused(Receipt { views: vec![View { scores: BTreeMap::new(), ..view("L-CC") }], ..image() });
    refused(Receipt { views: vec![view("L-CC"), View { scores: other.clone(), ..view("R-CC") }], ..image() });
    refused(Receipt { breasts: [("left".to_owned(), other.clone())].into(), ..exam() });
    // Where no view has scores there are both breasts of all four, with the same labels.
    refused(Receipt { breasts: BTreeMap::new(), ..together() });
    refused(Receipt { breasts: [("left".to_owned(), scores(0.5))].into(), ..together() });
    refused(Receipt { breasts: ["left", "right"].map(|side| (side.to_owned(), BTreeMap::new())).into(), ..together() });
    let unequal = [("left".to_owned(), other), ("right".to_owned(), scores(0.5))].into();
    refused(Receipt { breasts: unequal, ..together() });
    let mut three = together();
    drop(three.views.remove(2));
    refused(three);
    let mut one_scored = together();
    one_scored.views[2].scores = scores(0.5);
    refused(one_scored);
}

#[test]
fn a_document_that_is_empty_or_too_long_is_not_signed() {
    let key = SigningKey::generate().unwrap();
    for document in [vec![], vec![0; limits::DOCUMENT + 1]] {
        assert_eq!(image().sign(&key, &document), Err(Error::UnprotectedHeader));
    }
}

/// Probabilities, those among them that CBOR writes in two bytes or four.
fn probability() -> impl Strategy<Value = f64> {
    let sixteenths = (0..=16_u8).prop_map(|n| f64::from(n) / 16.0);
    let single = (0.0..=1.0_f32).prop_map(f64::from);
    prop_oneof![sixteenths, single, 0.0..=1.0]
}

fn arbitrary_view(name: &'static str) -> impl Strategy<Value = View> {
    let digests = (any::<[u8; 32]>(), any::<[u8; 32]>());
    let side = 1..=limits::SIDE;
    let uid = proptest::option::of("[0-9.]{1,64}");
    let found = (any::<[i64; 2]>(), findings());
    (digests, side.clone(), side, uid, found, probability(), any::<(u32, u32)>()).prop_map(
        move |((bytes, pixels), rows, columns, uid, (best_center, findings), malignant, corner)| View {
            view: name.to_owned(),
            bytes_sha256: bytes,
            pixels_sha256: pixels,
            rows,
            columns,
            sop_instance_uid: uid,
            window: [corner.0 % rows, rows, corner.1 % columns, columns],
            best_center,
            scores: scores(malignant),
            map: None,
            findings,
        },
    )
}

fn findings() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set("[a-zA-Z0-9-]{1,32}", 0..=16).prop_map(|codes| codes.into_iter().collect())
}

fn arbitrary_receipt() -> impl Strategy<Value = Receipt> {
    let views = ["L-CC", "R-CC", "L-MLO", "R-MLO"].map(|name| proptest::option::of(arbitrary_view(name)));
    let model = ("[a-z][a-z0-9-]{0,63}", any::<u32>(), any::<[u8; 32]>());
    let crops = (proptest::option::of(any::<u32>()), 1..=limits::CROPS);
    let nonce = proptest::option::of(proptest::collection::vec(any::<u8>(), 16..=64));
    let digest = proptest::option::of(any::<u8>());
    let outcome = (probability(), digest, findings());
    (views, model, crops, nonce, 1..=limits::LATEST_TIME_MS, "[ -~]{1,256}", outcome)
        .prop_filter("a receipt has a view", |parts| parts.0.iter().any(Option::is_some))
        .prop_map(
            |(views, (name, version, digest), (seed, count), nonce, millis, kernels, (mean, mapped, findings))| {
                let mut views: Vec<View> = views.into_iter().flatten().collect();
                views.iter_mut().for_each(|view| view.map = mapped.map(|digest| map("benign", digest)));
                let left = views.iter().filter(|view| view.laterality() == Some("L")).count() == 2;
                let mut whole = [0; 48];
                whole[..32].copy_from_slice(&digest);
                Receipt {
                    nonce,
                    time: UNIX_EPOCH + Duration::from_millis(millis),
                    kernels,
                    model: Model { name, version, digest: whole },
                    crops: Crops { seed, count },
                    views,
                    breasts: if left { [("left".to_owned(), scores(mean))].into() } else { BTreeMap::new() },
                    findings,
                    ..image()
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_receipt_comes_back_as_it_was(receipt in arbitrary_receipt(), document in proptest::collection::vec(any::<u8>(), 1..600)) {
        let key = SigningKey::generate().unwrap();
        let unverified = Unverified::parse(&receipt.sign(&key, &document).unwrap()).unwrap();
        prop_assert_eq!(unverified.document(), &document);
        let verified = unverified.verify(key.public_key_der()).unwrap();
        for (back, view) in verified.views.iter().zip(&receipt.views) {
            prop_assert_eq!(back.scores["malignant"].to_bits(), view.scores["malignant"].to_bits());
        }
        prop_assert_eq!(verified, receipt);
    }

    #[test]
    fn a_score_that_is_no_probability_is_never_signed(score in any::<f64>()) {
        let receipt = Receipt { views: vec![View { scores: scores(score), ..view("L-CC") }], ..image() };
        let signed = receipt.sign(&SigningKey::generate().unwrap(), DOCUMENT).is_ok();
        prop_assert_eq!(signed, (0.0..=1.0).contains(&score) && score.is_sign_positive());
    }
}
