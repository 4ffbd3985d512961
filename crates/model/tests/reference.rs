//! Two real images under published random weights, against what the published program gave for them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod common;

use cloister_imaging::View;
use cloister_model::{Classifier, ConvertOptions, checkpoint::Checkpoint, convert_checkpoint};
use serde_json::Value;

/// How far a probability may be from the reference, with convolutions as they are written down, and with Winograd's transformation.
const TOLERANCES: [(bool, f64); 2] = [(false, 1e-5), (true, 1e-4)];

fn integers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
}

#[test]
fn windows_centres_and_probabilities_are_those_of_the_reference() {
    let Some(expected) = cloister_test_data::path("reference/expected.json") else { return };
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
    let checkpoint = Checkpoint::open(&cloister_test_data::path("reference/random-a.p").unwrap()).unwrap();
    let options = |winograd| ConvertOptions { known_answers: false, winograd, ..ConvertOptions::default() };
    let classifiers = TOLERANCES.map(|(winograd, tolerance)| {
        (Classifier::load(&convert_checkpoint(&checkpoint, &options(winograd)).unwrap(), 2).unwrap(), tolerance)
    });
    assert_eq!(cases.len(), 4);
    for case in cases {
        assert_eq!(case["weights"], "reference/random-a.p");
        let view: View = case["view"].as_str().unwrap().parse().unwrap();
        let image = common::image(case["image"].as_str().unwrap()).unwrap();
        for (crops, key) in [(1, "single_a"), (10, "tta10_a")] {
            for (classifier, tolerance) in &classifiers {
                let given = classifier.classify(&image, view, crops).unwrap();
                let window = given.window.map(|edge| edge as i64).to_vec();
                assert_eq!(window, integers(&case["window_top_bottom_left_right"]));
                assert_eq!(given.best_center.to_vec(), integers(&case["best_center_y_x"]));
                assert_eq!(given.crops, crops);
                for label in ["benign", "malignant"] {
                    let difference = given.scores[label] - case[key][label].as_f64().unwrap();
                    println!("{view} {crops:2} {label}: {difference:+.1e}");
                    assert!(difference.abs() < *tolerance, "{view}, {crops} crops, {label}: {difference:+e} away");
                }
            }
        }
    }
}
