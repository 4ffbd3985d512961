//! The two real images, against the published pipeline's own windows and centres.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use cloister_imaging::{DecodeLimits, Error, Laterality, Noise, View, decode, prepare};
use ndarray::{Array2, s};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    image: String,
    view: View,
    window_top_bottom_left_right: [usize; 4],
    best_center_y_x: (i64, i64),
    distance_from_starting_side: usize,
}

fn network(view: View) -> (usize, usize) {
    match view {
        View::LCc | View::RCc => (2677, 1942),
        View::LMlo | View::RMlo => (2974, 1748),
    }
}

fn cases() -> Option<Vec<(Case, Array2<u16>)>> {
    let cases: Vec<Case> = serde_json::from_slice(&cloister_test_data::read("reference/expected.json")?).unwrap();
    assert_eq!(cases.len(), 4);
    cases
        .into_iter()
        .map(|case| {
            let image = decode(&cloister_test_data::read(&case.image)?, &DecodeLimits::default()).unwrap();
            Some((case, image))
        })
        .collect()
}

#[test]
fn windows_and_centres_equal_the_published_pipelines() {
    let Some(cases) = cases() else { return };
    for (case, image) in cases {
        let prepared = prepare(&image, case.view, network(case.view)).unwrap();
        let window = prepared.window;
        let found = [window.top, window.bottom, window.left, window.right];
        assert_eq!(found, case.window_top_bottom_left_right, "{}", case.view);
        assert_eq!(prepared.best_center, case.best_center_y_x, "{}", case.view);
        assert_eq!(prepared.distance_from_starting_side, case.distance_from_starting_side, "{}", case.view);
    }
}

#[test]
fn every_crop_is_of_the_networks_size_with_mean_0_and_deviation_1() {
    let Some(cases) = cases() else { return };
    for (case, image) in cases {
        let network = network(case.view);
        let prepared = prepare(&image, case.view, network).unwrap();
        let noiseless = prepared.crops(1, Noise::None);
        for plan in noiseless.into_iter().chain(prepared.crops(2, Noise::Default)) {
            let crop = prepared.render(&plan);
            assert_eq!(crop.dim(), network);
            let mean = crop.mapv(f64::from).mean().unwrap();
            let deviation = crop.mapv(f64::from).std(0.0);
            assert!(mean.abs() < 1e-4 && (deviation - 1.0).abs() < 1e-4, "mean {mean}, deviation {deviation}");
        }
    }
}

#[test]
fn a_real_image_of_the_other_breast_is_refused_by_name() {
    let Some(cases) = cases() else { return };
    for (case, image) in cases {
        let mirrored = image.slice(s![.., ..;-1]).to_owned();
        let found = match case.view.laterality() {
            Laterality::Left => Laterality::Right,
            Laterality::Right => Laterality::Left,
        };
        let refused = prepare(&mirrored, case.view, network(case.view)).err();
        assert_eq!(refused, Some(Error::WrongSide { view: case.view, found }));
    }
}

#[test]
fn a_mirrored_image_taken_as_the_other_breast_gives_the_same_pixels() {
    let Some(cases) = cases() else { return };
    for (case, image) in cases {
        let other = match case.view {
            View::LCc => View::RCc,
            View::RCc => View::LCc,
            View::LMlo => View::RMlo,
            View::RMlo => View::LMlo,
        };
        let mirrored = image.slice(s![.., ..;-1]).to_owned();
        let one = prepare(&image, case.view, network(case.view)).unwrap();
        let two = prepare(&mirrored, other, network(other)).unwrap();
        assert_eq!(one.crop_size(), two.crop_size());
        // The published pipeline counts a right breast's furthest column from the other end: one more.
        let step = if case.view.laterality() == Laterality::Left { 1 } else { -1 };
        assert_eq!(two.best_center.1 - one.best_center.1, step);
    }
}
