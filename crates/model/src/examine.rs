//! What is asked of a network's file before tract makes anything of it, and of its cost before anything is computed.

mod constants;

use std::collections::BTreeSet;

use prost::Message;
use tract_onnx::{
    pb::{GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto::DataLocation},
    prelude::*,
    tract_core::internal::*,
};

use crate::{Error, limits};

/// Operators that draw numbers: the same input must give the same scores.
const DRAWING: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// The names of ONNX's own set of operators.
const STANDARD_DOMAINS: [&str; 2] = ["", "ai.onnx"];

/// Reads a network's file. A package is all there is: numbers in other files would be read from the machine's disk.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<ModelProto, Error> {
    let not_onnx = |reason: &str| Error::NotOnnx { network: name.to_owned(), reason: reason.to_owned() };
    let proto = ModelProto::decode(bytes).map_err(|error| not_onnx(&error.to_string()))?;
    let graph = proto.graph.as_ref().filter(|graph| !graph.node.is_empty());
    let graph = graph.ok_or_else(|| not_onnx("it has no graph with operators in it"))?;
    bounded(name, "operators", graph.node.len() as u64, limits::MAX_OPERATORS as u64)?;
    graph.node.iter().try_for_each(|node| check_operator(name, node))?;
    check_tensors(name, graph)?;
    check_wiring(name, graph)?;
    constants::check(name, graph, &constants::in_order(name, graph)?)?;
    Ok(proto)
}

fn check_operator(network: &str, node: &NodeProto) -> Result<(), Error> {
    let standard = STANDARD_DOMAINS.contains(&node.domain.as_str());
    // An operator with a graph in it chooses or repeats: neither its cost nor its numbers are known before it runs.
    let nested = node.attribute.iter().any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty());
    let known = onnx().op_register.0.contains_key(&node.op_type);
    if standard && known && !nested && !DRAWING.contains(&node.op_type.as_str()) {
        return Ok(());
    }
    let operator = if standard { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) };
    Err(Error::UnsupportedOperator { network: network.to_owned(), operator, node: node.name.clone() })
}

fn check_tensors(network: &str, graph: &GraphProto) -> Result<(), Error> {
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let sparse = graph.sparse_initializer.iter().flat_map(|tensor| tensor.values.iter().chain(&tensor.indices));
    let tensors = graph.initializer.iter().chain(sparse);
    let mut tensors = tensors.chain(attributes.flat_map(|attribute| attribute.t.iter().chain(&attribute.tensors)));
    let outside = i32::from(DataLocation::External);
    let elsewhere = |tensor: &&TensorProto| tensor.data_location == Some(outside) || !tensor.external_data.is_empty();
    match tensors.find(elsewhere) {
        Some(tensor) => Err(Error::NumbersElsewhere { network: network.to_owned(), tensor: tensor.name.clone() }),
        None => Ok(()),
    }
}

/// tract expects that each value that is read is made somewhere, and that operators have inputs.
fn check_wiring(network: &str, graph: &GraphProto) -> Result<(), Error> {
    let refused = |reason: String| Err(Error::NotOnnx { network: network.to_owned(), reason });
    let made = graph.node.iter().flat_map(|node| &node.output);
    let given = graph.input.iter().map(|input| &input.name);
    let constants = graph.initializer.iter().map(|tensor| &tensor.name);
    let known: BTreeSet<&String> = made.chain(given).chain(constants).collect();
    for node in &graph.node {
        if node.op_type != "Constant" && node.input.iter().all(String::is_empty) {
            return refused(format!("the operator {} (node {:?}) has no input", node.op_type, node.name));
        }
    }
    let read = graph.node.iter().flat_map(|node| &node.input).filter(|name| !name.is_empty());
    match read.chain(graph.output.iter().map(|output| &output.name)).find(|name| !known.contains(name)) {
        Some(name) => refused(format!("nothing in it makes the value {name:?}")),
        None => Ok(()),
    }
}

/// Refuses a network that takes more than an enclave should spend on one input. Its shapes are known by now.
pub(crate) fn check_cost(network: &str, model: &TypedModel) -> Result<(), Error> {
    let (multiplications, bytes) = cost(model).map_err(|error| Error::Network {
        network: network.to_owned(),
        action: "measured",
        reason: format!("a size in it is not known before it runs: {error:#}"),
    })?;
    bounded(network, "multiplications", multiplications, limits::MAX_MULTIPLICATIONS)?;
    bounded(network, "bytes at a time", bytes, limits::MAX_BYTES_AT_A_TIME)
}

/// Multiplications, and the most bytes of results that are needed at a time.
fn cost(model: &TypedModel) -> TractResult<(u64, u64)> {
    let order = model.eval_order()?;
    let mut multiplications = 0_u64;
    for node in &order {
        let inputs = model.node_input_facts(*node)?;
        for (cost, count) in model.node(*node).op.cost(&inputs)? {
            if cost.is_compute() {
                multiplications = multiplications.saturating_add(count.to_usize()? as u64);
            }
        }
    }
    let mut most = 0;
    for (_, bytes) in model.eval_tmp_memory_usage(&order, |_| true)? {
        most = most.max(bytes.to_usize()? as u64);
    }
    Ok((multiplications, most))
}

fn bounded(network: &str, what: &'static str, needed: u64, limit: u64) -> Result<(), Error> {
    if needed <= limit {
        return Ok(());
    }
    Err(Error::NetworkTooLarge { network: network.to_owned(), what, needed, limit })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NETWORKS: [&[u8]; 2] =
        [include_bytes!("../tests/data/lesions.onnx"), include_bytes!("../tests/data/density.onnx")];

    #[test]
    fn networks_of_other_programs_making_are_read() {
        assert!(NETWORKS.iter().all(|network| read("n.onnx", network).is_ok()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_examination_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = read("n.onnx", &bytes);
        }

        #[test]
        fn no_changes_to_a_network_make_the_examination_panic(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
            for whole in NETWORKS {
                let mut bytes = whole.to_vec();
                for (at, value) in &changes {
                    let at = at % bytes.len();
                    bytes[at] = *value;
                }
                let _ = read("n.onnx", &bytes);
            }
        }
    }
}
