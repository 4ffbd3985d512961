use std::{array, f64::consts::LN_2};

use cloister_imaging::{Noise, prepare, synthetic};
use prost::Message;
use tract_onnx::pb::{ModelProto, TensorShapeProto, tensor_shape_proto::dimension, type_proto};

use super::*;
use crate::{
    FORMAT, Generator, Manifest, Numbers, Output, Resize, SyntheticImage, ViewNetwork, demo_options,
    onnx::{Attribute::Int, Graph},
    random_checkpoint,
};

const WINDOW: (usize, usize) = (6, 4);

/// A network whose outputs are `weight * mean of the input + bias`, in this shape.
fn linear(window: (usize, usize), shape: &[usize], weight: f32, biases: &[f32]) -> Vec<u8> {
    let mut graph = Graph::default();
    let count = biases.len();
    let mean = graph.node("GlobalAveragePool", "mean", &["image"], vec![]);
    let mean = graph.node("Flatten", "features", &[&mean], vec![("axis", Int(1))]);
    let weight = graph.constant("weight", &[count, 1], &vec![weight; count]);
    let bias = graph.constant("bias", &[count], biases);
    let sums = graph.node("Gemm", "sums", &[&mean, &weight, &bias], vec![("transB", Int(1))]);
    let dimensions: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
    let dimensions = graph.integers("shape", &dimensions);
    let output = graph.node("Reshape", "output", &[&sums, &dimensions], vec![]);
    graph.finish("test", ("image", &[1, 1, window.0, window.1]), (&output, shape))
}

fn manifest(labels: &[&str], output: Output) -> Manifest {
    let network = ViewNetwork::new("n.onnx".to_owned(), WINDOW, output);
    Manifest {
        format: FORMAT,
        name: "test".to_owned(),
        version: 1,
        intended_use: "tests".to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        preprocessing: Preprocessing::Resize1(Resize { mean: Numbers::All(0.5), deviation: Numbers::All(0.25) }),
        views: [(View::LCc, network)].into(),
        pairs: BTreeMap::new(),
        winograd: true,
        known_answers: vec![],
        known_exams: vec![],
    }
}

fn package(manifest: &Manifest, network: Vec<u8>) -> Package {
    Package::new(manifest, [("n.onnx".to_owned(), network)].into()).unwrap()
}

fn load(output: Output, network: Vec<u8>) -> Result<Classifier, Error> {
    Classifier::load(&package(&manifest(&["first", "second"], output), network), 1)
}

/// The two scores of a white image, whose preprocessed pixels are all 2.
fn scores(output: Output, weight: f32, biases: &[f32]) -> Result<[f64; 2], Error> {
    let classifier = load(output, linear(WINDOW, &output.shape(2), weight, biases))?;
    let answer = classifier.classify(&white(), View::LCc, 10)?;
    assert_eq!((answer.window, answer.best_center, answer.crops), ([0, 12, 0, 10], [6, 5], 1));
    Ok(["first", "second"].map(|label| answer.scores[label]))
}

fn white() -> Array2<u16> {
    Array2::from_elem((12, 10), u16::MAX)
}

fn close(given: [f64; 2], expected: [f64; 2]) {
    let near = array::from_fn::<_, 2, _>(|at| (given[at] - expected[at]).abs() < 1e-6);
    assert_eq!(near, [true; 2], "{given:?}, expected {expected:?}");
}

#[test]
fn each_kind_of_output_is_read_as_it_says() {
    let logistic = |number: f64| 1.0 / (1.0 + (-number).exp());
    close(scores(Output::Sigmoid, 1.0, &[0.0, -2.0]).unwrap(), [logistic(2.0), 0.5]);
    close(scores(Output::Softmax, 1.0, &[0.0, 3_f32.ln()]).unwrap(), [0.25, 0.75]);
    close(scores(Output::Softmax, 0.0, &[1000.0, 0.0]).unwrap(), [1.0, 0.0]);
    close(scores(Output::LogProbabilities, 0.0, &[0.5_f32.ln(), 0.75_f32.ln()]).unwrap(), [0.5, 0.75]);
    close(scores(Output::Probabilities, 0.25, &[0.0, 0.25]).unwrap(), [0.5, 0.75]);
    let half = -LN_2 as f32;
    let (three_quarters, quarter) = (0.75_f32.ln(), 0.25_f32.ln());
    close(scores(Output::LogSoftmaxPairs, 0.0, &[half, half, three_quarters, quarter]).unwrap(), [0.5, 0.25]);
}

