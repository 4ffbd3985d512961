use std::collections::BTreeMap;

use cloister_imaging::{Noise, prepare, synthetic};

use super::*;
use crate::{
    ConvertOptions, Manifest, Package,
    checkpoint::{Checkpoint, CheckpointError, Tensor},
    convert_checkpoint, demo_options,
    network::Buffers,
    random_checkpoint, random_exam_checkpoint,
};

const WINDOW: (usize, usize) = (160, 128);

/// By angle: left benign, right benign, left malignant, right malignant, as numpy computed them (tests/data/make_exam.py).
fn expected() -> BTreeMap<String, [f64; 4]> {
    serde_json::from_str(include_str!("../../tests/data/exam.json")).unwrap()
}

/// What that script gives a network of a breast.
fn pixel(side: usize, y: usize, x: usize) -> f32 {
    ((y * 31 + x * 17 + y * x * 7 + side * 101) % 257) as f32 / 128.0 - 1.0
}

#[test]
fn each_angles_network_gives_what_numpy_does() {
    let checkpoint = Checkpoint::from_bytes(include_bytes!("../../tests/data/exam.p").to_vec()).unwrap();
    let (height, width) = (96, 64);
    for winograd in [false, true] {
        let window = (height, width);
        let options = ConvertOptions {
            known_answers: false,
            winograd,
            cc_window: window,
            mlo_window: window,
            ..ConvertOptions::default()
        };
        let package = convert_checkpoint(&checkpoint, &options).unwrap();
        let classifier = Classifier::load(&package, 1).unwrap();
        for (angle, name) in [(Angle::Cc, "cc"), (Angle::Mlo, "mlo")] {
            let fill = |buffer: &mut [f32]| {
                let place = |at: usize| pixel(at / (height * width), at / width % height, at % width);
                buffer.iter_mut().enumerate().for_each(|(at, to)| *to = place(at));
                Ok(())
            };
            let network = &classifier.pairs[&angle];
            let scores =
                network.run(&Buffers::default(), 1, (&classifier.labels_of_pairs(), None), fill).unwrap().scores;
            for (score, expected) in scores.iter().zip(expected()[name]) {
                assert!((score - expected).abs() < 1e-5, "{name}: {scores:?}");
            }
        }
    }
}

fn package() -> Package {
    convert_checkpoint(&random_exam_checkpoint(5, 1), &demo_options(WINDOW, 1)).unwrap()
}

fn exam() -> BTreeMap<View, Array2<u16>> {
    let options = synthetic::Options { width: 700, height: 900, ..Default::default() };
    View::ALL.map(|view| (view, synthetic::generate(9, view, options))).into()
}

/// By hand: crops are prepared and paired one by one, and averaged.
#[test]
fn a_breast_has_the_mean_of_crops_and_angles_whatever_the_threads() {
    let (package, images) = (package(), exam());
    let classifier = Classifier::load(&package, 3).unwrap();
    let answer = classifier.classify_exam(&images, 4).unwrap();
    assert_eq!(answer, Classifier::load(&package, 1).unwrap().classify_exam(&images, 4).unwrap());
    let prepared: BTreeMap<View, _> =
        images.iter().map(|(view, image)| (*view, prepare(image, *view, WINDOW).unwrap())).collect();
    let labels = classifier.labels_of_pairs();
    let of_angle = |left: View, right: View| -> Vec<_> {
        let [lefts, rights] = [left, right].map(|view| prepared[&view].crops(4, Noise::Default));
        let run = |(first, second)| {
            let fill = |buffer: &mut [f32]| {
                let (one, other) = buffer.split_at_mut(WINDOW.0 * WINDOW.1);
                prepared[&left].render_into(first, one)?;
                Ok(prepared[&right].render_into(second, other)?)
            };
            classifier.pairs[&left.angle()].run(&Buffers::default(), 1, (&labels, None), fill).unwrap().scores
        };
        lefts.iter().zip(&rights).map(run).collect()
    };
    let angles = [of_angle(View::LCc, View::RCc), of_angle(View::LMlo, View::RMlo)];
    for (at, (side, label)) in [
        (Laterality::Left, "benign"),
        (Laterality::Right, "benign"),
        (Laterality::Left, "malignant"),
        (Laterality::Right, "malignant"),
    ]
    .into_iter()
    .enumerate()
    {
        let means = angles.each_ref().map(|crops| crops.iter().map(|scores| scores[at]).sum::<f64>() / 4.0);
        assert_eq!(answer.breasts[&side][label], means.iter().sum::<f64>() / 2.0, "{side:?} {label}");
    }
    for (place, view) in answer.views.iter().zip(View::ALL) {
        assert_eq!((place.view, place.crops, place.scores.len()), (view, 4, 0));
        assert_eq!(place.window[0], prepared[&view].window.top);
    }
    assert_ne!(answer.breasts, classifier.classify_exam(&images, 1).unwrap().breasts);
}

#[test]
fn a_change_of_one_breast_is_seen_in_the_others_scores() {
    let classifier = Classifier::load(&package(), 2).unwrap();
    let mut images = exam();
    let before = classifier.classify_exam(&images, 1).unwrap().breasts;
    let options = synthetic::Options { width: 700, height: 900, ..Default::default() };
    images.insert(View::RCc, synthetic::generate(10, View::RCc, options));
    let after = classifier.classify_exam(&images, 1).unwrap().breasts;
    assert_ne!(before[&Laterality::Left], after[&Laterality::Left]);
}

