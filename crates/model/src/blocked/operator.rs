//! A program as one of tract's operators.

use std::cell::Cell;
use std::sync::Arc;

use cloister_conv::{Program, StepReport};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::layers::{Layer, milliseconds};

/// A replaced part of a network.
#[derive(Clone, Debug)]
pub(crate) struct Blocked {
    program: Arc<Program>,
    /// Pictures at a time.
    batch: usize,
    /// The number of an output that is given where it is asked for alone.
    on_request: Option<usize>,
}

/// How replaced parts are run.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    /// How many threads of the current pool one picture is computed on.
    pub(crate) threads: usize,
    /// Whether outputs are given that are given on request.
    pub(crate) all_outputs: bool,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode { threads: 1, all_outputs: true }) };
}

/// Runs `work`, in which replaced parts are run in this mode.
pub(crate) fn in_mode<T>(mode: Mode, work: impl FnOnce() -> T) -> T {
    /// What was set before, whatever comes of the work.
    struct Before(Mode);
    impl Drop for Before {
        fn drop(&mut self) {
            MODE.set(self.0);
        }
    }
    let _before = Before(MODE.replace(mode));
    work()
}

/// Has a model's output be given on request alone, if it is a replaced part's and nothing in the model reads it: it costs memory and time to
/// write down. Elsewhere it is empty.
pub(crate) fn give_on_request(model: &mut TypedModel, output: usize) -> TractResult<()> {
    let outlet = model.output_outlets()?[output];
    let node = model.node_mut(outlet.node);
    let is_read = !node.outputs[outlet.slot].successors.is_empty();
    if let Some(blocked) = node.op_as_mut::<Blocked>().filter(|_| !is_read) {
        blocked.on_request = Some(outlet.slot);
    }
    Ok(())
}

impl Blocked {
    pub(super) fn new(program: Arc<Program>, batch: usize) -> Self {
        Self { program, batch, on_request: None }
    }

    /// What computes it, where it is for one picture at a time.
    pub(crate) fn of_one_picture(&self) -> Option<&Arc<Program>> {
        (self.batch == 1).then_some(&self.program)
    }

    /// Of the outputs.
    fn shapes(&self) -> TVec<[usize; 4]> {
        self.program.outputs().iter().map(|shape| [self.batch, shape.channels, shape.height, shape.width]).collect()
    }

    /// Each step's cost for the first picture, on one thread.
    pub(crate) fn profile(&self, inputs: &[TValue]) -> TractResult<Vec<Layer>> {
        let mut pictures: TVec<&[f32]> = TVec::new();
        for (input, shape) in inputs.iter().zip(self.program.inputs()) {
            pictures.push(&input.try_as_plain_ram()?.as_slice::<f32>()?[..shape.numbers()]);
        }
        let layer = |step: StepReport| Layer {
            name: step.name,
            how: step.how.to_owned(),
            shape: vec![self.batch, step.shape.channels, step.shape.height, step.shape.width],
            gflop: step.operations as f64 / 1e9,
            weights_mb: step.weight_bytes as f64 / 1e6,
            group: Some(step.group),
            milliseconds: step.time.map_or(0.0, milliseconds),
        };
        Ok(self.program.profile(&pictures)?.into_iter().map(layer).collect())
    }
}

impl PartialEq for Blocked {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.program, &other.program) && self.batch == other.batch && self.on_request == other.on_request
    }
}

impl Eq for Blocked {}

impl Op for Blocked {
    fn name(&self) -> StaticName {
        "Blocked".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Blocked {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let numbers: TVec<&[f32]> =
            inputs.iter().map(|input| input.try_as_plain_ram()?.as_slice::<f32>()).collect::<TractResult<_>>()?;
        let Mode { threads, all_outputs } = MODE.get();
        let left_out = self.on_request.filter(|_| !all_outputs);
        let shapes = self.shapes().into_iter().enumerate();
        let shapes = shapes.map(|(number, shape)| if left_out == Some(number) { [0; 4] } else { shape });
        let mut outputs: TVec<Tensor> = shapes.map(|shape| Tensor::zero::<f32>(&shape)).collect::<TractResult<_>>()?;
        for picture in 0..self.batch {
            let of = |numbers: &[f32]| numbers.len() / self.batch;
            let from: TVec<&[f32]> =
                numbers.iter().map(|all| &all[picture * of(all)..(picture + 1) * of(all)]).collect();
            let mut to: TVec<&mut [f32]> = TVec::new();
            for output in &mut outputs {
                let all = output.to_plain_array_view_mut::<f32>()?;
                let all = all.into_slice().context("a picture's numbers in a row")?;
                let each = all.len() / self.batch;
                to.push(&mut all[picture * each..(picture + 1) * each]);
            }
            self.program.run(&from, &mut to, threads)?;
        }
        Ok(outputs.into_iter().map(Tensor::into_tvalue).collect())
    }
}

impl TypedOp for Blocked {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.shapes().into_iter().map(f32::fact).collect())
    }

    as_op!();
}
