use std::collections::BTreeMap;

use cloister_conv::{KernelSet, Options, Store};
use cloister_imaging::{View, synthetic};
use ndarray::Array2;

use super::*;
use crate::network::{Buffers, Network};
use crate::onnx::{
    Attribute::{self, Float, Int, Ints},
    Graph,
};
use crate::{Classifier, Error, FORMAT, Manifest, Numbers, Output, Package, Preprocessing, Resize};

const WINDOW: (usize, usize) = (47, 38);
const CHANNELS: usize = 5;
const HIDDEN: usize = 7;

/// Numbers between -1 and 1.
fn drawn(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| draw()).collect()
}

/// A trunk of two convolutions whose channels do not fill a block. Gives the name of its last picture.
fn trunk(graph: &mut Graph) -> String {
    let first = graph.constant("first.weight", &[3, 1, 5, 5], &drawn(1, 75));
    let second = graph.constant("second.weight", &[CHANNELS, 3, 3, 3], &drawn(2, 27 * CHANNELS));
    let strides = || ("strides", Ints(vec![2; 2]));
    let value = graph.node("Conv", "first", &["image", &first], vec![strides()]);
    let value = graph.node("Relu", "first.relu", &[&value], vec![]);
    let value = graph.node("Conv", "second", &[&value, &second], vec![strides(), ("pads", Ints(vec![1; 4]))]);
    graph.node("Relu", "picture", &[&value], vec![])
}

/// Two linear layers after a mean, as the published network has them, with this last step.
fn layers(graph: &mut Graph, outputs: usize) -> String {
    let first = graph.constant("one.weight", &[HIDDEN, CHANNELS], &drawn(3, HIDDEN * CHANNELS));
    let first_bias = graph.constant("one.bias", &[HIDDEN], &drawn(4, HIDDEN));
    let second = graph.constant("two.weight", &[outputs, HIDDEN], &drawn(5, outputs * HIDDEN));
    let second_bias = graph.constant("two.bias", &[outputs], &drawn(6, outputs));
    let value = graph.node("GlobalAveragePool", "mean", &["picture"], vec![]);
    let value = graph.node("Flatten", "features", &[&value], vec![("axis", Int(1))]);
    let value = graph.node("Gemm", "one", &[&value, &first, &first_bias], vec![("transB", Int(1))]);
    let value = graph.node("Relu", "one.relu", &[&value], vec![]);
    graph.node("Gemm", "two", &[&value, &second, &second_bias], vec![("transB", Int(1))])
}

fn finish(graph: Graph, output: &str, shape: &[usize]) -> Vec<u8> {
    graph.finish("test", ("image", &[1, 1, WINDOW.0, WINDOW.1]), (output, shape))
}

/// The test's network with each kind of output, for two labels.
fn network(output: Output) -> Vec<u8> {
    let mut graph = Graph::default();
    trunk(&mut graph);
    let shape = output.shape(2);
    let value = layers(&mut graph, shape.iter().product());
    let value = match output {
        Output::LogSoftmaxPairs => {
            let pairs = graph.integers("pairs.shape", &[1, 2, 2]);
            let value = graph.node("Reshape", "pairs", &[&value, &pairs], vec![]);
            graph.node("LogSoftmax", "log", &[&value], vec![("axis", Int(2))])
        }
        Output::Probabilities => graph.node("Softmax", "shares", &[&value], vec![("axis", Int(-1))]),
        Output::LogProbabilities => graph.node("LogSoftmax", "logs", &[&value], vec![("axis", Int(-1))]),
        Output::Sigmoid | Output::Softmax => value,
    };
    finish(graph, &value, &shape)
}

