//! A network that is one replaced part and a head that is known here, computed without a plan of tract's, whose lists would be all the memory
//! that an input asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloister_conv::Program;
use tract_onnx::prelude::*;

use crate::Output;
use crate::blocked::Blocked;
use crate::head::Head;

/// How far what a network gives out may be from what tract makes of the same sums, in parts of it, or of the largest mean where that is more.
const ROUNDING: f64 = 1e-4;

/// Means of such sizes are compared, of both signs: what a part of a network does may show for large ones alone, or for small ones.
const MAGNITUDES: [f32; 5] = [1.0 / 16.0, 0.5, 1.0, 8.0, 64.0];

/// A logarithm that is as good as any below: tract takes them of probabilities in single precision, which are zero soon after.
const LEAST_LOGARITHM: f64 = -80.0;

/// Where the sums over the last picture stand among the program's outputs: the picture comes before them.
const SUMS: usize = 1;

/// The part of a network up to the sums over its last picture, and its head.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    program: Arc<Program>,
    /// Of the picture.
    channels: usize,
    /// Of each channel of the picture.
    cells: usize,
    head: Arc<Head>,
}

/// Lists that a head is computed in, which are used again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    sums: Vec<f32>,
    /// What the network gives out.
    pub(crate) numbers: Vec<f64>,
    spare: Vec<f64>,
}

impl Direct {
    /// If a model that gives out its scores, and the picture whose mean the head takes, is just that, and the head gives what tract
    /// makes of it. What tract cannot compute of sums alone is not left to the head either.
    pub(crate) fn of(model: &TypedModel, head: &Arc<Head>, output: Output) -> Option<Self> {
        let (&[source], &[scores, picture]) = (model.input_outlets().ok()?, model.output_outlets().ok()?) else {
            return None;
        };
        let node = model.node(picture.node);
        let program = node.op_as::<Blocked>().and_then(Blocked::of_one_picture)?;
        let [shape, _] = program.outputs()[..] else { return None };
        if node.inputs != [source] || picture.slot == SUMS {
            return None;
        }
        let (channels, cells) = (shape.channels, shape.height * shape.width);
        let direct = Self { program: Arc::clone(program), channels, cells, head: Arc::clone(head) };
        let rest = rest(model, OutletId::new(picture.node, SUMS), scores).ok()??;
        direct.agrees(rest, output).ok()?.then_some(direct)
    }

    /// Whether the head, as it was read, gives out what tract computes of sums with the `rest` of the network.
    fn agrees(&self, rest: TypedModel, output: Output) -> TractResult<bool> {
        let rest = rest.into_runnable()?;
        let least = match output {
            Output::LogSoftmaxPairs | Output::LogProbabilities => LEAST_LOGARITHM,
            Output::Sigmoid | Output::Softmax | Output::Probabilities => f64::NEG_INFINITY,
        };
        let mut state = 1u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let mut scratch = Scratch::default();
        for magnitude in MAGNITUDES {
            let sums = (0..self.channels).map(|_| draw() * magnitude * self.cells as f32);
            scratch.sums = sums.collect();
            self.finish(&mut scratch);
            let sums = Tensor::from_shape(&[1, self.channels, 1, 1], &scratch.sums)?;
            let outputs = rest.run(tvec!(sums.into_tvalue()))?;
            let expected = outputs[0].to_plain_array_view::<f32>()?;
            let near = |(given, expected): (&f64, &f32)| {
                // `max` would make a number of what is none.
                let [given, expected] =
                    [*given, f64::from(*expected)].map(|number| if number < least { least } else { number });
                (given - expected).abs() <= ROUNDING * (1.0 + expected.abs()) * f64::from(magnitude.max(1.0))
            };
            if scratch.numbers.len() != expected.len() || !scratch.numbers.iter().zip(expected.iter()).all(near) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Computes what the network gives out from the sums over its last picture.
    fn finish(&self, Scratch { sums, numbers, spare }: &mut Scratch) {
        numbers.clear();
        numbers.extend(sums.iter().map(|sum| f64::from(*sum) / self.cells as f64));
        self.head.numbers(numbers, spare);
    }

    /// Computes what the network gives out for an input, on so many threads of the current pool. Gives the last picture where it is `wanted`.
    pub(crate) fn run(
        &self,
        input: &[f32],
        wanted: bool,
        threads: usize,
        scratch: &mut Scratch,
    ) -> TractResult<Vec<f32>> {
        let mut picture = vec![0.0; if wanted { self.channels * self.cells } else { 0 }];
        scratch.sums.resize(self.channels, 0.0);
        self.program.run(&[input], &mut [&mut picture, &mut scratch.sums], threads)?;
        self.finish(scratch);
        Ok(picture)
    }
}

/// What a model makes of one value; nothing if it takes others for that.
fn rest(model: &TypedModel, from: OutletId, to: OutletId) -> TractResult<Option<TypedModel>> {
    let mut rest = TypedModel::default();
    let source = rest.add_source(&model.node(from.node).name, model.outlet_fact(from)?.clone())?;
    let mut values = BTreeMap::from([(from, source)]);
    for number in model.eval_order()? {
        let node = model.node(number);
        let inputs: Option<TVec<OutletId>> = node.inputs.iter().map(|input| values.get(input).copied()).collect();
        if number == from.node || model.input_outlets()?.contains(&number.into()) {
            continue;
        }
        let Some(inputs) = inputs else { return Ok(None) };
        let outputs = rest.wire_node(&node.name, node.op.clone(), &inputs)?;
        values.extend(outputs.into_iter().enumerate().map(|(slot, value)| (OutletId::new(number, slot), value)));
    }
    let Some(to) = values.get(&to) else { return Ok(None) };
    rest.select_output_outlets(&[*to])?;
    Ok(Some(rest))
}
