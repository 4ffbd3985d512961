//! What a network makes of the mean of its last picture, and the exact gradient of a score through it. What is not surely read as tract reads it is
//! not read: scores depend on it.

use libm::{exp, log as ln};
use tract_onnx::pb::NodeProto;

use crate::output::sigmoid;
use crate::reader::{Reader, float, int, ints};
use crate::{Output, limits};

/// Raised whenever scores may differ in their last digits from those of the revision before: with what is computed here and in `output.rs`, and with which
/// heads are read here and pass `direct.rs`.
pub(crate) const REVISION: u32 = 1;

/// One step from the mean to the scores.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// `outputs x inputs` weights, and a number to add to each output.
    Linear {
        weights: Vec<f32>,
        biases: Vec<f32>,
    },
    /// Something to add.
    Bias(Vec<f32>),
    Relu,
    Sigmoid,
    /// Over each group of so many numbers.
    Softmax(usize),
    LogSoftmax(usize),
    Exp,
}

/// The steps from the mean over a picture to the scores, and the name of the picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) picture: String,
    steps: Vec<Step>,
    output: Output,
}

/// Longest way from the mean to the scores: the published head has six operators, and a loop would have no end.
const MOST_STEPS: usize = 64;

/// A constant's shape, and its numbers.
type Numbers = (Vec<usize>, Vec<f32>);

/// Why there is none.
pub(crate) type Reason = &'static str;

/// How many numbers the steps may still take.
struct Room(usize);

impl Room {
    fn take(&mut self, count: usize) -> Result<(), Reason> {
        self.0 = self.0.checked_sub(count).ok_or("the layers after the mean are too large for maps")?;
        Ok(())
    }

    /// A constant's shape and numbers, which are not looked at where there is no room for them.
    fn numbers(&mut self, reader: &Reader<'_>, name: &str) -> Result<Option<Numbers>, Reason> {
        self.take(reader.count(name).unwrap_or_default())?;
        Ok(reader.numbers(name))
    }
}

/// What is known of a value's shape.
#[derive(Clone, Copy)]
struct Known {
    /// How many numbers it has.
    count: usize,
    rank: Option<usize>,
    /// How long its last axis is.
    last: Option<usize>,
}

/// From this version on, a softmax without an axis is one along the last axis; it is one over all axes from the second one before.
const SOFTMAX_ALONG_LAST: i64 = 13;

impl Known {
    fn of(shape: &[usize]) -> Self {
        Self { count: shape.iter().product(), rank: Some(shape.len()), last: shape.last().copied() }
    }

    /// The length of the last axis, where an operator surely works along that one.
    fn along_last(self, node: &NodeProto, operator_set: i64) -> Result<usize, Reason> {
        let unsaid = if operator_set < SOFTMAX_ALONG_LAST { 1 } else { -1 };
        let axis = int(node, "axis", unsaid);
        let is_last =
            axis == -1 || self.rank.is_some_and(|rank| usize::try_from(axis).is_ok_and(|axis| axis + 1 == rank));
        let length = self.last.filter(|length| is_last && *length > 0);
        length.ok_or("a softmax before the scores is not surely one along the last axis")
    }
}

