//! The four-view screening network (Wu et al., IEEE TMI 2019), from a checkpoint's tensors to one ONNX graph per view, or per angle.
//!
//! One trunk per angle, shared by both sides. In one family last layers are per view; in the other they are per angle, and look at the
//! features of both breasts. Strides and kernels are the architecture's; the numbers
//! of filters are the checkpoint's, so that narrower networks convert as well.

use cloister_imaging::{Angle, View};

use crate::{
    checkpoint::{Checkpoint, CheckpointError, Tensor},
    classifier::BREASTS,
    limits,
    onnx::{
        Attribute::{Float, Int, Ints},
        Graph,
    },
};

/// The stride of each stage's first block.
const STAGE_STRIDES: [i64; 5] = [1, 2, 2, 2, 2];

/// Blocks of each stage.
const BLOCKS: usize = 2;

/// What batch normalisation adds to a variance.
const EPSILON: f32 = 1e-5;

/// The labels, in the order of the output layer's rows: two rows each, for no and yes.
pub(crate) const LABELS: [&str; 2] = ["benign", "malignant"];

/// The last layers' names end on these: per view where each is scored alone, per angle where both breasts are looked at together.
const VIEWS: [&str; 4] = ["lcc", "rcc", "lmlo", "rmlo"];
const ANGLES: [&str; 2] = ["cc", "mlo"];

/// Which networks a checkpoint holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// One for each view.
    Views,
    /// One for each angle, which looks at both breasts.
    Pairs,
}

/// Tells by the last layers which family a checkpoint is of.
pub(crate) fn family(checkpoint: &Checkpoint) -> Result<Family> {
    let there = |ends: &[&str]| {
        let last = |end: &&str| [format!("fc1_{end}."), format!("output_layer_{end}.")];
        let prefixes: Vec<String> = ends.iter().flat_map(last).collect();
        checkpoint.names().any(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    };
    match (there(&VIEWS), there(&ANGLES)) {
        (true, true) => Err(CheckpointError::TwoFamilies),
        (false, true) => Ok(Family::Pairs),
        (_, false) => Ok(Family::Views),
    }
}

/// Writes one angle's network for inputs of `2 x 1 x height x width`, the left breast and the right one; its output is `1 x 4 x 2`
/// log-probabilities: left and right of the first label, then of the second one.
pub(crate) fn pair(checkpoint: &Checkpoint, angle: Angle, window: (usize, usize)) -> Result<Vec<u8>> {
    let mut writer = Writer { checkpoint, graph: Graph::default() };
    let (value, filters) = writer.trunk(trunk(angle))?;
    let row = writer.graph.integers("row.shape", &[1, (BREASTS * filters) as i64]);
    let value = writer.graph.node("Reshape", "row", &[&value, &row], vec![]);
    let end = match angle {
        Angle::Cc => "cc",
        Angle::Mlo => "mlo",
    };
    let scores = LABELS.len() * BREASTS;
    let output = writer.head(&value, filters * BREASTS, end, scores)?;
    let input = [BREASTS, 1, window.0, window.1];
    Ok(writer.graph.finish(end, (INPUT, &input), (&output, &[1, scores, 2])))
}

fn trunk(angle: Angle) -> &'static str {
    match angle {
        Angle::Cc => "four_view_resnet.cc",
        Angle::Mlo => "four_view_resnet.mlo",
    }
}

/// Writes one view's network for inputs of `1 x 1 x height x width`; its output is `1 x 2 x 2` log-probabilities.
pub(crate) fn network(checkpoint: &Checkpoint, view: View, window: (usize, usize)) -> Result<Vec<u8>> {
    let mut writer = Writer { checkpoint, graph: Graph::default() };
    let (value, filters) = writer.trunk(trunk(view.angle()))?;
    let end = match view {
        View::LCc => "lcc",
        View::RCc => "rcc",
        View::LMlo => "lmlo",
        View::RMlo => "rmlo",
    };
    let output = writer.head(&value, filters, end, LABELS.len())?;
    let input = [1, 1, window.0, window.1];
    Ok(writer.graph.finish(view.as_str(), (INPUT, &input), (&output, &[1, LABELS.len(), 2])))
}

const INPUT: &str = "image";

struct Writer<'a> {
    checkpoint: &'a Checkpoint,
    graph: Graph,
}

type Result<T> = std::result::Result<T, CheckpointError>;

