//! Where in a network's window the cells of its last picture look.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb::NodeProto;

use crate::reader::{Reader, int, ints, word};

/// Where cells' receptive fields have their middle, along one direction, in pixels of the window, whose first one reaches from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    /// Of the first cell.
    pub(crate) first: f64,
    /// From one cell to the next one.
    pub(crate) step: f64,
}

/// A pixel of the window itself.
const PIXELS: Grid = Grid { first: 0.5, step: 1.0 };

impl Grid {
    /// Cells that share a window evenly.
    pub(super) fn even(cells: usize, length: usize) -> Self {
        let step = length as f64 / cells as f64;
        Self { first: step / 2.0, step }
    }

    /// Where in a row of so many cells a place lies, in cells: 1.5 is between the middles of the second and the third. Before the first
    /// cell's middle and behind the last one's it is theirs.
    pub(crate) fn cell(&self, place: f64, cells: usize) -> f64 {
        ((place - self.first) / self.step).clamp(0.0, cells.saturating_sub(1) as f64)
    }

    fn windowed(self, size: i64, stride: i64, padding: i64) -> Self {
        let middle = size as f64 / 2.0 - padding as f64 - 0.5;
        Self { first: self.first + middle * self.step, step: self.step * stride as f64 }
    }
}

/// The grids of a picture's rows and columns, if all ways from the input to it agree on them. Each input of an operator is looked at once,
/// so that no graph takes more time or memory than its file does.
pub(super) fn of<'a>(reader: &Reader<'a>, input: &'a str, picture: &'a str) -> Option<[Grid; 2]> {
    let mut known: BTreeMap<&str, Option<[Grid; 2]>> = [(input, Some([PIXELS; 2]))].into();
    let (mut begun, mut open) = (BTreeSet::new(), Vec::new());
    let mut next = Some(picture);
    loop {
        if let Some(value) = next.filter(|value| !known.contains_key(value)) {
            let Some(node) = reader.maker(value) else {
                known.insert(value, None);
                next = None;
                continue;
            };
            if !begun.insert(value) {
                return None; // It is made of itself.
            }
            open.push((value, node, inputs(reader, node)));
        }
        let Some((value, node, left)) = open.last_mut() else { break };
        next = left.next();
        if next.is_none() {
            let mut grids = inputs(reader, node).filter_map(|input| known[input]);
            let first = grids.next().filter(|first| grids.all(|other| other == *first));
            known.insert(value, first.and_then(|grids| after(reader, node, grids)));
            open.pop();
        }
    }
    known.get(picture).copied().flatten()
}

/// The inputs that are pictures.
fn inputs<'a>(reader: &Reader<'a>, node: &'a NodeProto) -> impl Iterator<Item = &'a str> {
    let count = if matches!(node.op_type.as_str(), "Add" | "Mul" | "Sub" | "Concat" | "Sum") { usize::MAX } else { 1 };
    node.input.iter().take(count).map(String::as_str).filter(|input| !reader.is_constant(input))
}

fn after(reader: &Reader<'_>, node: &NodeProto, grids: [Grid; 2]) -> Option<[Grid; 2]> {
    match node.op_type.as_str() {
        "Conv" | "MaxPool" | "AveragePool" => {
            let size = ints(node, "kernel_shape").or_else(|| {
                let shape = reader.shape(node.input.get(1)?)?;
                shape.iter().skip(2).map(|size| i64::try_from(*size).ok()).collect()
            })?;
            let explicit = word(node, "auto_pad").is_none_or(|how| how == "NOTSET" || how == "VALID");
            let stride = ints(node, "strides").unwrap_or_else(|| vec![1; 2]);
            let padding = ints(node, "pads").unwrap_or_else(|| vec![0; 4]);
            let dilation = ints(node, "dilations").unwrap_or_else(|| vec![1; 2]);
            let plain = explicit && [size.len(), stride.len(), dilation.len()] == [2; 3] && padding.len() == 4;
            let along = |axis: usize| {
                let size = size[axis].saturating_sub(1).saturating_mul(dilation[axis]).saturating_add(1);
                grids[axis].windowed(size, stride[axis], padding[axis])
            };
            plain.then(|| [along(0), along(1)])
        }
        "BatchNormalization"
        | "Relu"
        | "LeakyRelu"
        | "PRelu"
        | "Clip"
        | "Sigmoid"
        | "HardSigmoid"
        | "HardSwish"
        | "Tanh"
        | "Elu"
        | "Selu"
        | "Identity"
        | "Dropout"
        | "Add"
        | "Mul"
        | "Sub"
        | "Sum"
        | "LRN"
        | "InstanceNormalization" => Some(grids),
        "Concat" if int(node, "axis", 1) == 1 => Some(grids),
        _ => None,
    }
}