impl Head {
    /// Follows the output of a network of this version of ONNX's operators back to the mean over a picture.
    pub(crate) fn find(
        reader: &Reader<'_>,
        output: (&str, Output),
        labels: usize,
        operator_set: i64,
    ) -> Result<Self, Reason> {
        let (mut value, mut steps) = (output.0.to_owned(), Vec::new());
        let mut known = Known::of(&output.1.shape(labels));
        let mut room = Room(limits::MAX_HEAD_NUMBERS);
        for _ in 0..MOST_STEPS {
            let node = reader.maker(&value).ok_or("its scores are not made of a mean over a picture")?;
            let from = node.input.first().ok_or("an operator has no input")?;
            match node.op_type.as_str() {
                "GlobalAveragePool" => return Self::finish(from, steps, output.1),
                "ReduceMean" if is_spatial(reader, node) => return Self::finish(from, steps, output.1),
                "Identity" | "Dropout" => {}
                "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => {
                    known = Known { rank: None, last: None, ..known };
                }
                "Relu" => steps.push(Step::Relu),
                "Sigmoid" => steps.push(Step::Sigmoid),
                "Softmax" => steps.push(Step::Softmax(known.along_last(node, operator_set)?)),
                "LogSoftmax" => steps.push(Step::LogSoftmax(known.along_last(node, operator_set)?)),
                "Gemm" | "MatMul" => {
                    let (step, inputs) = linear(reader, node, known.count, &mut room)?;
                    steps.push(step);
                    let rank = (node.op_type == "Gemm").then_some(2);
                    known = Known { count: inputs, rank, last: Some(inputs) };
                }
                "Add" => {
                    let (other, axes, bias) = bias(reader, node, known.count, &mut room)?;
                    steps.push(Step::Bias(bias));
                    // A constant with as many axes as the sum may have more of them than the value.
                    known.rank = known.rank.filter(|rank| axes < *rank);
                    value = other;
                    continue;
                }
                _ => {
                    return Err(
                        "there is an operator between the mean over a picture and the scores that is not known here",
                    );
                }
            }
            value = from.clone();
        }
        Err("the way from the mean over a picture to the scores is too long")
    }

    fn finish(picture: &str, mut steps: Vec<Step>, output: Output) -> Result<Self, Reason> {
        steps.reverse();
        match output {
            Output::LogSoftmaxPairs | Output::LogProbabilities => steps.push(Step::Exp),
            Output::Sigmoid => steps.push(Step::Sigmoid),
            Output::Softmax => steps.push(Step::Softmax(usize::MAX)),
            Output::Probabilities => {}
        }
        Ok(Self { picture: picture.to_owned(), steps, output })
    }

    /// How many numbers it takes, if its steps say so.
    pub(crate) fn fits(&self, channels: usize, outputs: usize) -> bool {
        let mut count = channels;
        for step in &self.steps {
            match step {
                Step::Linear { weights, biases } => {
                    if weights.len() != biases.len() * count {
                        return false;
                    }
                    count = biases.len();
                }
                Step::Bias(bias) if bias.len() != count => return false,
                Step::Softmax(group) | Step::LogSoftmax(group)
                    if *group != usize::MAX && !count.is_multiple_of(*group) =>
                {
                    return false;
                }
                _ => {}
            }
        }
        count == outputs
    }

    /// What the network gives out for a mean, in its place. `spare` may hold anything.
    pub(crate) fn numbers(&self, values: &mut Vec<f64>, spare: &mut Vec<f64>) {
        let reading = usize::from(self.output != Output::Probabilities);
        for step in &self.steps[..self.steps.len() - reading] {
            step.forward(values, spare);
            std::mem::swap(values, spare);
        }
    }

    /// The score of a label for a mean, and the gradient of its log-odds with respect to that mean: in double precision, by the chain rule.
    ///
    /// The log-odds `ln(s / (1 - s))` of a score `s` grow with it, and their gradient is the score's over `s (1 - s)`. It is taken before the last
    /// step where that makes shares of numbers, so that it is right however near to 0 or 1 the score is.
    pub(crate) fn gradient(&self, mean: &[f64], label: usize) -> (f64, Vec<f64>) {
        let mut values = vec![mean.to_vec()];
        for step in &self.steps {
            let mut next = Vec::new();
            step.forward(values.last().map_or(&[], Vec::as_slice), &mut next);
            values.push(next);
        }
        let at = if self.output == Output::LogSoftmaxPairs { 2 * label + 1 } else { label };
        let last = values.last().map_or(&[][..], Vec::as_slice);
        let score = last.get(at).copied().unwrap_or(f64::NAN);
        let (left, mut gradient) = match self.steps.as_slice() {
            [before @ .., Step::Sigmoid] => (before, only(at, 1.0, last.len())),
            [before @ .., Step::Softmax(group)] | [before @ .., Step::LogSoftmax(group), Step::Exp] => {
                (before, odds_of_share(&values[before.len()], *group, at))
            }
            all if 0.0 < score && score < 1.0 => (all, only(at, 1.0 / (score * (1.0 - score)), last.len())),
            all => (all, vec![0.0; last.len()]),
        };
        for (step, from) in left.iter().zip(&values).rev() {
            gradient = step.backward(from, &gradient);
        }
        (score, gradient)
    }
}