/// A label's score of a mean, as it is written down.
fn score(output: Output, mean: &[f64], label: usize) -> f64 {
    let linear = |from: &[f64], weights: Vec<f32>, biases: Vec<f32>| -> Vec<f64> {
        let row = |(row, bias): (&[f32], &f32)| {
            f64::from(*bias) + row.iter().zip(from).map(|(weight, value)| f64::from(*weight) * value).sum::<f64>()
        };
        weights.chunks(from.len()).zip(&biases).map(row).collect()
    };
    let outputs = output.shape(2).iter().product();
    let hidden = linear(mean, drawn(3, HIDDEN * CHANNELS), drawn(4, HIDDEN));
    let hidden: Vec<f64> = hidden.into_iter().map(|value| if value > 0.0 { value } else { 0.0 }).collect();
    let last = linear(&hidden, drawn(5, outputs * HIDDEN), drawn(6, outputs));
    let share = |values: &[f64], at: usize| values[at].exp() / values.iter().map(|value| value.exp()).sum::<f64>();
    match output {
        Output::LogSoftmaxPairs => share(&last[2 * label..2 * label + 2], 1),
        Output::Sigmoid => 1.0 / (1.0 + (-last[label]).exp()),
        Output::Softmax | Output::Probabilities | Output::LogProbabilities => share(&last, label),
    }
}

/// The slope of a score's log-odds along each number of a mean, by central differences.
fn slopes(output: Output, mean: &[f64], label: usize) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let slope = |at: usize| {
        let moved = |by: f64| {
            let mut mean = mean.to_vec();
            mean[at] += by;
            let score = score(output, &mean, label);
            (score / (1.0 - score)).ln()
        };
        (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
    };
    (0..mean.len()).map(slope).collect()
}

/// A picture's numbers, plane after plane, in double precision: the trunk as it is written down.
fn picture(image: &[f32]) -> (usize, usize, Vec<f64>) {
    let convolve = |(planes, height, width): (&[f64], usize, usize),
                    weights: Vec<f32>,
                    channels: usize,
                    size: usize,
                    pad: usize| {
        let inputs = planes.len() / (height * width);
        let (rows, columns) = ((height + 2 * pad - size) / 2 + 1, (width + 2 * pad - size) / 2 + 1);
        let mut out = vec![0.0; channels * rows * columns];
        for (at, value) in out.iter_mut().enumerate() {
            let (channel, y, x) = (at / (rows * columns), at / columns % rows, at % columns);
            for input in 0..inputs {
                for (dy, dx) in (0..size).flat_map(|dy| (0..size).map(move |dx| (dy, dx))) {
                    let (y, x) = ((2 * y + dy).wrapping_sub(pad), (2 * x + dx).wrapping_sub(pad));
                    if y < height && x < width {
                        let weight = weights[((channel * inputs + input) * size + dy) * size + dx];
                        *value += f64::from(weight) * planes[(input * height + y) * width + x];
                    }
                }
            }
            *value = value.max(0.0);
        }
        (out, rows, columns)
    };
    let image: Vec<f64> = image.iter().copied().map(f64::from).collect();
    let (first, rows, columns) = convolve((&image, WINDOW.0, WINDOW.1), drawn(1, 75), 3, 5, 0);
    let (second, rows, columns) = convolve((&first, rows, columns), drawn(2, 27 * CHANNELS), CHANNELS, 3, 1);
    (rows, columns, second)
}

fn manifest(output: Output, preprocessing: Preprocessing, window: (usize, usize), views: &[View]) -> Manifest {
    let network = ViewNetwork::new("n.onnx".to_owned(), window, output);
    Manifest {
        format: FORMAT,
        name: "test".to_owned(),
        version: 1,
        intended_use: "tests".to_owned(),
        labels: vec!["first".to_owned(), "second".to_owned()],
        preprocessing,
        views: views.iter().map(|view| (*view, network.clone())).collect(),
        pairs: BTreeMap::new(),
        winograd: true,
        known_answers: vec![],
        known_exams: vec![],
    }
}

fn package(output: Output, bytes: Vec<u8>) -> Package {
    let resize = Preprocessing::Resize1(Resize { mean: Numbers::All(0.0), deviation: Numbers::All(1.0) });
    Package::new(&manifest(output, resize, WINDOW, &[View::LCc]), [("n.onnx".to_owned(), bytes)].into()).unwrap()
}

fn loaded(output: Output, bytes: Vec<u8>, options: Options) -> Network {
    let package = package(output, bytes);
    Network::load(&package, &package.manifest().views[&View::LCc], 1, options, &mut Store::default()).unwrap()
}

