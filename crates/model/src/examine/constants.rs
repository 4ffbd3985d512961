//! What tract would compute of constants when it reads a network: before anything of the network's cost is known.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb::{GraphProto, NodeProto};

use crate::{Error, limits, reader::Reader};

/// Operators that can make many numbers of few.
const GROWING: [&str; 16] = [
    "AveragePool",
    "BlackmanWindow",
    "ConstantLike",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Expand",
    "HammingWindow",
    "HannWindow",
    "MaxPool",
    "MelWeightMatrix",
    "OneHot",
    "Pad",
    "Range",
    "Resize",
    "Tile",
];

/// Operators that say something of a value's shape, which is known before the network runs.
const OF_SHAPES: [&str; 2] = ["Shape", "Size"];

/// The operators, each after those that make what it reads. ONNX has each value made once, and none of itself.
pub(super) fn in_order<'a>(network: &str, graph: &'a GraphProto) -> Result<Vec<&'a NodeProto>, Error> {
    let refused = |reason: String| Error::NotOnnx { network: network.to_owned(), reason };
    let mut makers: BTreeMap<&str, Option<usize>> = BTreeMap::new();
    let constants = graph.initializer.iter().map(|tensor| (&tensor.name, None));
    let nodes = graph.node.iter().enumerate();
    let made = nodes.clone().flat_map(|(at, node)| node.output.iter().map(move |output| (output, Some(at))));
    for (value, maker) in constants.chain(made.filter(|(value, _)| !value.is_empty())) {
        if makers.insert(value, maker).is_some() {
            return Err(refused(format!("the value {value:?} is made twice")));
        }
    }
    let (mut waits, mut readers) = (vec![0_usize; graph.node.len()], vec![Vec::new(); graph.node.len()]);
    for (at, node) in nodes {
        for maker in node.input.iter().filter_map(|input| *makers.get(input.as_str())?) {
            waits[at] += 1;
            readers[maker].push(at);
        }
    }
    let mut ready: Vec<usize> = (0..waits.len()).filter(|at| waits[*at] == 0).collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(at) = ready.pop() {
        order.push(&graph.node[at]);
        for reader in std::mem::take(&mut readers[at]) {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(reader);
            }
        }
    }
    if order.len() == waits.len() { Ok(order) } else { Err(refused("its operators wait for one another".to_owned())) }
}

/// Refuses operators that make many numbers from constants alone.
pub(super) fn check(network: &str, graph: &GraphProto, order: &[&NodeProto]) -> Result<(), Error> {
    let reader = Reader::of(graph);
    let given = graph.input.iter().map(|input| input.name.as_str());
    let mut fed: BTreeSet<&str> = given.filter(|name| !reader.is_constant(name)).collect();
    for node in order {
        let operator = node.op_type.as_str();
        if node.input.iter().any(|input| fed.contains(input.as_str())) && !OF_SHAPES.contains(&operator) {
            fed.extend(node.output.iter().map(String::as_str).filter(|output| !output.is_empty()));
        } else if GROWING.contains(&operator) && !is_small(&reader, node) {
            let (network, operator, node) = (network.to_owned(), operator.to_owned(), node.name.clone());
            return Err(Error::ManyConstants { network, operator, node, limit: limits::MAX_CONSTANT_NUMBERS });
        }
    }
    Ok(())
}

/// Whether an operator's sizes stand in the file, and it makes few numbers.
fn is_small(reader: &Reader<'_>, node: &NodeProto) -> bool {
    let input = |at: usize| node.input.get(at).map(String::as_str);
    let (from, sizes) = match node.op_type.as_str() {
        "ConstantOfShape" => (Some(1), input(0)),
        "Expand" | "Tile" => (input(0).and_then(|data| reader.count(data)), input(1)),
        _ => return false,
    };
    let few = sizes.filter(|sizes| reader.count(sizes).is_some_and(|count| count <= limits::MAX_DIMENSIONS));
    let sizes = few.and_then(|sizes| reader.integers(sizes));
    let product = from.zip(sizes).and_then(|(from, sizes)| {
        sizes.into_iter().try_fold(from, |product, size| product.checked_mul(usize::try_from(size).ok()?.max(1)))
    });
    product.is_some_and(|product| product <= limits::MAX_CONSTANT_NUMBERS)
}