impl Writer<'_> {
    /// Stem, stages, last normalisation and global mean. Gives the output and its number of channels.
    fn trunk(&mut self, trunk: &str) -> Result<(String, usize)> {
        let (value, mut channels) = self.convolution(&format!("{trunk}.first_conv"), INPUT, 1, 7, 2, 0)?;
        let pool = vec![("kernel_shape", Ints(vec![3, 3])), ("strides", Ints(vec![2, 2]))];
        let mut value = self.graph.node("MaxPool", &format!("{trunk}.first_pool"), &[&value], pool);
        for (stage, stride) in STAGE_STRIDES.into_iter().enumerate() {
            for block in 0..BLOCKS {
                let name = format!("{trunk}.layer_list.{stage}.{block}");
                (value, channels) = self.block(&name, &value, channels, (block == 0).then_some(stride))?;
            }
        }
        let value = self.normalised(&format!("{trunk}.final_bn"), &value, channels)?;
        let value = self.graph.node("GlobalAveragePool", &format!("{trunk}.mean"), &[&value], vec![]);
        let value = self.graph.node("Flatten", &format!("{trunk}.features"), &[&value], vec![("axis", Int(1))]);
        Ok((value, channels))
    }

    /// A pre-activation residual block. A stage's first block, which has a stride, brings its residual to size by a 1 x 1
    /// convolution of the activation.
    fn block(&mut self, name: &str, input: &str, channels: usize, first: Option<i64>) -> Result<(String, usize)> {
        let active = self.normalised(&format!("{name}.bn1"), input, channels)?;
        let stride = first.unwrap_or(1);
        let (inner, filters) = self.convolution(&format!("{name}.conv1"), &active, channels, 3, stride, 1)?;
        let inner = self.normalised(&format!("{name}.bn2"), &inner, filters)?;
        let (inner, out) = self.convolution(&format!("{name}.conv2"), &inner, filters, 3, 1, 1)?;
        let (residual, width) = match first {
            Some(stride) => self.convolution(&format!("{name}.downsample.0"), &active, channels, 1, stride, 0)?,
            None => (input.to_owned(), channels),
        };
        if out != width {
            let name = format!("{name}.conv2.weight");
            return Err(CheckpointError::Shape { name, found: vec![out], expected: format!("{width} filters") });
        }
        Ok((self.graph.node("Add", &format!("{name}.sum"), &[&inner, &residual], vec![]), out))
    }

    /// Linear, relu, linear, as pairs of log-probabilities, one for each score.
    fn head(&mut self, features: &str, channels: usize, end: &str, scores: usize) -> Result<String> {
        let fc1 = format!("fc1_{end}");
        let hidden = self.tensor(&format!("{fc1}.weight"), &[None, Some(channels)])?.shape[0];
        let value = self.linear(&fc1, features, channels, hidden)?;
        let value = self.graph.node("Relu", &format!("{fc1}.relu"), &[&value], vec![]);
        let value = self.linear(&format!("output_layer_{end}.fc_layer"), &value, hidden, scores * 2)?;
        let shape = self.graph.integers("pairs.shape", &[1, scores as i64, 2]);
        let value = self.graph.node("Reshape", "pairs", &[&value, &shape], vec![]);
        Ok(self.graph.node("LogSoftmax", "log_probabilities", &[&value], vec![("axis", Int(2))]))
    }

    fn convolution(
        &mut self,
        name: &str,
        input: &str,
        channels: usize,
        kernel: usize,
        stride: i64,
        padding: i64,
    ) -> Result<(String, usize)> {
        let weight_name = format!("{name}.weight");
        let weight = self.tensor(&weight_name, &[None, Some(channels), Some(kernel), Some(kernel)])?;
        let filters = weight.shape[0];
        if filters == 0 || filters > limits::MAX_FILTERS {
            return Err(CheckpointError::TooLarge("number of filters"));
        }
        let weight = self.graph.constant(&weight_name, &weight.shape, &weight.values);
        let attributes = vec![
            ("kernel_shape", Ints(vec![kernel as i64; 2])),
            ("strides", Ints(vec![stride; 2])),
            ("pads", Ints(vec![padding; 4])),
        ];
        Ok((self.graph.node("Conv", name, &[input, &weight], attributes), filters))
    }

    /// Batch normalisation and relu.
    fn normalised(&mut self, name: &str, input: &str, channels: usize) -> Result<String> {
        let mut inputs = vec![input.to_owned()];
        for part in ["weight", "bias", "running_mean", "running_var"] {
            let part = format!("{name}.{part}");
            let tensor = self.tensor(&part, &[Some(channels)])?;
            inputs.push(self.graph.constant(&part, &tensor.shape, &tensor.values));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let value = self.graph.node("BatchNormalization", name, &inputs, vec![("epsilon", Float(EPSILON))]);
        Ok(self.graph.node("Relu", &format!("{name}.relu"), &[&value], vec![]))
    }

    /// A linear layer's first `rows` outputs. The output layer has more labels than are used.
    fn linear(&mut self, name: &str, input: &str, columns: usize, rows: usize) -> Result<String> {
        let weight_name = format!("{name}.weight");
        let weight = self.tensor(&weight_name, &[None, Some(columns)])?;
        let bias_name = format!("{name}.bias");
        let bias = self.tensor(&bias_name, &[Some(weight.shape[0])])?;
        if weight.shape[0] < rows {
            let expected = format!("{rows} rows at least");
            return Err(CheckpointError::Shape { name: weight_name, found: weight.shape, expected });
        }
        let weight = self.graph.constant(&weight_name, &[rows, columns], &weight.values[..rows * columns]);
        let bias = self.graph.constant(&bias_name, &[rows], &bias.values[..rows]);
        Ok(self.graph.node("Gemm", name, &[input, &weight, &bias], vec![("transB", Int(1))]))
    }

    fn tensor(&self, name: &str, shape: &[Option<usize>]) -> Result<Tensor> {
        let tensor = self.checkpoint.tensor(name)?;
        let fits = |(expected, found): (&Option<usize>, &usize)| expected.is_none_or(|expected| expected == *found);
        if tensor.shape.len() == shape.len() && shape.iter().zip(&tensor.shape).all(fits) {
            return Ok(tensor);
        }
        let expected: Vec<_> =
            shape.iter().map(|size| size.map_or("any".to_owned(), |size| size.to_string())).collect();
        Err(CheckpointError::Shape { name: name.to_owned(), found: tensor.shape, expected: expected.join(" x ") })
    }
}
