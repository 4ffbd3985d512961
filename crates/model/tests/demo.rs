//! The demonstration model does what its card says, on images that its training never drew.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::path::Path;

use cloister_imaging::{
    View,
    synthetic::{Options, generate, masses},
};
use cloister_model::{Classifier, Package};
use rayon::prelude::*;

/// Far from the seeds that training and the card's figures drew (models/demo/README.md).
const FIRST_SEED: u64 = 9_000_000;

/// Each is drawn in one view, with and without a mass, with and without calcifications.
const PERSONS: u64 = 40;

/// What the card says of each label, at least.
const AUC: f64 = 0.9;

const MOST_BYTES: usize = 5_000_000;

fn package() -> Package {
    Package::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo/package")).unwrap()
}

/// The area under the ROC curve from the ranks of the positives (Mann and Whitney). Scores that are equal share their ranks' mean.
fn auc(mut scores: Vec<(f64, bool)>) -> f64 {
    scores.sort_by(|one, other| one.0.total_cmp(&other.0));
    let positives = scores.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = scores.len() as f64 - positives;
    let (mut ranks, mut before) = (0.0, 0);
    for equal in scores.chunk_by(|one, other| one.0 == other.0) {
        let rank = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        ranks += rank * equal.iter().filter(|(_, positive)| *positive).count() as f64;
        before += equal.len();
    }
    (ranks - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

#[test]
fn the_area_is_that_of_counted_pairs() {
    // 1 above 0.2 and 0.5, 0.5 above 0.2 and beside 0.5: 3.5 pairs of 4.
    assert_eq!(auc(vec![(1.0, true), (0.5, true), (0.5, false), (0.2, false)]), 0.875);
    assert_eq!(auc(vec![(0.1, true), (0.2, false)]), 0.0);
}

#[test]
fn each_label_tells_what_it_was_made_for() {
    let classifier = Classifier::load(&package(), 1).unwrap();
    let drawn: Vec<(u64, bool, bool)> =
        (0..PERSONS * 4).map(|image| (FIRST_SEED + image / 4, image & 1 == 1, image & 2 == 2)).collect();
    let scores: Vec<_> = drawn
        .par_iter()
        .map(|&(seed, mass, cluster)| {
            let view = View::ALL[(seed % 4) as usize];
            let options = Options { width: 640, height: 832, masses: mass.into(), calcifications: cluster.into() };
            classifier.classify(&generate(seed, view, options), view, 1).unwrap().scores
        })
        .collect();
    let masses: Vec<_> = drawn.iter().zip(&scores).map(|(&(_, mass, _), scores)| (scores["malignant"], mass)).collect();
    let clusters: Vec<_> =
        drawn.iter().zip(&scores).map(|(&(_, _, cluster), scores)| (scores["benign"], cluster)).collect();
    for (label, scored) in [("malignant", masses), ("benign", clusters)] {
        let found = auc(scored);
        println!("{label}: AUC {found:.3} on {} images", drawn.len());
        assert!(found >= AUC, "{label}: {found:.3}");
    }
}

/// From this score on a mass counts as detected (models/demo/README.md).
const DETECTED: f64 = 0.5;

/// Seeds that nothing about maps or masses was decided on.
const FIRST_SEED_OF_MAPS: u64 = 9_002_000;

/// Numbers of crops to look with.
const CROPS: [u32; 2] = [1, 10];

/// Of the detected masses, how many hold the map's peak, at least.
const PEAKS_INSIDE: f64 = 0.8;

/// Of the drawn masses, how many are detected, at least: few peaks would say little.
const MASSES_DETECTED: f64 = 0.6;

/// Whether the mass was detected in a drawn image, and whether the map's peak lies in it.
fn peak_in_mass(classifier: &Classifier, seed: u64, crops: u32) -> (bool, bool) {
    let view = View::ALL[(seed % 4) as usize];
    let options = Options { width: 640, height: 832, masses: 1, calcifications: 0 };
    let prepared = classifier.prepare(&generate(seed, view, options), view, crops).unwrap();
    let answer = prepared.with_map("malignant").unwrap().score().unwrap();
    let map = answer.map.unwrap();
    // A map of an image in which nothing raised the score has no peak.
    let peak = map.values.iter().position(|value| *value == u8::MAX);
    let middle = |at: usize, cells: u32, pixels: usize| (at as f64 + 0.5) * pixels as f64 / f64::from(cells);
    let inside = peak.is_some_and(|peak| {
        let (row, column) = (peak / map.columns as usize, peak % map.columns as usize);
        let (y, x) = (middle(row, map.rows, options.height), middle(column, map.columns, options.width));
        masses(seed, view, options)[0].covers(y, x)
    });
    (answer.scores["malignant"] >= DETECTED, inside)
}

#[test]
fn the_peak_of_a_map_lies_in_the_detected_mass_as_often_as_the_card_says() {
    let classifier = Classifier::load(&package(), 1).unwrap();
    for crops in CROPS {
        let seeds = FIRST_SEED_OF_MAPS..FIRST_SEED_OF_MAPS + 4 * PERSONS;
        let peaks: Vec<_> = seeds.into_par_iter().map(|seed| peak_in_mass(&classifier, seed, crops)).collect();
        let detected = peaks.iter().filter(|(detected, _)| *detected).count();
        let inside = peaks.iter().filter(|peak| **peak == (true, true)).count();
        println!("{crops} crops: the peak lies in {inside} of {detected} detected masses, of {} drawn", peaks.len());
        assert!(detected as f64 >= MASSES_DETECTED * peaks.len() as f64, "{crops} crops: {detected} detected");
        assert!(inside as f64 >= PEAKS_INSIDE * detected as f64, "{crops} crops: {inside} of {detected}");
    }
}

#[test]
fn it_is_small_and_says_what_it_is_not() {
    let package = package();
    assert!(package.files().map(|(_, bytes)| bytes.len()).sum::<usize>() < MOST_BYTES);
    let intended_use = &package.manifest().intended_use;
    for words in ["synthetic", "Not for patients"] {
        assert!(intended_use.contains(words), "{words} in {intended_use}");
    }
    Classifier::load(&package, 2).unwrap().check_known_answers().unwrap();
}
