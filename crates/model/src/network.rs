//! One ONNX network on tract: its shapes, and the scores in its output.

use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::{
    prelude::*,
    tract_core::internal::TractErrorContext,
    tract_hir::{infer::Factoid, internal::DimLike},
};

use cloister_conv::{Options, Store};

use crate::direct::{Direct, Scratch};
use crate::map::{Heat, Sight};
use crate::{Error, Layer, Output, Package, ViewNetwork, blocked, examine, layers, limits, output::ROUNDING};

/// A network that is optimised for its one input shape. Clones share its weights.
#[derive(Clone)]
pub(crate) struct Network {
    name: String,
    /// Pictures, channels, rows and columns.
    input: [usize; 4],
    output: Output,
    /// Which of the outputs each label is.
    classes: Vec<usize>,
    plan: Arc<TypedRunnableModel>,
    /// What maps are made of, whose picture the plan then gives out after the scores where it is asked for: a plan without it would be kept beside.
    sight: Result<Arc<Sight>, &'static str>,
    /// Takes the plan's place where the network is no more than that.
    direct: Option<Direct>,
}

/// What came of one input.
pub(crate) struct Run {
    /// The probability of each label.
    pub(crate) scores: TVec<f64>,
    /// What a label's score depended on, where that was asked for.
    pub(crate) heat: Option<Heat>,
}

impl Network {
    /// Reads, checks and optimises the network of one view, or of so many `breasts` at once. Its weights are shared with the other networks of
    /// `store`.
    pub(crate) fn load(
        package: &Package,
        view: &ViewNetwork,
        breasts: usize,
        options: Options,
        store: &mut Store,
    ) -> Result<Self, Error> {
        let name = &view.network;
        let bytes = package.file(name).ok_or_else(|| Error::MissingFile(name.clone()))?;
        let proto = examine::read(name, bytes)?;
        let model = onnx().model_for_proto_model(&proto).map_err(|error| failed(name, "read", error))?;
        let labels = package.manifest().labels.len();
        let sight = match breasts {
            1 => Sight::find(&proto, view, labels),
            _ => Err("it looks at both breasts at once"),
        };
        drop(proto);
        let failed = |error| failed(name, "prepared", error);
        let mut model = with_input(model, name, [breasts, view.channels, view.window.0, view.window.1])?;
        let sight = sight.and_then(|sight| with_picture(&mut model, sight));
        let model = model.into_typed().map_err(failed)?;
        examine::check_cost(name, &model)?;
        let sight = sight.and_then(|sight| of_picture(&model, sight, view.output.shape(labels)));
        let model = if sight.is_ok() { Ok(model) } else { first_output(model) };
        let model = model
            .and_then(|model| blocked::replace(model, options, store))
            .and_then(TypedModel::into_decluttered)
            .map_err(failed)?;
        let classes = classes(&model, view, labels * breasts)?;
        let direct = sight.as_ref().ok().and_then(|sight| Direct::of(&model, sight.head(), view.output));
        let mut model = model.into_optimized().map_err(failed)?;
        if sight.is_ok() {
            blocked::give_on_request(&mut model, 1).map_err(failed)?;
        }
        let plan = model.into_runnable().map_err(failed)?;
        let input = [breasts, view.channels, view.window.0, view.window.1];
        Ok(Self { name: name.clone(), input, output: view.output, classes, plan, sight: sight.map(Arc::new), direct })
    }

    /// # Errors
    /// Why there are no maps.
    pub(crate) fn check_map(&self) -> Result<(), Error> {
        self.sight().map(drop)
    }

    fn sight(&self) -> Result<&Sight, Error> {
        self.sight.as_deref().map_err(|reason| Error::NoMap { network: self.name.clone(), reason })
    }

    pub(crate) fn window(&self) -> (usize, usize) {
        let [.., height, width] = self.input;
        (height, width)
    }

    /// Of one picture.
    pub(crate) fn channels(&self) -> usize {
        self.input[1]
    }

    /// What each layer costs on this machine, on one thread, for an input that is bright in the middle.
    pub(crate) fn layers(&self) -> Result<Vec<Layer>, Error> {
        let [_, _, height, width] = self.input;
        let bright = |(_, _, y, x): (usize, usize, usize, usize)| {
            let at = |place: usize, length: usize| (place as f32 / length as f32 - 0.5).abs();
            1.0 - 3.0 * (at(y, height) + at(x, width))
        };
        let input: Tensor = tract_ndarray::Array4::from_shape_fn(self.input, bright).into();
        layers::measure(&self.plan, &input.into_tvalue()).map_err(|error| failed(&self.name, "run", error))
    }

