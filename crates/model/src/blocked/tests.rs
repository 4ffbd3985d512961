//! The same networks, computed by tract alone and with what is replaced.

use cloister_conv::KernelSet;
use cloister_imaging::View;
use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::tract_core::ops::cnn::{Conv, MaxPool};

use super::*;
use crate::checkpoint::{Checkpoint, Tensor as Weights};
use crate::onnx::{Attribute, Graph};
use crate::{architecture, random_checkpoint};

const WINDOW: (usize, usize) = (186, 150);

/// How far from tract's a number may be, as a part of the largest of its picture.
const ROUNDING: f32 = 3e-6;
const ROUNDING_IN_TILES: f32 = 3e-5;

fn typed(bytes: &[u8]) -> TypedModel {
    onnx().model_for_proto_model(&ModelProto::decode(bytes).unwrap()).unwrap().into_typed().unwrap()
}

fn network(checkpoint: &Checkpoint) -> TypedModel {
    typed(&architecture::network(checkpoint, View::LCc, WINDOW).unwrap())
}

fn run(model: TypedModel, input: &Tensor) -> Vec<Vec<f32>> {
    let plan = model.into_decluttered().unwrap().into_optimized().unwrap().into_runnable().unwrap();
    let outputs = plan.run(tvec!(input.clone().into_tvalue())).unwrap();
    outputs.iter().map(|output| output.to_plain_array_view::<f32>().unwrap().iter().copied().collect()).collect()
}

/// Noise, a bright part and a black one.
fn picture() -> Tensor {
    let mut state = 7u64;
    let picture = tract_ndarray::Array4::from_shape_fn((1, 1, WINDOW.0, WINDOW.1), |(_, _, y, x)| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (state >> 40) as f32 / (1u64 << 24) as f32;
        if x > 100 { -0.7 } else { noise + if (40..60).contains(&y) { 3.0 } else { 0.0 } }
    });
    picture.into()
}

fn replaced(model: &TypedModel, kernels: KernelSet, winograd: bool) -> TypedModel {
    replace(model.clone(), Options { kernels, winograd }, &mut Store::default()).unwrap()
}

fn count<O: Op>(model: &TypedModel) -> usize {
    model.nodes.iter().filter(|node| node.op_is::<O>()).count()
}

/// Compares all outputs, for all kernels.
fn compare(model: &TypedModel) {
    let input = picture();
    let expected = run(model.clone(), &input);
    for kernels in KernelSet::available() {
        for (winograd, rounding) in [(false, ROUNDING), (true, ROUNDING_IN_TILES)] {
            let given = run(replaced(model, kernels, winograd), &input);
            for (stage, (given, expected)) in given.iter().zip(&expected).enumerate() {
                let most = expected.iter().fold(0.0f32, |most, number| most.max(number.abs()));
                let apart = given.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
                assert!(apart <= rounding * most, "{kernels} {winograd} output {stage}: {apart} of {most}");
            }
            assert_eq!(given.len(), expected.len());
        }
    }
}

#[test]
fn a_screening_network_is_replaced_as_a_whole_and_its_blocks_results_are_tracts() {
    let mut model = network(&random_checkpoint(3, 16));
    let whole = replaced(&model, KernelSet::best(), true);
    assert_eq!((count::<Conv>(&whole), count::<MaxPool>(&whole), count::<Blocked>(&whole)), (0, 0, 1));
    compare(&model);
    let sums: Vec<OutletId> = model
        .nodes
        .iter()
        .filter(|node| node.name.contains("layer_list") && node.name.ends_with(".sum"))
        .map(|node| node.id.into())
        .collect();
    assert_eq!(sums.len(), 10);
    model.select_output_outlets(&sums).unwrap();
    compare(&model);
}

#[test]
fn narrow_networks_have_blocks_that_are_not_full() {
    for width in [1, 3] {
        compare(&network(&random_checkpoint(5, width)));
    }
}