#[test]
fn scores_that_are_no_probabilities_are_refused() {
    for (output, biases) in [
        (Output::Probabilities, &[0.0, 1.5][..]),
        (Output::Probabilities, &[0.0, -0.1]),
        (Output::Probabilities, &[0.0, f32::NAN]),
        (Output::Sigmoid, &[0.0, f32::NAN]),
        (Output::LogSoftmaxPairs, &[-LN_2 as f32, -LN_2 as f32, 0.0, 0.0]),
        (Output::LogSoftmaxPairs, &[-LN_2 as f32, -LN_2 as f32, f32::NAN, 0.0]),
    ] {
        let refused = scores(output, 0.0, biases);
        assert!(matches!(&refused, Err(Error::NotAProbability { label, .. }) if label == "second"), "{refused:?}");
    }
    assert!(matches!(scores(Output::Softmax, 0.0, &[f32::NAN, 0.0]), Err(Error::NotAProbability { .. })));
}

#[test]
fn a_network_that_does_not_fit_its_manifest_is_refused() {
    let shape = |refused: Result<Classifier, Error>| match refused.err() {
        Some(Error::NetworkShape { what, actual, expected, .. }) => (what, actual, expected),
        other => panic!("{other:?}"),
    };
    let three = load(Output::Sigmoid, linear(WINDOW, &[1, 3], 1.0, &[0.0; 3]));
    assert!(matches!(three.err(), Some(Error::Outputs { outputs: 3, labels: 2, .. })));
    let pairs = load(Output::LogSoftmaxPairs, linear(WINDOW, &[1, 4], 1.0, &[0.0; 4]));
    assert_eq!(shape(pairs), ("an output", vec![1, 4], vec![1, 2, 2]));
    let larger = load(Output::Sigmoid, linear((7, 4), &[1, 2], 1.0, &[0.0; 2]));
    assert_eq!(shape(larger), ("an input", vec![1, 1, 7, 4], vec![1, 1, 6, 4]));
}

fn changed(change: impl FnOnce(&mut ModelProto)) -> Result<Classifier, Error> {
    let mut proto = ModelProto::decode(linear(WINDOW, &[1, 2], 1.0, &[0.0; 2]).as_slice()).unwrap();
    change(&mut proto);
    load(Output::Sigmoid, proto.encode_to_vec())
}

fn input_shape(proto: &mut ModelProto) -> &mut TensorShapeProto {
    let input = &mut proto.graph.as_mut().unwrap().input[0];
    let Some(type_proto::Value::TensorType(tensor)) = &mut input.r#type.as_mut().unwrap().value else { panic!() };
    tensor.shape.as_mut().unwrap()
}

#[test]
fn a_network_that_leaves_its_batch_and_size_open_is_fixed_to_the_window() {
    let open = changed(|proto| {
        for at in [0, 2, 3] {
            input_shape(proto).dim[at].value = Some(dimension::Value::DimParam(format!("d{at}")));
        }
        proto.graph.as_mut().unwrap().output[0].r#type = None;
    });
    assert_eq!(open.unwrap().classify(&white(), View::LCc, 1).unwrap().scores.len(), 2);
}

#[test]
fn networks_that_cannot_be_prepared_are_refused() {
    let reason = |refused: Result<Classifier, Error>| match refused.err() {
        Some(Error::Network { network, reason, .. }) if network == "n.onnx" => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason(changed(|proto| proto.graph.as_mut().unwrap().output.clear())).contains("0 outputs"));
    let wrong_axis = changed(|proto| proto.graph.as_mut().unwrap().initializer[0].dims = vec![1, 2]);
    assert!(!reason(wrong_axis).is_empty());
}

#[test]
fn what_cannot_be_classified_is_refused() {
    let classifier = load(Output::Sigmoid, linear(WINDOW, &[1, 2], 1.0, &[0.0; 2])).unwrap();
    assert!(matches!(classifier.classify(&white(), View::RCc, 1), Err(Error::ViewNotServed(View::RCc))));
    for crops in [0, 65, u32::MAX] {
        assert!(
            matches!(classifier.classify(&white(), View::LCc, crops), Err(Error::Crops { given, .. }) if given == crops)
        );
    }
    for shape in [(0, 0), (0, 5), (3, 3)] {
        let dark = classifier.classify(&Array2::zeros(shape), View::LCc, 1);
        assert!(matches!(dark, Err(Error::Image(cloister_imaging::Error::AllZero))));
    }
}