    /// The second output for an input of sevens.
    #[cfg(test)]
    pub(crate) fn picture(&self, all_outputs: bool) -> Vec<f32> {
        let input: Tensor = tract_ndarray::Array4::from_elem(self.input, 7.0f32).into();
        let run = || self.plan.run(tvec!(input.into_tvalue()));
        let outputs = blocked::in_mode(blocked::Mode { threads: 1, all_outputs }, run).unwrap();
        outputs[1].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
    }

    #[cfg(test)]
    pub(crate) fn is_direct(&self) -> bool {
        self.direct.is_some()
    }

    /// The same network, run as tract runs it.
    #[cfg(test)]
    pub(crate) fn with_plan(self) -> Self {
        Self { direct: None, ..self }
    }

    /// The probability of each label for one input of the network's window, computed on so many threads of the current pool. What
    /// `fill` is given holds whatever was left in it. `map` is the number of the label that a map is made for.
    pub(crate) fn run(
        &self,
        buffers: &Buffers,
        threads: usize,
        (labels, map): (&[String], Option<usize>),
        fill: impl FnOnce(&mut [f32]) -> Result<(), Error>,
    ) -> Result<Run, Error> {
        let mapped = map.map(|label| Ok::<_, Error>((self.sight()?, label))).transpose()?;
        let failed = |error| failed(&self.name, "run", error);
        let mut buffer = buffers.take(self.input).map_err(failed)?;
        let computed = buffer.input().map_err(failed).and_then(fill).and_then(|()| {
            let picture = self.compute(&mut buffer, threads, mapped.is_some()).map_err(failed)?;
            let Buffer { scratch, read, .. } = &mut buffer;
            self.output.scores(&scratch.numbers, read);
            let score = |class: &usize| read.get(*class).copied().unwrap_or(f64::NAN);
            Ok((picture, self.classes.iter().map(score).collect()))
        });
        buffers.put_back(buffer);
        let (picture, mut scores): (Vec<f32>, TVec<f64>) = computed?;
        if let Some(label) = scores.iter().position(|score| !(0.0..=1.0 + ROUNDING).contains(score)) {
            return Err(Error::NotAProbability { network: self.name.clone(), label: labels[label].clone() });
        }
        scores.iter_mut().for_each(|score| *score = score.min(1.0));
        let heat = mapped.map(|(sight, label)| {
            let heat = sight.heat(&picture, label);
            if (heat.score - scores[label]).abs() <= ROUNDING {
                Ok(heat)
            } else {
                Err(Error::MapScore { network: self.name.clone() })
            }
        });
        Ok(Run { scores, heat: heat.transpose()? })
    }

    /// Puts what the network gives out for the buffer's input into the buffer; gives the picture that maps are made of, where there is to be one.
    fn compute(&self, buffer: &mut Buffer, threads: usize, mapped: bool) -> TractResult<Vec<f32>> {
        if let Some(direct) = &self.direct {
            let input = buffer.input.try_as_plain_ram()?.as_slice::<f32>()?;
            return direct.run(input, mapped, threads, &mut buffer.scratch);
        }
        let mode = blocked::Mode { threads, all_outputs: mapped };
        let outputs = blocked::in_mode(mode, || self.plan.run(tvec!(Arc::clone(&buffer.input).into_tvalue())))?;
        let numbers = &mut buffer.scratch.numbers;
        numbers.clear();
        numbers.extend(outputs[0].to_plain_array_view::<f32>()?.iter().copied().map(f64::from));
        match outputs.get(1).filter(|_| mapped) {
            Some(picture) => Ok(picture.try_as_plain_ram()?.as_slice::<f32>()?.to_vec()),
            None => Ok(Vec::new()),
        }
    }
}

/// What maps are made of, if the picture that the model gives out second is one.
fn of_picture(model: &TypedModel, sight: Sight, output: Vec<usize>) -> Result<Sight, &'static str> {
    let fact = model.output_fact(1).map_err(|_| "the picture that the mean is over is not found in it")?;
    if fact.datum_type != f32::datum_type() {
        return Err("the picture that the mean is over is not of single precision");
    }
    let shape: Vec<usize> = fact.shape.iter().map(|size| size.to_usize().unwrap_or_default()).collect();
    sight.of_shape(&shape, output.iter().product())
}

/// The model with its scores alone.
fn first_output(model: TypedModel) -> TractResult<TypedModel> {
    let scores: Vec<OutletId> = model.output_outlets()?.iter().take(1).copied().collect();
    model.with_output_outlets(&scores)
}

