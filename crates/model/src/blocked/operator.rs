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
}

thread_local! {
    /// How many threads one picture is computed on.
    static THREADS: Cell<usize> = const { Cell::new(1) };
}

/// Runs `work`, in which replaced parts use as many threads of the current pool.
pub(crate) fn on_threads<T>(threads: usize, work: impl FnOnce() -> T) -> T {
    /// What was set before, whatever comes of the work.
    struct Before(usize);
    impl Drop for Before {
        fn drop(&mut self) {
            THREADS.set(self.0);
        }
    }
    let _before = Before(THREADS.replace(threads));
    work()
}

impl Blocked {
    pub(super) fn new(program: Arc<Program>, batch: usize) -> Self {
        Self { program, batch }
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
        Arc::ptr_eq(&self.program, &other.program) && self.batch == other.batch
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
        let mut outputs: TVec<Tensor> = self
            .program
            .outputs()
            .iter()
            .map(|shape| Tensor::zero::<f32>(&[self.batch, shape.channels, shape.height, shape.width]))
            .collect::<TractResult<_>>()?;
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
            self.program.run(&from, &mut to, THREADS.get())?;
        }
        Ok(outputs.into_iter().map(Tensor::into_tvalue).collect())
    }
}

impl TypedOp for Blocked {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let facts = self.program.outputs().into_iter();
        Ok(facts.map(|shape| f32::fact([self.batch, shape.channels, shape.height, shape.width])).collect())
    }

    as_op!();
}