fn labels() -> Vec<String> {
    ["first", "second"].map(str::to_owned).to_vec()
}

fn run(network: &Network, threads: usize, map: Option<usize>, image: &[f32]) -> crate::network::Run {
    let fill = |buffer: &mut [f32]| {
        buffer.copy_from_slice(image);
        Ok(())
    };
    network.run(&Buffers::default(), threads, (&labels(), map), fill).unwrap()
}

const OUTPUTS: [Output; 5] =
    [Output::LogSoftmaxPairs, Output::Sigmoid, Output::Softmax, Output::Probabilities, Output::LogProbabilities];

/// What a heat must be: the positive part of the channels' sum, each times the slope of the log-odds along its mean.
fn expected(output: Output, image: &[f32], label: usize) -> (usize, usize, Vec<f64>) {
    let (rows, columns, planes) = picture(image);
    let cells = rows * columns;
    let mean: Vec<f64> = planes.chunks(cells).map(|plane| plane.iter().sum::<f64>() / cells as f64).collect();
    let slopes = slopes(output, &mean, label);
    let heat = |cell: usize| slopes.iter().enumerate().map(|(k, slope)| slope * planes[k * cells + cell]).sum::<f64>();
    (rows, columns, (0..cells).map(|cell| heat(cell).max(0.0)).collect())
}

#[test]
fn a_heat_is_the_gradient_that_differences_give_with_all_kernels() {
    let image = drawn(9, WINDOW.0 * WINDOW.1);
    let mut some = 0;
    for output in OUTPUTS {
        for label in [0, 1] {
            let (rows, columns, expected) = expected(output, &image, label);
            let most = expected.iter().copied().fold(0.0, f64::max);
            for kernels in KernelSet::available() {
                for winograd in [false, true] {
                    let network = loaded(output, network(output), Options { kernels, winograd });
                    let heat = run(&network, 1, Some(label), &image).heat.unwrap();
                    assert_eq!((heat.rows, heat.columns), (rows, columns));
                    for (given, expected) in heat.values.iter().zip(&expected) {
                        let apart = (given - expected).abs();
                        assert!(apart <= 1e-4 * most + 1e-9, "{output:?} {label} {kernels}: {given}, {expected}");
                    }
                }
            }
            some += usize::from(most > 0.0);
        }
    }
    assert!(some >= 6, "{some} heats are not 0 everywhere");
}

#[test]
fn a_map_moves_no_bit_of_the_scores_and_has_the_same_bits_on_any_number_of_threads() {
    let image = drawn(11, WINDOW.0 * WINDOW.1);
    for kernels in KernelSet::available() {
        let network =
            loaded(Output::LogSoftmaxPairs, network(Output::LogSoftmaxPairs), Options { kernels, winograd: true });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(7).build().unwrap();
        let first = run(&network, 1, Some(1), &image);
        for threads in [1, 2, 3, 7] {
            let (with, without) =
                pool.install(|| (run(&network, threads, Some(1), &image), run(&network, threads, None, &image)));
            assert_eq!((&with.scores, &with.heat), (&first.scores, &first.heat), "{kernels}, {threads} threads");
            assert_eq!((&without.scores, &without.heat), (&first.scores, &None), "{kernels}, {threads} threads");
        }
    }
}

#[test]
fn the_screening_network_has_maps_whose_scores_are_the_same_bits() {
    let package =
        crate::convert_checkpoint(&crate::random_checkpoint(5, 2), &crate::demo_options((160, 128), 1)).unwrap();
    let classifier = Classifier::load(&package, 3).unwrap();
    let single = Classifier::load(&package, 1).unwrap();
    let options = synthetic::Options { width: 700, height: 900, ..Default::default() };
    for view in View::ALL {
        let image = synthetic::generate(9, view, options);
        let with = |classifier: &Classifier| {
            classifier.prepare(&image, view, 4).unwrap().with_map("malignant").unwrap().score().unwrap()
        };
        let mut answer = with(&classifier);
        assert_eq!(answer, with(&single), "{view}");
        let map = answer.map.take().unwrap();
        assert_eq!((map.rows, map.columns, map.values.len()), (128, 100, 12_800));
        assert_eq!(map.values.iter().max(), Some(&255), "{view}");
        assert_eq!(answer, classifier.classify(&image, view, 4).unwrap(), "{view}");
    }
}