#[test]
fn known_answers_are_met_or_missed() {
    let image = SyntheticImage { generator: Generator::Synthetic1, seed: 3, height: 60, width: 50 };
    let known = |first: f64| KnownAnswer {
        view: View::LCc,
        image: image.clone(),
        crops: 1,
        tolerance: 1e-4,
        scores: [("first".to_owned(), first), ("second".to_owned(), 0.5)].into(),
    };
    let check = |first| {
        let manifest = Manifest {
            known_answers: vec![known(0.5), known(first)],
            ..manifest(&["first", "second"], Output::Sigmoid)
        };
        Classifier::load(&package(&manifest, linear(WINDOW, &[1, 2], 0.0, &[0.0; 2])), 1).unwrap().check_known_answers()
    };
    check(0.5).unwrap();
    check(0.50009).unwrap();
    match check(0.5002) {
        Err(Error::KnownAnswer { index: 1, view: View::LCc, label, difference, .. }) => {
            assert_eq!(label, "first");
            assert!((difference - 0.0002).abs() < 1e-9);
        }
        other => panic!("{other:?}"),
    }
}

/// The average by hand, from crops that are prepared and run one by one.
#[test]
fn a_request_is_the_mean_of_its_crops_whatever_the_threads() {
    let options = demo_options((160, 128), 1);
    let package = crate::convert_checkpoint(&random_checkpoint(5, 1), &options).unwrap();
    let image =
        synthetic::generate(9, View::RMlo, synthetic::Options { width: 700, height: 900, ..Default::default() });
    let classifier = Classifier::load(&package, 3).unwrap();
    let answer = classifier.classify(&image, View::RMlo, 4).unwrap();
    assert_eq!(answer, Classifier::load(&package, 1).unwrap().classify(&image, View::RMlo, 4).unwrap());

    let prepared = prepare(&image, View::RMlo, (160, 128)).unwrap();
    let network = &classifier.views[&View::RMlo];
    let labels = &package.manifest().labels;
    let run = |noise, count| -> Vec<_> {
        let plans = prepared.crops(count, noise);
        let run = |plan| {
            let fill = |buffer: &mut [f32]| prepared.render_into(plan, buffer).map_err(Error::from);
            network.run(&Buffers::default(), 1, (labels, None), fill).unwrap().scores
        };
        plans.iter().map(run).collect()
    };
    let mean = run(Noise::Default, 4).iter().map(|scores| scores[1]).sum::<f64>() / 4.0;
    assert_eq!(answer.scores["malignant"], mean);
    let single = classifier.classify(&image, View::RMlo, 1).unwrap();
    assert_eq!(single.scores["malignant"], run(Noise::None, 1)[0][1]);
    assert_ne!(single.scores, answer.scores);
    assert_eq!(answer.window[0], prepared.window.top);
}

#[test]
fn random_weights_convert_and_meet_their_own_known_answers() {
    let convert = |seed| crate::convert_checkpoint(&random_checkpoint(seed, 1), &demo_options((160, 128), 1)).unwrap();
    let package = convert(7);
    assert_eq!(package.manifest().known_answers.len(), 4);
    assert_eq!(package.manifest().name, "demo-random");
    Classifier::load(&package, 2).unwrap().check_known_answers().unwrap();
    assert_eq!(convert(7).digest(), package.digest());
    assert_ne!(convert(8).digest(), package.digest());
}

#[test]
fn a_scaled_image_takes_its_window_and_crops_take_nothing_more() {
    let scaled = load(Output::Sigmoid, linear(WINDOW, &[1, 2], 1.0, &[0.0, 0.0])).unwrap();
    assert_eq!(scaled.prepared_bytes(), 6 * 4 * 4);
    let package = crate::convert_checkpoint(&random_checkpoint(5, 2), &demo_options((160, 128), 1)).unwrap();
    assert_eq!(Classifier::load(&package, 1).unwrap().prepared_bytes(), 0);
}

#[test]
fn the_picture_that_maps_are_made_of_is_written_down_for_maps_alone() {
    let package = crate::convert_checkpoint(&random_checkpoint(5, 2), &demo_options((160, 128), 1)).unwrap();
    let classifier = Classifier::load(&package, 1).unwrap();
    let network = &classifier.views[&View::LCc];
    assert!(network.picture(true).iter().any(|number| *number != 0.0));
    assert!(network.picture(false).is_empty());
    let options = synthetic::Options { width: 700, height: 900, ..Default::default() };
    let image = synthetic::generate(9, View::LCc, options);
    let score = |map: bool| {
        let prepared = classifier.prepare(&image, View::LCc, 2).unwrap();
        let prepared = if map { prepared.with_map("malignant").unwrap() } else { prepared };
        prepared.score().unwrap()
    };
    assert_eq!(score(true).scores, score(false).scores);
    assert!(score(true).map.is_some());
}
