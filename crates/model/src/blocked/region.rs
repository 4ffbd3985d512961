//! Which parts of a network can be replaced, and what they compute.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cloister_conv::{Graph, Id, Shape, Windows};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PoolSpec};
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};

/// A part of a network, to be replaced by one operator.
pub(super) struct Region {
    pub(super) name: String,
    pub(super) inputs: Vec<OutletId>,
    pub(super) outputs: Vec<OutletId>,
    pub(super) graph: Graph,
    pub(super) batch: usize,
}

/// What one of tract's nodes computes, in the words of [`Graph`]; where each input stands in the node's list.
enum Meaning {
    Convolution { channels: usize, windows: Windows, weights: Arc<Tensor>, bias: Option<Vec<f32>> },

    MaxPool(Windows),
    Scale { from: usize, factors: Vec<f32>, summands: Vec<f32> },
    Relu { from: usize },
    Add,
    Sum,
}

impl Meaning {
    fn inputs(&self) -> &[usize] {
        match self {
            Self::Scale { from: 1, .. } | Self::Relu { from: 1 } => &[1],
            Self::Add => &[0, 1],
            _ => &[0],
        }
    }
}

/// The parts of a network that can be replaced, one after the other.
pub(super) struct Regions {
    meanings: BTreeMap<usize, Meaning>,
    /// Each one's nodes, in their order, and how many pictures they are for.
    members: Vec<(Vec<usize>, usize)>,
}

impl Regions {
    /// Takes the next region off the list, as it is in the network now: what others were replaced by may be its inputs.
    pub(super) fn next(&mut self, model: &TypedModel) -> TractResult<Option<Region>> {
        while let Some((nodes, batch)) = self.members.pop() {
            if let Some(region) = region(model, &self.meanings, &nodes, batch)? {
                return Ok(Some(region));
            }
        }
        Ok(None)
    }
}

/// All regions with a convolution in them, none of which needs what another node makes of its results.
pub(super) fn regions(model: &TypedModel) -> TractResult<Regions> {
    let order = model.eval_order()?;
    let meanings: BTreeMap<usize, Meaning> =
        order.iter().filter_map(|node| Some((*node, meaning(model, *node)?))).collect();
    // A node's level is the number of times that its inputs came from a region's outside into a region. Nodes of a region are of one
    // level, so that no way leads from a region out and in again.
    let mut levels: BTreeMap<usize, usize> = BTreeMap::new();
    for node in &order {
        let level = |input: &OutletId| {
            let from = levels.get(&input.node).copied().unwrap_or(0);
            let leaves = match meanings.get(&input.node) {
                // A sum over a picture is given out.
                Some(Meaning::Sum) => true,
                Some(_) => !meanings.contains_key(node),
                None => false,
            };
            from + usize::from(leaves)
        };
        let level = model.node(*node).inputs.iter().map(level).max().unwrap_or(0);
        levels.insert(*node, level);
    }
    let mut grouped: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for node in order.iter().filter(|node| meanings.contains_key(node)) {
        let batch = model.node(*node).outputs[0].fact.shape.as_concrete().map_or(0, |shape| shape[0]);
        grouped.entry((levels[node], batch)).or_default().push(*node);
    }
    let worthwhile = |nodes: &[usize]| nodes.iter().any(|node| matches!(meanings[node], Meaning::Convolution { .. }));
    let members =
        grouped.into_iter().filter(|(_, nodes)| worthwhile(nodes)).map(|((_, batch), nodes)| (nodes, batch)).collect();
    Ok(Regions { meanings, members })
}

/// The nodes' graph; none if it cannot be built.
fn region(
    model: &TypedModel,
    meanings: &BTreeMap<usize, Meaning>,
    nodes: &[usize],
    batch: usize,
) -> TractResult<Option<Region>> {
    let members: BTreeSet<usize> = nodes.iter().copied().collect();
    let mut graph = Graph::default();
    let mut inputs: Vec<OutletId> = Vec::new();
    let mut outputs: Vec<OutletId> = Vec::new();
    let mut ids: BTreeMap<OutletId, Id> = BTreeMap::new();
    for number in nodes {
        let (node, meaning) = (model.node(*number), &meanings[number]);
        let mut from = Vec::new();
        for slot in meaning.inputs() {
            let outlet = node.inputs[*slot];
            let id = match ids.entry(outlet) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => {
                    let Some((_, shape)) = picture(model, outlet)? else { return Ok(None) };
                    let Ok(id) = graph.input(shape) else { return Ok(None) };
                    inputs.push(outlet);
                    *place.insert(id)
                }
            };
            from.push(id);
        }
        graph.name(&node.name);
        let added = match meaning {
            Meaning::Convolution { channels, windows, weights, bias } => {
                let weights = weights.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
                graph.convolution(from[0], *channels, *windows, weights, bias.clone())
            }
            Meaning::MaxPool(windows) => graph.max_pool(from[0], *windows),
            Meaning::Scale { factors, summands, .. } => graph.scale(from[0], factors.clone(), summands.clone()),
            Meaning::Relu { .. } => graph.relu(from[0]),
            Meaning::Add => graph.sum(from[0], from[1]),
            Meaning::Sum => graph.sum_over_picture(from[0]),
        };
        let Ok(id) = added else { return Ok(None) };
        let outlet = OutletId::new(*number, 0);
        let Some((_, shape)) = picture(model, outlet)? else { return Ok(None) };
        if graph.shape(id) != shape {
            return Ok(None);
        }
        ids.insert(outlet, id);
        let read_outside = node.outputs[0].successors.iter().any(|reader| !members.contains(&reader.node));
        if read_outside || model.output_outlets()?.contains(&outlet) {
            graph.output(id);
            outputs.push(outlet);
        }
    }
    let name = nodes.first().map(|node| model.node(*node).name.clone()).unwrap_or_default();
    Ok(Some(Region { name, inputs, outputs, graph, batch }))
}

