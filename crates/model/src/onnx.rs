//! Writing ONNX graphs, as far as converted networks need it (ONNX IR 8, operator set 13).

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// The format's version that goes with the operator set.
const IR_VERSION: i64 = 8;

/// The operators' version. All that is used here has kept its meaning since.
pub(crate) const OPERATOR_SET: i64 = 13;

/// A graph that grows node by node. Values are known by name: a node's output has the node's name.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

/// An attribute of a node.
pub(crate) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
}

impl Graph {
    /// Adds numbers under a name.
    pub(crate) fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constants.push(TensorProto {
            name: name.to_owned(),
            dims: shape.iter().map(|size| *size as i64).collect(),
            data_type: DataType::Float.into(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// Adds whole numbers in a row under a name.
    pub(crate) fn integers(&mut self, name: &str, values: &[i64]) -> String {
        self.constants.push(TensorProto {
            name: name.to_owned(),
            dims: vec![values.len() as i64],
            data_type: DataType::Int64.into(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// Adds a node and gives the name of its output.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
    ) -> String {
        self.nodes.push(NodeProto {
            op_type: operator.to_owned(),
            name: name.to_owned(),
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![name.to_owned()],
            attribute: attributes.into_iter().map(|(name, value)| attribute(name, value)).collect(),
            ..NodeProto::default()
        });
        name.to_owned()
    }

    /// The whole model as a file's bytes.
    pub(crate) fn finish(self, name: &str, input: (&str, &[usize]), output: (&str, &[usize])) -> Vec<u8> {
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPERATOR_SET }],
            producer_name: "cloister".to_owned(),
            graph: Some(GraphProto {
                name: name.to_owned(),
                node: self.nodes,
                initializer: self.constants,
                input: vec![value(input)],
                output: vec![value(output)],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
        .encode_to_vec()
    }
}

fn attribute(name: &str, value: Attribute) -> AttributeProto {
    let mut made = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    let kind = match value {
        Attribute::Int(number) => {
            made.i = number;
            AttributeType::Int
        }
        Attribute::Ints(numbers) => {
            made.ints = numbers;
            AttributeType::Ints
        }
        Attribute::Float(number) => {
            made.f = number;
            AttributeType::Float
        }
    };
    made.r#type = kind.into();
    made
}

fn value((name, shape): (&str, &[usize])) -> ValueInfoProto {
    let dimension =
        |size: &usize| Dimension { value: Some(dimension::Value::DimValue(*size as i64)), ..Dimension::default() };
    let shape = TensorShapeProto { dim: shape.iter().map(dimension).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float.into(), shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
}