/// The same last layers as other programs write them.
fn written_otherwise() -> Vec<u8> {
    let mut graph = Graph::default();
    trunk(&mut graph);
    let turned = |numbers: Vec<f32>, rows: usize, columns: usize, by: f32| -> Vec<f32> {
        (0..columns * rows).map(|at| by * numbers[at % rows * columns + at / rows]).collect()
    };
    let first = turned(drawn(3, HIDDEN * CHANNELS), HIDDEN, CHANNELS, 1.0);
    let first = graph.constant("one.weight", &[CHANNELS, HIDDEN], &first);
    let first_bias = graph.constant("one.bias", &[1, HIDDEN], &drawn(4, HIDDEN));
    let second = graph.constant("two.weight", &[HIDDEN, 2], &turned(drawn(5, 2 * HIDDEN), 2, HIDDEN, 0.5));
    let halves: Vec<f32> = drawn(6, 2).into_iter().map(|bias| bias / 2.0).collect();
    let second_bias = graph.constant("two.bias", &[2], &halves);
    let value =
        graph.node("ReduceMean", "mean", &["picture"], vec![("axes", Ints(vec![-2, -1])), ("keepdims", Int(1))]);
    let flat = graph.integers("flat", &[1, -1]);
    let value = graph.node("Reshape", "features", &[&value, &flat], vec![]);
    let value = graph.node("MatMul", "one.product", &[&value, &first], vec![]);
    let value = graph.node("Add", "one", &[&first_bias, &value], vec![]);
    let value = graph.node("Relu", "one.relu", &[&value], vec![]);
    let twice: Vec<(&str, Attribute)> = vec![("alpha", Float(2.0)), ("beta", Float(2.0))];
    let value = graph.node("Gemm", "two", &[&value, &second, &second_bias], twice);
    let value = graph.node("Identity", "same", &[&value], vec![]);
    finish(graph, &value, &[1, 2])
}

#[test]
fn last_layers_that_are_written_otherwise_give_the_same_heat() {
    let image = drawn(12, WINDOW.0 * WINDOW.1);
    let heat = |bytes| run(&loaded(Output::Sigmoid, bytes, Options::default()), 1, Some(0), &image).heat.unwrap();
    let (one, other) = (heat(network(Output::Sigmoid)), heat(written_otherwise()));
    let most = one.values.iter().copied().fold(0.0, f64::max);
    assert!(most > 0.0);
    for (one, other) in one.values.iter().zip(&other.values) {
        assert!((one - other).abs() <= 1e-6 * most, "{one}, {other}");
    }
}

#[test]
fn a_score_that_a_network_makes_in_a_way_of_its_own_has_the_same_heat() {
    let image = drawn(13, WINDOW.0 * WINDOW.1);
    let mut graph = Graph::default();
    trunk(&mut graph);
    let value = layers(&mut graph, 2);
    let value = graph.node("Softmax", "shares", &[&value], vec![("axis", Int(1))]);
    let zeros = graph.constant("zeros", &[1], &[0.0]);
    let value = graph.node("Add", "same", &[&value, &zeros], vec![]);
    let bytes = [network(Output::Probabilities), finish(graph, &value, &[1, 2])];
    let heat = |bytes| run(&loaded(Output::Probabilities, bytes, Options::default()), 1, Some(1), &image).heat.unwrap();
    let [one, other] = bytes.map(heat);
    assert!(one.values.iter().any(|value| *value > 0.0));
    for (one, other) in one.values.iter().zip(&other.values) {
        assert!((one - other).abs() <= 1e-9 * one.abs(), "{one}, {other}");
    }
}

