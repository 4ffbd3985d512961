//! Where in a network's window the cells of its last picture look.

use std::collections::BTreeMap;

use tract_onnx::pb::NodeProto;

use super::reader::{Reader, int, ints, word};

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

/// Most operators that are looked at: more than [`cloister_conv::limits`] takes, and a loop would have no end.
const MOST_OPERATORS: usize = 1 << 14;

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

/// The grids of a picture's rows and columns, if all ways from the input to it agree on them.
pub(super) fn of(reader: &Reader<'_>, input: &str, picture: &str) -> Option<[Grid; 2]> {
    let mut known: BTreeMap<String, Option<[Grid; 2]>> = [(input.to_owned(), Some([PIXELS; 2]))].into();
    let mut waiting = vec![picture.to_owned()];
    for _ in 0..MOST_OPERATORS {
        let Some(value) = waiting.last().cloned() else { break };
        if known.contains_key(&value) {
            waiting.pop();
            continue;
        }
        let Some(node) = reader.maker(&value) else {
            known.insert(value, None);
            continue;
        };
        let from: Vec<&String> = inputs(reader, node);
        let unknown: Vec<String> =
            from.iter().filter(|input| !known.contains_key(**input)).map(|input| (*input).clone()).collect();
        if unknown.is_empty() {
            let mut grids = from.iter().filter_map(|input| known[*input]);
            let first = grids.next().filter(|first| grids.all(|other| other == *first));
            known.insert(value, first.and_then(|grids| after(reader, node, grids)));
        } else {
            waiting.extend(unknown);
        }
    }
    known.get(picture).copied().flatten()
}

/// The inputs that are pictures.
fn inputs<'a>(reader: &Reader<'_>, node: &'a NodeProto) -> Vec<&'a String> {
    let count = if matches!(node.op_type.as_str(), "Add" | "Mul" | "Sub" | "Concat" | "Sum") { usize::MAX } else { 1 };
    node.input.iter().take(count).filter(|input| !reader.is_constant(input)).collect()
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
            let along =
                |axis: usize| grids[axis].windowed((size[axis] - 1) * dilation[axis] + 1, stride[axis], padding[axis]);
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
