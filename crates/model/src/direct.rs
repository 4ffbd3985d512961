//! A network that is one replaced part and a head that is known here, computed without a plan of tract's, whose lists would be all the memory
//! that an input asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloister_conv::Program;
use tract_onnx::prelude::*;

use crate::Output;
use crate::blocked::Blocked;
use crate::head::Head;

/// How far a score may be from what tract makes of the same numbers.
const ROUNDING: f64 = 1e-4;

/// How often the two are compared. Once would do: what differs, such as an axis, differs nearly everywhere.
const TRIALS: u64 = 4;

/// The part of a network up to the sums over its last picture, and its head.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    program: Arc<Program>,
    /// Which of the two outputs the sums are; the other is the picture.
    sums: usize,
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
        let [first, second] = program.outputs()[..] else { return None };
        let of_picture = if picture.slot == 0 { first } else { second };
        let direct = Self {
            program: Arc::clone(program),
            sums: 1 - picture.slot,
            channels: of_picture.channels,
            cells: of_picture.height * of_picture.width,
            head: Arc::clone(head),
        };
        let rest = rest(model, OutletId::new(picture.node, direct.sums), scores).ok()??;
        let agrees = node.inputs == [source] && direct.agrees(rest, output).ok()?;
        agrees.then_some(direct)
    }

    /// Whether the head, as it was read, gives the scores that tract computes of sums with the `rest` of the network.
    fn agrees(&self, rest: TypedModel, output: Output) -> TractResult<bool> {
        let rest = rest.into_runnable()?;
        let (channels, cells) = (self.channels, self.cells);
        let mut state = 1u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        for trial in 1..=TRIALS {
            let sums: Vec<f32> = (0..channels).map(|_| draw() * cells as f32 / trial as f32).collect();
            let (mut numbers, mut given, mut expected) = (Vec::new(), Vec::new(), Vec::new());
            self.numbers(&sums, &mut numbers, &mut Vec::new());
            output.scores(&numbers, &mut given);
            let outputs = rest.run(tvec!(Tensor::from_shape(&[1, channels, 1, 1], &sums)?.into_tvalue()))?;
            let numbers: Vec<f64> = outputs[0].to_plain_array_view::<f32>()?.iter().copied().map(f64::from).collect();
            output.scores(&numbers, &mut expected);
            let near = |(given, expected): (&f64, &f64)| (given - expected).abs() <= ROUNDING;
            if given.len() != expected.len() || !given.iter().zip(&expected).all(near) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the network gives out for sums over its last picture.
    fn numbers(&self, sums: &[f32], values: &mut Vec<f64>, spare: &mut Vec<f64>) {
        values.clear();
        values.extend(sums.iter().map(|sum| f64::from(*sum) / self.cells as f64));
        self.head.numbers(values, spare);
    }

    /// What the network gives out for an input, in place of what `numbers` holds, computed on so many threads of the current pool. Gives the
    /// last picture where it is `wanted`.
    pub(crate) fn run(
        &self,
        input: &[f32],
        wanted: bool,
        threads: usize,
        (numbers, scratch): (&mut Vec<f64>, &mut Scratch),
    ) -> TractResult<Vec<f32>> {
        let mut picture = vec![0.0; if wanted { self.channels * self.cells } else { 0 }];
        let Scratch { sums, spare } = scratch;
        sums.resize(self.channels, 0.0);
        let mut outputs = [sums.as_mut_slice(), picture.as_mut_slice()];
        if self.sums == 1 {
            outputs.swap(0, 1);
        }
        self.program.run(&[input], &mut outputs, threads)?;
        self.numbers(sums, numbers, spare);
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