/// Weights that are harder on rounding than drawn ones, changed in place: channels of very different sizes, some dead, some so small that
/// they are not normal numbers.
fn harder(checkpoint: &Checkpoint, names: &[String]) -> Checkpoint {
    let tensors = names.iter().map(|name| {
        let Weights { shape, mut values } = checkpoint.tensor(name).unwrap();
        let filters = shape[0];
        let each = values.len() / filters;
        for (filter, values) in values.chunks_exact_mut(each).enumerate() {
            let factor = match filter % 7 {
                0 if shape.len() == 4 => 0.0,
                1 if shape.len() == 4 => 1e-41,
                2 => 30.0,
                3 => 1e-3,
                _ => 1.0,
            };
            if name.ends_with("conv1.weight") {
                values.iter_mut().for_each(|value| *value *= factor);
            }
        }
        (name.clone(), Weights { shape, values })
    });
    Checkpoint::from_tensors(tensors)
}

#[test]
fn channels_of_all_sizes_dead_and_denormal_ones_are_computed() {
    let checkpoint = random_checkpoint(11, 8);
    let names: Vec<String> = checkpoint.names().map(ToOwned::to_owned).collect();
    compare(&network(&harder(&checkpoint, &names)));
}

/// Two convolutions with something between them that is not known here, and a way past it.
fn interrupted(middle: &str) -> TypedModel {
    let mut graph = Graph::default();
    let first = graph.constant("first.weight", &[5, 1, 3, 3], &[0.25; 45]);
    let second = graph.constant("second.weight", &[5, 5, 1, 1], &[-0.5; 25]);
    let pads = |pad| vec![("pads", Attribute::Ints(vec![pad; 4]))];
    let first = graph.node("Conv", "first", &["image", &first], pads(1));
    let value = graph.node(middle, "middle", &[&first], vec![]);
    let value = graph.node("Conv", "second", &[&value, &second], pads(0));
    let value = graph.node("Add", "past", &[&value, &first], vec![]);
    let value = graph.node("Relu", "relu", &[&value], vec![]);
    typed(&graph.finish("test", ("image", &[1, 1, WINDOW.0, WINDOW.1]), (&value, &[1, 5, WINDOW.0, WINDOW.1])))
}

#[test]
fn what_is_not_known_is_left_to_tract() {
    let model = interrupted("Sigmoid");
    let parts = replaced(&model, KernelSet::best(), true);
    assert_eq!((count::<Conv>(&parts), count::<Blocked>(&parts)), (0, 2));
    compare(&model);
    assert_eq!(count::<Blocked>(&replaced(&interrupted("Relu"), KernelSet::best(), true)), 1);
}

#[test]
fn pictures_of_a_batch_are_computed_one_by_one() {
    let mut graph = Graph::default();
    let weight = graph.constant("weight", &[20, 1, 7, 7], &(0..980).map(|n| (n % 13) as f32 - 6.0).collect::<Vec<_>>());
    let pads = vec![("pads", Attribute::Ints(vec![3; 4])), ("strides", Attribute::Ints(vec![2; 2]))];
    let value = graph.node("Conv", "convolution", &["image", &weight], pads);
    let pool = vec![("kernel_shape", Attribute::Ints(vec![3; 2])), ("pads", Attribute::Ints(vec![1; 4]))];
    let value = graph.node("MaxPool", "pool", &[&value], pool);
    let model = typed(&graph.finish("test", ("image", &[6, 1, 31, 25]), (&value, &[6, 20, 14, 11])));
    let numbers: Vec<f32> = picture().try_as_plain_ram().unwrap().as_slice::<f32>().unwrap()[..6 * 31 * 25].to_vec();
    let input: Tensor = tract_ndarray::Array4::from_shape_vec((6, 1, 31, 25), numbers).unwrap().into();
    let parts = replaced(&model, KernelSet::best(), true);
    assert_eq!(count::<Blocked>(&parts), 1);
    let (given, expected) = (run(parts, &input), run(model, &input));
    for (given, expected) in given[0].iter().zip(&expected[0]) {
        assert!((given - expected).abs() <= 1e-4, "{given} {expected}");
    }
}

#[test]
fn weights_of_what_was_replaced_are_not_kept_twice() {
    let model = network(&random_checkpoint(3, 4));
    let kept = |model: &TypedModel| -> usize {
        let constants =
            model.nodes.iter().flat_map(|node| &node.outputs).filter_map(|output| output.fact.konst.clone());
        constants.map(|constant| constant.len()).sum()
    };
    let (before, after) = (kept(&model), kept(&replaced(&model, KernelSet::best(), true)));
    assert!(after < before / 10, "{after} of {before} numbers");
}