/// Zeros but for one number.
fn only(at: usize, number: f64, count: usize) -> Vec<f64> {
    (0..count).map(|other| if other == at { number } else { 0.0 }).collect()
}

/// The gradient of a share's log-odds: more of its own number, less of the others of its group, each as it counts among these.
fn odds_of_share(from: &[f64], group: usize, at: usize) -> Vec<f64> {
    let group = group.clamp(1, from.len().max(1));
    let first = at / group * group;
    let mut gradient = only(at, 1.0, from.len());
    let others: Vec<usize> = (first..(first + group).min(from.len())).filter(|other| *other != at).collect();
    let values: Vec<f64> = others.iter().map(|other| from[*other]).collect();
    for (other, share) in others.into_iter().zip(shares(&values)) {
        gradient[other] = -share;
    }
    gradient
}

impl Step {
    fn forward(&self, from: &[f64], to: &mut Vec<f64>) {
        to.clear();
        match self {
            Self::Linear { weights, biases } => {
                let rows = weights.chunks_exact(from.len().max(1)).zip(biases);
                to.extend(rows.map(|(row, bias)| f64::from(*bias) + dot(row, from)));
            }
            Self::Bias(bias) => to.extend(from.iter().zip(bias).map(|(value, bias)| value + f64::from(*bias))),
            // What is no number stays none, which `max` would make zero.
            Self::Relu => to.extend(from.iter().map(|value| if *value < 0.0 { 0.0 } else { *value })),
            Self::Sigmoid => to.extend(from.iter().map(|value| sigmoid(*value))),
            Self::Softmax(group) => groups(from, *group).for_each(|group| to.extend(shares(group))),
            Self::LogSoftmax(group) => {
                for group in groups(from, *group) {
                    let (most, sum) = exponentials(group);
                    to.extend(group.iter().map(|value| value - most - ln(sum)));
                }
            }
            Self::Exp => to.extend(from.iter().copied().map(exp)),
        }
    }

    /// The gradient with respect to what the step was given, from that with respect to what it gave.
    ///
    /// A share's distance from 1 is taken as the sum of the others, so that it is right where the share is almost 1.
    fn backward(&self, from: &[f64], gradient: &[f64]) -> Vec<f64> {
        match self {
            Self::Linear { weights, .. } => {
                let mut back = vec![0.0; from.len()];
                for (row, slope) in weights.chunks_exact(from.len().max(1)).zip(gradient) {
                    back.iter_mut().zip(row).for_each(|(back, weight)| *back += f64::from(*weight) * slope);
                }
                back
            }
            Self::Bias(_) => gradient.to_vec(),
            Self::Relu => {
                from.iter().zip(gradient).map(|(value, slope)| if *value > 0.0 { *slope } else { 0.0 }).collect()
            }
            Self::Sigmoid => {
                from.iter().zip(gradient).map(|(value, slope)| slope * sigmoid(*value) * sigmoid(-*value)).collect()
            }
            Self::Exp => from.iter().zip(gradient).map(|(value, slope)| slope * exp(*value)).collect(),
            Self::Softmax(group) => by_group(from, gradient, *group, |shares, slopes, at| {
                shares[at]
                    * others(shares.len(), at).map(|other| shares[other] * (slopes[at] - slopes[other])).sum::<f64>()
            }),
            Self::LogSoftmax(group) => by_group(from, gradient, *group, |shares, slopes, at| {
                let rest: f64 = others(shares.len(), at).map(|other| shares[other]).sum();
                let slope: f64 = others(shares.len(), at).map(|other| slopes[other]).sum();
                slopes[at] * rest - shares[at] * slope
            }),
        }
    }
}

