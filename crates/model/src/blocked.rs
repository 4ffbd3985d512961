//! The parts of a network that run on [`cloister_conv`] in place of tract's own operators.
//!
//! tract reads a network and gives every value a type; then this pass replaces what it knows (convolutions, batch normalisation as factors
//! and summands, rectifiers, sums, largest values of windows) by as few operators as it can, and tract goes on with the rest.

mod operator;
mod region;

use cloister_conv::{Options, Program, Store};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::optim::Optimizer;

pub(crate) use operator::{Blocked, Mode, give_on_request, in_mode};

/// Replaces what can be replaced. Weights that another network has are shared with it through `store`.
pub(crate) fn replace(mut model: TypedModel, options: Options, store: &mut Store) -> TractResult<TypedModel> {
    // Weights have to be known as such; nothing else is to be rewritten yet.
    Optimizer::prop_consts().optimize(&mut model)?;
    let mut regions = region::regions(&model)?;
    while let Some(region) = regions.next(&model)? {
        let program = match Program::compile(&region.graph, options, store) {
            Ok(program) => program,
            // What is too large for it is not too large for tract, perhaps.
            Err(_) => continue,
        };
        drop(region.graph);
        let operator = Blocked::new(program, region.batch);
        let name = format!("blocked-{}", region.name);
        let patch = TypedModelPatch::rewire(&model, &region.inputs, &region.outputs, &|patch, inputs| {
            patch.wire_node(&name, operator.clone(), inputs)
        })?;
        patch.apply(&mut model)?;
    }
    model.compact()?;
    Ok(model)
}

#[cfg(test)]
mod tests;
