//! Networks whose scores are computed without a plan, as their heads were read.

use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};
use tract_onnx::prelude::{Framework, InferenceModelExt};

use super::*;
use crate::blocked;
use crate::direct::Direct;
use crate::onnx::OPERATOR_SET;

/// Whether a picture of so bright pixels gets no probabilities.
fn is_refused(network: &Network, brightness: f32) -> bool {
    let fill = |buffer: &mut [f32]| {
        buffer.fill(brightness);
        Ok(())
    };
    match network.run(&Buffers::default(), 1, (&labels(), None), fill) {
        Ok(_) => false,
        Err(Error::NotAProbability { .. }) => true,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn scores_without_a_plan_are_those_of_the_plan() {
    let image = drawn(9, WINDOW.0 * WINDOW.1);
    for output in OUTPUTS {
        let network = loaded(output, network(output), Options::default());
        assert!(network.is_direct(), "{output:?}");
        let direct = run(&network, 1, None, &image).scores;
        let planned = run(&network.with_plan(), 1, None, &image).scores;
        let apart = direct.iter().zip(&planned).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(direct.len() == 2 && planned.len() == 2 && apart < 1e-6, "{output:?}: {direct:?}, {planned:?}");
    }
}

/// Whether the head was not read, for the reason that a softmax's axis is not sure.
fn has_no_sure_axis(network: &Network) -> bool {
    let refused = network.check_map().err().map(|refused| refused.to_string());
    !network.is_direct() && refused.is_some_and(|refused| refused.contains("not surely one along the last axis"))
}

/// Before operator set 13, a softmax without an axis was one over all axes but the first.
#[test]
fn an_older_softmax_is_left_to_tract() {
    const BEFORE: i64 = 11;
    let mut proto = ModelProto::decode(&network(Output::LogSoftmaxPairs)[..]).unwrap();
    proto.opset_import[0].version = BEFORE;
    let graph = proto.graph.as_mut().unwrap();
    let last = graph.node.iter_mut().find(|node| node.op_type == "LogSoftmax").unwrap();
    last.attribute.clear();
    let network = loaded(Output::LogSoftmaxPairs, proto.encode_to_vec(), Options::default());
    assert!(has_no_sure_axis(&network));
    assert!(is_refused(&network, 0.5), "pairs do not sum to 1");
}

/// The last axis is of length 1 there, and the other one as long as there are channels.
#[test]
fn a_softmax_before_a_change_of_shape_is_left_to_tract() {
    let mut graph = Graph::default();
    trunk(&mut graph);
    let weights = graph.constant("weights", &[CHANNELS, 2], &drawn(3, 2 * CHANNELS));
    let value = graph.node("GlobalAveragePool", "mean", &["picture"], vec![]);
    let value = graph.node("Softmax", "shares", &[&value], vec![("axis", Int(-1))]);
    let value = graph.node("Flatten", "features", &[&value], vec![("axis", Int(1))]);
    let value = graph.node("Gemm", "scores", &[&value, &weights], vec![]);
    let bytes = finish(graph, &value, &[1, 2]);
    let network = loaded(Output::Sigmoid, bytes, Options::default());
    assert!(has_no_sure_axis(&network));
    let image = drawn(9, WINDOW.0 * WINDOW.1);
    let sum = |label: usize| {
        drawn(3, 2 * CHANNELS).iter().skip(label).step_by(2).map(|weight| f64::from(*weight)).sum::<f64>()
    };
    let scores = run(&network, 1, None, &image).scores;
    assert!((scores[0] - 1.0 / (1.0 + (-sum(0)).exp())).abs() < 1e-6, "{scores:?}, for shares of 1");
}

#[test]
fn a_head_that_tract_reads_otherwise_is_left_to_it() {
    for output in OUTPUTS {
        let proto = ModelProto::decode(&network(output)[..]).unwrap();
        let mut model = tract_onnx::onnx().model_for_proto_model(&proto).unwrap();
        let outputs = [model.output_outlets().unwrap()[0], model.find_outlet_label("picture").unwrap()];
        model.select_output_outlets(&outputs).unwrap();
        let typed = model.into_typed().unwrap();
        let typed = blocked::replace(typed, Options::default(), &mut Store::default()).unwrap();
        let typed = typed.into_decluttered().unwrap();
        let accepted = |proto: &ModelProto| {
            let graph = proto.graph.as_ref().unwrap();
            let name = &graph.output[0].name;
            let head = Head::find(&Reader::of(graph), (name, output), 2, OPERATOR_SET).unwrap();
            Direct::of(&typed, &Arc::new(head), output).is_some()
        };
        assert!(accepted(&proto), "{output:?}");
        let without_relu = changed(&proto, |graph| {
            let relu = graph.node.iter_mut().find(|node| node.name == "one.relu").unwrap();
            "Identity".clone_into(&mut relu.op_type);
        });
        let other_bias = changed(&proto, |graph| {
            let bias = graph.initializer.iter_mut().find(|constant| constant.name == "two.bias").unwrap();
            *bias = TensorProto { raw_data: vec![], float_data: vec![0.01; bias.dims[0] as usize], ..bias.clone() };
        });
        assert!(!accepted(&without_relu) && !accepted(&other_bias), "{output:?}");
    }
}

fn changed(proto: &ModelProto, change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut proto = proto.clone();
    change(proto.graph.as_mut().unwrap());
    proto
}

#[test]
fn what_is_no_number_is_no_score() {
    for output in OUTPUTS {
        let network = loaded(output, network(output), Options::default());
        assert!(network.is_direct() && !is_refused(&network, 0.5), "{output:?}");
        assert!(is_refused(&network, f32::NAN), "{output:?}");
    }
}