fn dot(weights: &[f32], values: &[f64]) -> f64 {
    weights.iter().zip(values).map(|(weight, value)| f64::from(*weight) * value).sum()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The largest of some numbers, and the sum of their exponentials, each over the largest one's.
fn exponentials(values: &[f64]) -> (f64, f64) {
    let most = largest(values);
    (most, values.iter().map(|value| exp(value - most)).sum())
}

/// Each one's part of the sum of exponentials.
fn shares(values: &[f64]) -> impl Iterator<Item = f64> {
    let (most, sum) = exponentials(values);
    values.iter().map(move |value| exp(value - most) / sum)
}

fn groups(values: &[f64], group: usize) -> impl Iterator<Item = &[f64]> {
    values.chunks(group.clamp(1, values.len().max(1)))
}

fn others(count: usize, at: usize) -> impl Iterator<Item = usize> {
    (0..count).filter(move |other| *other != at)
}

fn by_group(from: &[f64], gradient: &[f64], group: usize, slope: impl Fn(&[f64], &[f64], usize) -> f64) -> Vec<f64> {
    let mut back = Vec::with_capacity(from.len());
    for (from, slopes) in groups(from, group).zip(groups(gradient, group)) {
        let shares: Vec<f64> = shares(from).collect();
        back.extend((0..from.len()).map(|at| slope(&shares, slopes, at)));
    }
    back
}

/// Whether a mean is one over rows and columns, and nothing else.
fn is_spatial(reader: &Reader<'_>, node: &NodeProto) -> bool {
    let axes = ints(node, "axes").or_else(|| reader.integers(node.input.get(1)?));
    axes.is_some_and(|axes| matches!(axes.as_slice(), [2, 3] | [3, 2] | [-1, -2] | [-2, -1]))
}

/// A product with constants that gives so many numbers, and how many it takes.
fn linear(reader: &Reader<'_>, node: &NodeProto, outputs: usize, room: &mut Room) -> Result<(Step, usize), Reason> {
    const UNKNOWN: Reason = "a linear layer before the scores has weights that cannot be read";
    let weights = node.input.get(1).ok_or(UNKNOWN)?;
    let (shape, weights) = room.numbers(reader, weights)?.ok_or(UNKNOWN)?;
    let gemm = node.op_type == "Gemm";
    let transposed = gemm && int(node, "transB", 0) == 1;
    let plain = !gemm || int(node, "transA", 0) == 0;
    let [rows, columns] = shape[..] else { return Err(UNKNOWN) };
    let (inputs, found) = if transposed { (columns, rows) } else { (rows, columns) };
    if !plain || found != outputs {
        return Err(UNKNOWN);
    }
    let alpha = if gemm { float(node, "alpha", 1.0) } else { 1.0 };
    let weight = |output: usize, input: usize| {
        weights[if transposed { output * inputs + input } else { input * outputs + output }]
    };
    let ordered = (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input)));
    let weights = ordered.map(|(output, input)| alpha * weight(output, input)).collect();
    room.take(outputs)?;
    let biases = match node.input.get(2).filter(|name| gemm && !name.is_empty()) {
        None => vec![0.0; outputs],
        Some(name) => {
            let (_, biases) = room.numbers(reader, name)?.ok_or(UNKNOWN)?;
            let beta = float(node, "beta", 1.0);
            spread(biases, outputs).ok_or(UNKNOWN)?.into_iter().map(|bias| beta * bias).collect()
        }
    };
    Ok((Step::Linear { weights, biases }, inputs))
}

/// The other input of a sum with a constant, and the constant: how many axes it has, and its numbers.
fn bias(
    reader: &Reader<'_>,
    node: &NodeProto,
    count: usize,
    room: &mut Room,
) -> Result<(String, usize, Vec<f32>), Reason> {
    const UNKNOWN: Reason = "a sum before the scores is not one with constants";
    let [one, other] = &node.input[..] else { return Err(UNKNOWN) };
    let (value, constant) = if reader.is_constant(other) { (one, other) } else { (other, one) };
    room.take(count)?;
    let (shape, numbers) = room.numbers(reader, constant)?.ok_or(UNKNOWN)?;
    Ok((value.clone(), shape.len(), spread(numbers, count).ok_or(UNKNOWN)?))
}

fn spread(numbers: Vec<f32>, count: usize) -> Option<Vec<f32>> {
    match numbers.len() {
        1 => Some(vec![numbers[0]; count]),
        length => (length == count).then_some(numbers),
    }
}