#[test]
fn models_of_exams_and_of_views_do_not_take_each_others_requests() {
    let (classifier, mut images) = (Classifier::load(&package(), 1).unwrap(), exam());
    assert!(classifier.needs_exam());
    assert!(matches!(classifier.classify(&images[&View::LCc], View::LCc, 1), Err(Error::NeedsExam)));
    let views = convert_checkpoint(&random_checkpoint(5, 1), &demo_options(WINDOW, 1)).unwrap();
    let views = Classifier::load(&views, 1).unwrap();
    assert!(!views.needs_exam());
    assert!(matches!(views.classify_exam(&images, 1), Err(Error::NeedsViews)));
    let prepared = |view: View| classifier.prepare_view(&images[&view], view, 1).unwrap();
    let swapped = classifier.score_pair(&prepared(View::RCc), &prepared(View::LCc));
    assert!(matches!(swapped, Err(Error::MissingView(View::LCc))));
    let mixed = classifier.score_pair(&prepared(View::LCc), &prepared(View::RMlo));
    assert!(matches!(mixed, Err(Error::MissingView(View::RCc))));
    images.remove(&View::RMlo);
    assert!(matches!(classifier.classify_exam(&images, 1), Err(Error::MissingView(View::RMlo))));
}

#[test]
fn a_known_exam_is_met_or_missed() {
    let package = package();
    let manifest = package.manifest();
    assert_eq!((manifest.known_exams.len(), manifest.known_answers.len()), (1, 0));
    Classifier::load(&package, 2).unwrap().check_known_answers().unwrap();
    let mut changed = manifest.clone();
    let score = changed.known_exams[0].breasts.get_mut(&Laterality::Right).unwrap().get_mut("malignant").unwrap();
    *score = (*score - 0.5).abs();
    let missed = Classifier::load(&package.with_manifest(&changed).unwrap(), 1).unwrap().check_known_answers();
    assert!(matches!(missed, Err(Error::KnownExam { index: 0, side: "right", .. })), "{missed:?}");
}

#[test]
fn a_manifest_names_both_angles_or_views_and_not_a_mixture() {
    let manifest = package().manifest().clone();
    assert_eq!(Manifest::from_toml(&manifest.to_toml().unwrap()).unwrap(), manifest);
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut changed = manifest.clone();
        change(&mut changed);
        match changed.to_toml() {
            Err(Error::ManifestValue { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|manifest| drop(manifest.pairs.remove(&Angle::Cc))), "pairs");
    let beside = |manifest: &mut Manifest| drop(manifest.views.insert(View::LCc, manifest.pairs[&Angle::Cc].clone()));
    assert_eq!(refused(&beside), "pairs");
    let classes = |manifest: &mut Manifest| manifest.pairs.get_mut(&Angle::Mlo).unwrap().classes = vec![0, 1];
    assert_eq!(refused(&classes), "pairs.MLO.classes");
    let one_sided = |manifest: &mut Manifest| drop(manifest.known_exams[0].breasts.remove(&Laterality::Left));
    assert_eq!(refused(&one_sided), "known_exams.breasts");
    let of_views = |manifest: &mut Manifest| {
        manifest.views.insert(View::LCc, manifest.pairs[&Angle::Cc].clone());
        manifest.pairs.clear();
    };
    assert_eq!(refused(&of_views), "known_exams");
}

/// What becomes of the exam-level checkpoint when its tensors are changed.
fn changed(change: impl FnOnce(&mut BTreeMap<String, Tensor>)) -> CheckpointError {
    let checkpoint = random_exam_checkpoint(5, 1);
    let tensor = |name: &str| (name.to_owned(), checkpoint.tensor(name).unwrap());
    let mut tensors = checkpoint.names().map(tensor).collect();
    change(&mut tensors);
    match convert_checkpoint(&Checkpoint::from_tensors(tensors), &demo_options(WINDOW, 1)).err() {
        Some(Error::Checkpoint(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_checkpoint_that_lacks_a_layer_has_another_shape_or_is_of_both_families_is_refused() {
    for name in ["fc1_mlo.weight", "output_layer_cc.fc_layer.bias", "four_view_resnet.mlo.final_bn.running_var"] {
        assert_eq!(changed(|tensors| drop(tensors.remove(name))), CheckpointError::MissingTensor(name.to_owned()));
    }
    let shape = |name: &str, shape: &[usize]| {
        let tensor = Tensor { shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] };
        match changed(|tensors| drop(tensors.insert(name.to_owned(), tensor))) {
            CheckpointError::Shape { name, found, .. } => (name, found),
            other => panic!("{other}"),
        }
    };
    // Sixteen features of each breast: a layer for one breast alone, and outputs of one alone.
    for (name, wrong) in [("fc1_cc.weight", [32, 16]), ("output_layer_mlo.fc_layer.weight", [8, 16])] {
        assert_eq!(shape(name, &wrong), (name.to_owned(), wrong.to_vec()));
    }
    let views = random_checkpoint(5, 1);
    let both = changed(|tensors| {
        tensors.insert("fc1_lcc.weight".to_owned(), views.tensor("fc1_lcc.weight").unwrap());
    });
    assert_eq!(both, CheckpointError::TwoFamilies);
}