/// A value as pictures, if it is some: how many, and their shape.
fn picture(model: &TypedModel, outlet: OutletId) -> TractResult<Option<(usize, Shape)>> {
    let fact = model.outlet_fact(outlet)?;
    let shape = match fact.shape.as_concrete() {
        Some([batch, channels, height, width]) if fact.datum_type == f32::datum_type() => {
            Some((*batch, Shape { channels: *channels, height: *height, width: *width }))
        }
        _ => None,
    };
    Ok(shape.filter(|(batch, shape)| *batch > 0 && shape.numbers() > 0))
}

/// What a node means, if it is known here.
fn meaning(model: &TypedModel, number: usize) -> Option<Meaning> {
    let node = model.node(number);
    if node.outputs.len() != 1 || node.outputs[0].fact.konst.is_some() {
        return None;
    }
    let (batch, out) = picture(model, number.into()).ok()??;
    let input = |slot: usize| picture(model, node.inputs[slot]).ok().flatten().filter(|(count, _)| *count == batch);
    if let Some(convolution) = node.op_as::<Conv>() {
        let (_, shape) = input(0)?;
        return meaning_of_convolution(model, node, convolution, shape, out);
    }
    if let Some(pool) = node.op_as::<MaxPool>() {
        let (_, shape) = input(0)?;
        return pool.with_index_outputs.is_none().then(|| windows(&pool.pool_spec, shape))?.map(Meaning::MaxPool);
    }
    if let Some(reduce) = node.op_as::<Reduce>() {
        input(0)?;
        return (reduce.reducer == Reducer::Sum && reduce.axes.as_slice() == [2, 3]).then_some(Meaning::Sum);
    }
    let operator = node.op_as::<TypedBinOp>().filter(|operator| operator.1.is_none())?;
    let constant = |slot: usize| model.outlet_fact(node.inputs[slot]).ok()?.konst.clone();
    let (from, constant) = match (constant(0), constant(1)) {
        (None, None) => {
            let same = operator.0.is::<math::Add>() && input(0)? == input(1)? && input(0)?.1 == out;
            return same.then_some(Meaning::Add);
        }
        (Some(constant), None) => (1, constant),
        (None, Some(constant)) => (0, constant),
        (Some(_), Some(_)) => return None,
    };
    input(from).filter(|(_, shape)| *shape == out)?;
    let numbers = per_channel(&constant, out.channels)?;
    let (ones, zeros) = (vec![1.0; out.channels], vec![0.0; out.channels]);
    if operator.0.is::<math::Mul>() {
        Some(Meaning::Scale { from, factors: numbers, summands: zeros })
    } else if operator.0.is::<math::Add>() {
        Some(Meaning::Scale { from, factors: ones, summands: numbers })
    } else if operator.0.is::<math::Sub>() && from == 0 {
        let summands = numbers.into_iter().map(|number| -number).collect();
        Some(Meaning::Scale { from, factors: ones, summands })
    } else if operator.0.is::<math::Max>() && numbers.iter().all(|number| *number == 0.0) {
        Some(Meaning::Relu { from })
    } else {
        None
    }
}

fn meaning_of_convolution(
    model: &TypedModel,
    node: &TypedNode,
    convolution: &Conv,
    input: Shape,
    out: Shape,
) -> Option<Meaning> {
    let plain = convolution.group == 1
        && convolution.q_params.is_none()
        && convolution.kernel_fmt == KernelFormat::OIHW
        && node.inputs.len() == 3;
    let windows = plain.then(|| windows(&convolution.pool_spec, input))??;
    let constant = |slot: usize| model.outlet_fact(node.inputs[slot]).ok()?.konst.clone();
    let (kernel, bias) = (constant(1)?, constant(2)?);
    let expected = [out.channels, input.channels, windows.size.0, windows.size.1];
    if kernel.shape() != expected {
        return None;
    }
    numbers(&kernel)?;
    let bias = numbers(&bias).filter(|bias| bias.len() == 1 || bias.len() == out.channels)?;
    let bias = if bias.len() == 1 { vec![bias[0]; out.channels] } else { bias };
    let bias = bias.iter().any(|number| *number != 0.0).then_some(bias);
    Some(Meaning::Convolution { channels: out.channels, windows, weights: kernel, bias })
}

/// Windows over pictures, without gaps in them.
fn windows(spec: &PoolSpec, input: Shape) -> Option<Windows> {
    let plain =
        spec.data_format == DataFormat::NCHW && spec.rank() == 2 && spec.dilations().iter().all(|gap| *gap == 1);
    let padding = plain.then(|| spec.computed_padding(&[input.height, input.width]))?;
    let stride = spec.strides();
    let windows = Windows {
        size: (spec.kernel_shape[0], spec.kernel_shape[1]),
        stride: (stride[0], stride[1]),
        rows: (padding[0].pad_before, padding[0].pad_after),
        columns: (padding[1].pad_before, padding[1].pad_after),
    };
    windows.fit(input).then_some(windows)
}

/// One number a channel: of a scalar, or of a tensor that is as long as there are channels along the second of four axes.
fn per_channel(constant: &Tensor, channels: usize) -> Option<Vec<f32>> {
    let numbers = numbers(constant)?;
    if numbers.len() == 1 {
        return Some(vec![numbers[0]; channels]);
    }
    (constant.shape() == [1, channels, 1, 1]).then_some(numbers)
}

fn numbers(constant: &Tensor) -> Option<Vec<f32>> {
    Some(constant.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.to_vec())
}
