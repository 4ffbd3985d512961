//! What each layer of a network costs on this machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan;

use crate::blocked::Blocked;

/// One layer, as it is computed here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The name in the network of the first of the operators that it computes.
    pub name: String,
    /// How it is computed: tract's operator, or one of our own.
    pub how: String,
    /// The results' shape.
    pub shape: Vec<usize>,
    /// Thousand millions of multiplications and additions, as a convolution is written down.
    pub gflop: f64,
    /// Megabytes of weights, as they are kept.
    pub weights_mb: f64,
    /// Layers of one group flow into each other row by row; none where a layer is tract's.
    pub group: Option<usize>,
    /// On one thread.
    pub milliseconds: f64,
}

/// Runs a network once to have its memory, and once to measure each layer.
pub(crate) fn measure(plan: &Arc<TypedRunnableModel>, input: &TValue) -> TractResult<Vec<Layer>> {
    plan.run(tvec!(input.clone()))?;
    let mut layers = Vec::new();
    plan.spawn()?.run_plan_with_eval(tvec!(input.clone()), |context, state, node, inputs| {
        if let Some(blocked) = node.op_as::<Blocked>() {
            layers.extend(blocked.profile(&inputs)?);
            return plan::eval(context, state, node, inputs);
        }
        let start = Instant::now();
        let outputs = plan::eval(context, state, node, inputs)?;
        let is_work = !node.inputs.is_empty();
        if is_work {
            let shape = outputs.first().map(|output| output.shape().to_vec()).unwrap_or_default();
            layers.push(Layer {
                name: node.name.clone(),
                how: format!("tract {}", node.op().name()),
                shape,
                gflop: 0.0,
                weights_mb: 0.0,
                group: None,
                milliseconds: milliseconds(start.elapsed()),
            });
        }
        TractResult::Ok(outputs)
    })?;
    Ok(layers)
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
