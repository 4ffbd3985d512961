//! Networks whose scores are computed without a plan, as their heads were read.

use prost::Message;
use tract_onnx::pb::ModelProto;

use super::*;

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

/// Before operator set 13, a softmax without an axis was one over all axes but the first.
#[test]
fn a_head_that_tract_reads_otherwise_is_left_to_it() {
    const BEFORE: i64 = 11;
    let mut proto = ModelProto::decode(&network(Output::LogSoftmaxPairs)[..]).unwrap();
    proto.opset_import[0].version = BEFORE;
    let graph = proto.graph.as_mut().unwrap();
    let last = graph.node.iter_mut().find(|node| node.op_type == "LogSoftmax").unwrap();
    last.attribute.clear();
    let network = loaded(Output::LogSoftmaxPairs, proto.encode_to_vec(), Options::default());
    assert!(!network.is_direct());
    assert!(is_refused(&network, 0.5));
}

#[test]
fn what_is_no_number_is_no_score() {
    for output in OUTPUTS {
        let network = loaded(output, network(output), Options::default());
        assert!(network.is_direct() && !is_refused(&network, 0.5), "{output:?}");
        assert!(is_refused(&network, f32::NAN), "{output:?}");
    }
}
