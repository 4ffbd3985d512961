//! Reading what leads to a value in an ONNX graph.

use std::collections::BTreeMap;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType};

/// A graph, by the names of its values.
pub(crate) struct Reader<'a> {
    makers: BTreeMap<&'a str, &'a NodeProto>,
    constants: BTreeMap<&'a str, &'a TensorProto>,
}

impl<'a> Reader<'a> {
    pub(crate) fn of(graph: &'a GraphProto) -> Self {
        let mut makers = BTreeMap::new();
        let mut constants: BTreeMap<&str, &TensorProto> =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        for node in &graph.node {
            let value = (node.op_type == "Constant").then(|| attribute(node, "value")?.t.as_ref()).flatten();
            for output in &node.output {
                match value {
                    Some(value) => drop(constants.insert(output, value)),
                    None => drop(makers.insert(output.as_str(), node)),
                }
            }
        }
        Self { makers, constants }
    }

    /// The node that makes a value.
    pub(crate) fn maker(&self, value: &str) -> Option<&'a NodeProto> {
        self.makers.get(value).copied()
    }

    pub(crate) fn is_constant(&self, value: &str) -> bool {
        self.constants.contains_key(value)
    }

    /// A constant's shape.
    pub(crate) fn shape(&self, value: &str) -> Option<Vec<usize>> {
        self.constants.get(value)?.dims.iter().map(|size| usize::try_from(*size).ok()).collect()
    }

    /// How many numbers a constant has, as its shape says.
    pub(crate) fn count(&self, value: &str) -> Option<usize> {
        let sizes = &self.constants.get(value)?.dims;
        sizes.iter().try_fold(1usize, |count, size| count.checked_mul(usize::try_from(*size).ok()?))
    }

    /// A constant's shape and its numbers, in single precision.
    pub(crate) fn numbers(&self, value: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let (shape, tensor) = (self.shape(value)?, self.constants.get(value)?);
        let raw = tensor.raw_data.as_chunks::<4>().0;
        let held = if tensor.raw_data.is_empty() { tensor.float_data.len() } else { raw.len() };
        if tensor.data_type != i32::from(DataType::Float) || self.count(value)? != held {
            return None;
        }
        let numbers = if tensor.raw_data.is_empty() {
            tensor.float_data.clone()
        } else {
            raw.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        Some((shape, numbers))
    }

    /// A constant's whole numbers.
    pub(crate) fn integers(&self, value: &str) -> Option<Vec<i64>> {
        let tensor = self.constants.get(value)?;
        if tensor.data_type != i32::from(DataType::Int64) {
            return None;
        }
        Some(if tensor.raw_data.is_empty() {
            tensor.int64_data.clone()
        } else {
            tensor.raw_data.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
        })
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a tract_onnx::pb::AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// An attribute that is a whole number.
pub(crate) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |attribute| attribute.i)
}

/// An attribute that is a number.
pub(crate) fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).map_or(default, |attribute| attribute.f)
}

/// An attribute that is whole numbers.
pub(crate) fn ints(node: &NodeProto, name: &str) -> Option<Vec<i64>> {
    attribute(node, name).map(|attribute| attribute.ints.clone())
}

/// An attribute that is a word.
pub(crate) fn word(node: &NodeProto, name: &str) -> Option<String> {
    attribute(node, name).map(|attribute| String::from_utf8_lossy(&attribute.s).into_owned())
}