/// Has a network give out the picture that maps are made from, beside its scores.
fn with_picture(model: &mut InferenceModel, sight: Sight) -> Result<Sight, &'static str> {
    const LOST: &str = "the picture that the mean is over is not found in it";
    let picture = model.find_outlet_label(sight.picture()).ok_or(LOST)?;
    let mut outputs = model.output_outlets().map_err(|_| LOST)?.to_vec();
    outputs.push(picture);
    model.select_output_outlets(&outputs).map_err(|_| LOST)?;
    Ok(sight)
}

/// Memory of computations, which is used again: as much as there was at once, of the sizes that were asked for last.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Buffer>>);

/// What one computation takes beside the memory of replaced parts.
struct Buffer {
    /// Of the network. A plan holds it too while it computes.
    input: Arc<Tensor>,
    scratch: Scratch,
    /// What the network's numbers say.
    read: Vec<f64>,
}

impl Buffer {
    fn input(&mut self) -> TractResult<&mut [f32]> {
        let input = Arc::get_mut(&mut self.input).context("an input that is in use")?;
        Ok(input.to_plain_array_view_mut::<f32>()?.into_slice().unwrap_or_default())
    }
}

impl Buffers {
    /// One for an input of this shape.
    fn take(&self, shape: [usize; 4]) -> TractResult<Buffer> {
        let spare = {
            let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let same = spare.iter().position(|buffer| buffer.input.shape() == shape);
            // One of another size makes room, so that there are no more than are in use.
            same.or((!spare.is_empty()).then_some(0)).map(|at| spare.swap_remove(at))
        };
        match spare {
            Some(buffer) if buffer.input.shape() == shape => Ok(buffer),
            other => {
                drop(other);
                let input = Arc::new(Tensor::zero::<f32>(&shape)?);
                Ok(Buffer { input, scratch: Scratch::default(), read: Vec::new() })
            }
        }
    }

    fn put_back(&self, mut buffer: Buffer) {
        if Arc::get_mut(&mut buffer.input).is_some() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }
}

/// Fixes the input's shape, if the network's own leaves room for it.
fn with_input(mut model: InferenceModel, name: &str, expected: [usize; 4]) -> Result<InferenceModel, Error> {
    let count = model.inputs.len();
    if count != 1 || model.outputs.len() != 1 {
        return Err(failed(
            name,
            "prepared",
            format!("it has {count} inputs and {} outputs, not one of each", model.outputs.len()),
        ));
    }
    let fact = model.input_fact(0).map_err(|error| failed(name, "prepared", error))?;
    let dimensions: Vec<Option<usize>> =
        fact.shape.dims().map(|dimension| dimension.concretize().and_then(|size| size.to_usize().ok())).collect();
    let open = fact.shape.is_open();
    let fits = (open && dimensions.is_empty())
        || (dimensions.len() == expected.len()
            && dimensions.iter().zip(expected).all(|(size, expected)| size.is_none_or(|size| size == expected)));
    if !fits {
        let actual = dimensions.into_iter().map(Option::unwrap_or_default).collect();
        return Err(Error::NetworkShape {
            network: name.to_owned(),
            what: "an input",
            actual,
            expected: expected.to_vec(),
        });
    }
    model.set_input_fact(0, f32::fact(expected).into()).map_err(|error| failed(name, "prepared", error))?;
    Ok(model)
}

/// Which of the network's outputs each label is.
fn classes(model: &TypedModel, view: &ViewNetwork, labels: usize) -> Result<Vec<usize>, Error> {
    let network = view.network.clone();
    let fact = model.output_fact(0).map_err(|error| failed(&network, "prepared", error))?;
    if fact.datum_type != f32::datum_type() {
        return Err(failed(&network, "prepared", format!("its output is {:?}, and f32 is needed", fact.datum_type)));
    }
    let actual: Vec<usize> = fact.shape.iter().map(|size| size.to_usize().unwrap_or_default()).collect();
    let Some(outputs) = view.output.count(&actual).filter(|outputs| *outputs <= limits::MAX_OUTPUTS) else {
        let expected = view.output.shape(labels);
        return Err(Error::NetworkShape { network, what: "an output", actual, expected });
    };
    let named = !view.classes.is_empty();
    if named && view.classes.iter().any(|class| *class >= outputs) || !named && outputs != labels {
        return Err(Error::Outputs { network, outputs, labels });
    }
    Ok(if named { view.classes.clone() } else { (0..labels).collect() })
}

fn failed(network: &str, action: &'static str, reason: impl std::fmt::Display) -> Error {
    // The alternate form of tract's errors tells their causes too.
    Error::Network { network: network.to_owned(), action, reason: format!("{reason:#}") }
}