#[test]
fn a_score_that_is_almost_1_still_has_a_gradient() {
    let steep = |bias: f32| {
        let mut graph = Graph::default();
        let mean = graph.node("Relu", "picture", &["image"], vec![]);
        let mean = graph.node("GlobalAveragePool", "mean", &[&mean], vec![]);
        let mean = graph.node("Flatten", "features", &[&mean], vec![]);
        let weight = graph.constant("weight", &[4, 1], &[0.0, 1.0, 0.0, 1.0]);
        let bias = graph.constant("bias", &[4], &[0.0, bias, 0.0, bias]);
        let value = graph.node("Gemm", "sums", &[&mean, &weight, &bias], vec![("transB", Int(1))]);
        let pairs = graph.integers("pairs.shape", &[1, 2, 2]);
        let value = graph.node("Reshape", "pairs", &[&value, &pairs], vec![]);
        let value = graph.node("LogSoftmax", "log", &[&value], vec![("axis", Int(2))]);
        finish(graph, &value, &[1, 2, 2])
    };
    let network = loaded(Output::LogSoftmaxPairs, steep(60.0), Options::default());
    let heat = run(&network, 1, Some(1), &vec![1.0; WINDOW.0 * WINDOW.1]).heat.unwrap();
    // In single precision the score is 1. Its log-odds are 60 and the mean.
    assert_eq!((heat.score, heat.values[0]), (1.0, 1.0));
}

fn refused(bytes: Vec<u8>) -> &'static str {
    match loaded(Output::Sigmoid, bytes, Options::default()).check_map() {
        Err(Error::NoMap { network, reason }) if network == "n.onnx" => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn networks_that_are_built_otherwise_have_scores_and_no_maps() {
    let ending = |operator: &str, attributes: Vec<(&str, Attribute)>| {
        let mut graph = Graph::default();
        trunk(&mut graph);
        let value = layers(&mut graph, 2);
        let value = graph.node(operator, "ending", &[&value], attributes);
        finish(graph, &value, &[1, 2])
    };
    assert!(refused(ending("Tanh", vec![])).contains("not known here"));
    assert!(refused(ending("Softmax", vec![("axis", Int(0))])).contains("not surely"));
    let mut flat = Graph::default();
    let weight = flat.constant("weight", &[WINDOW.0 * WINDOW.1, 2], &vec![0.0; 2 * WINDOW.0 * WINDOW.1]);
    let value = flat.node("Flatten", "features", &["image"], vec![("axis", Int(1))]);
    let value = flat.node("MatMul", "sums", &[&value, &weight], vec![]);
    assert!(refused(finish(flat, &value, &[1, 2])).contains("not made of a mean"));
    let mut grouped = Graph::default();
    trunk(&mut grouped);
    let weight = grouped.constant("grouped.weight", &[CHANNELS, 1, 3, 3], &drawn(7, 9 * CHANNELS));
    let each = vec![("group", Int(CHANNELS as i64)), ("pads", Ints(vec![1; 4]))];
    let value = grouped.node("Conv", "grouped", &["picture", &weight], each);
    let value = grouped.node("GlobalAveragePool", "mean", &[&value], vec![]);
    let value = grouped.node("Flatten", "features", &[&value], vec![]);
    let weight = grouped.constant("weight", &[CHANNELS, 2], &drawn(8, 2 * CHANNELS));
    let value = grouped.node("MatMul", "sums", &[&value, &weight], vec![]);
    // A convolution that is tract's own gives out its picture as well.
    loaded(Output::Sigmoid, finish(grouped, &value, &[1, 2]), Options::default()).check_map().unwrap();
}

#[test]
fn a_map_for_a_label_or_of_a_network_that_has_none_is_refused_by_name() {
    let classifier = Classifier::load(&package(Output::Sigmoid, network(Output::Sigmoid)), 1).unwrap();
    classifier.check_map("second", &View::ALL).unwrap();
    assert!(matches!(classifier.check_map("third", &[]), Err(Error::MapLabel(labels)) if labels == "first, second"));
    let white = Array2::from_elem((12, 10), u16::MAX);
    let prepared = classifier.prepare(&white, View::LCc, 1).unwrap();
    assert!(matches!(prepared.with_map("third"), Err(Error::MapLabel(_))));
}

mod direct;
mod hostile;
mod places;
