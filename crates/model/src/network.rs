//! One ONNX network on tract: its shapes, and the scores in its output.

use std::sync::{Arc, Mutex, PoisonError};

use prost::Message;
use tract_onnx::{
    pb::{ModelProto, tensor_proto::DataLocation},
    prelude::*,
    tract_hir::{infer::Factoid, internal::DimLike},
};

use cloister_conv::{Options, Store};

use crate::map::{Heat, Sight};
use crate::{Error, Layer, Output, Package, ViewNetwork, blocked, layers};

/// How far beyond 1 rounding may take a probability, or a sum of them away from 1.
const ROUNDING: f64 = 1e-3;

/// A network that is optimised for its one input shape. Clones share its weights.
#[derive(Clone)]
pub(crate) struct Network {
    name: String,
    window: (usize, usize),
    output: Output,
    plan: Arc<TypedRunnableModel>,
    maps: Result<Arc<Maps>, &'static str>,
}

/// What a network's maps are computed with. Its weights are those of the network.
struct Maps {
    sight: Sight,
    /// Gives out the picture that the mean is over, after the scores.
    plan: Arc<TypedRunnableModel>,
}

/// What came of one input.
pub(crate) struct Run {
    /// The probability of each label.
    pub(crate) scores: Vec<f64>,
    /// What a label's score depended on, where that was asked for.
    pub(crate) heat: Option<Heat>,
}

impl Network {
    /// Reads, checks and optimises the network of one view. Its weights are shared with the other networks of `store`.
    pub(crate) fn load(
        package: &Package,
        view: &ViewNetwork,
        options: Options,
        store: &mut Store,
    ) -> Result<Self, Error> {
        let name = &view.network;
        let bytes = package.file(name).ok_or_else(|| Error::MissingFile(name.clone()))?;
        let proto = ModelProto::decode(bytes).map_err(|error| failed(name, "read", error))?;
        refuse_outside_files(name, &proto)?;
        let model = onnx().model_for_proto_model(&proto).map_err(|error| failed(name, "read", error))?;
        let labels = package.manifest().labels.len();
        let sight = Sight::find(&proto, view, labels);
        drop(proto);
        let failed = |error| failed(name, "prepared", error);
        let mut model = with_input(model, view)?;
        let sight = sight.and_then(|sight| with_picture(&mut model, sight));
        let model = model.into_typed().map_err(failed)?;
        let maps = match sight {
            Ok(sight) => Maps::prepare(&model, sight, view.output.shape(labels), options, store).map_err(failed)?,
            Err(reason) => Err(reason),
        };
        let scores = model.output_outlets().map(|outlets| outlets[..1].to_vec());
        let model = scores
            .and_then(|scores| model.with_output_outlets(&scores))
            .and_then(|model| blocked::replace(model, options, store))
            .and_then(TypedModel::into_decluttered)
            .map_err(failed)?;
        check_output(&model, view, labels)?;
        let plan = model.into_optimized().and_then(IntoRunnable::into_runnable).map_err(failed)?;
        Ok(Self { name: name.clone(), window: view.window, output: view.output, plan, maps })
    }

    /// # Errors
    /// Why there are no maps.
    pub(crate) fn check_map(&self) -> Result<(), Error> {
        self.maps().map(drop)
    }

    fn maps(&self) -> Result<&Maps, Error> {
        self.maps.as_deref().map_err(|reason| Error::NoMap { network: self.name.clone(), reason })
    }

    pub(crate) fn window(&self) -> (usize, usize) {
        self.window
    }

    /// What each layer costs on this machine, on one thread, for an input that is bright in the middle.
    pub(crate) fn layers(&self) -> Result<Vec<Layer>, Error> {
        let (height, width) = self.window;
        let bright = |(_, _, y, x): (usize, usize, usize, usize)| {
            let at = |place: usize, length: usize| (place as f32 / length as f32 - 0.5).abs();
            1.0 - 3.0 * (at(y, height) + at(x, width))
        };
        let input: Tensor = tract_ndarray::Array4::from_shape_fn((1, 1, height, width), bright).into();
        layers::measure(&self.plan, &input.into_tvalue()).map_err(|error| failed(&self.name, "run", error))
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
        let maps = map.map(|label| Ok::<_, Error>((self.maps()?, label))).transpose()?;
        let plan = maps.map_or(&self.plan, |(maps, _)| &maps.plan);
        let failed = |error| failed(&self.name, "run", error);
        let mut input = buffers.take(self.window).map_err(failed)?;
        fill(input.to_plain_array_view_mut::<f32>().map_err(failed)?.as_slice_mut().unwrap_or_default())?;
        let input = Arc::new(input);
        let result = blocked::on_threads(threads, || plan.run(tvec!(Arc::clone(&input).into_tvalue())));
        buffers.put_back(input);
        let outputs = result.map_err(failed)?;
        let numbers = outputs[0].to_plain_array_view::<f32>().map_err(failed)?;
        let numbers: Vec<f64> = numbers.iter().copied().map(f64::from).collect();
        let scores = scores(self.output, &numbers, labels.len());
        if let Some(label) = scores.iter().position(|score| !(0.0..=1.0 + ROUNDING).contains(score)) {
            return Err(Error::NotAProbability { network: self.name.clone(), label: labels[label].clone() });
        }
        let scores: Vec<f64> = scores.into_iter().map(|score| score.min(1.0)).collect();
        let heat = maps.map(|(maps, label)| {
            let picture =
                outputs[1].try_as_plain_ram().and_then(|picture| picture.as_slice::<f32>()).map_err(failed)?;
            let heat = maps.sight.heat(picture, label);
            if (heat.score - scores[label]).abs() <= ROUNDING {
                Ok(heat)
            } else {
                Err(Error::MapScore { network: self.name.clone() })
            }
        });
        Ok(Run { scores, heat: heat.transpose()? })
    }
}

impl Maps {
    /// The plan that gives out the picture too, unless that would need weights of its own.
    fn prepare(
        model: &TypedModel,
        sight: Sight,
        output: Vec<usize>,
        options: Options,
        store: &mut Store,
    ) -> TractResult<Result<Arc<Self>, &'static str>> {
        let fact = model.output_fact(1)?;
        let shape: Vec<usize> = fact.shape.iter().map(|size| size.to_usize().unwrap_or_default()).collect();
        let sight = match sight.of_shape(&shape, output.iter().product()) {
            Ok(sight) if fact.datum_type == f32::datum_type() => sight,
            Ok(_) => return Ok(Err("the picture that the mean is over is not of single precision")),
            Err(reason) => return Ok(Err(reason)),
        };
        let model = blocked::replace(model.clone(), options, store)?;
        if blocked::is_left_to_tract(&model) {
            return Ok(Err("some of its convolutions are tract's own, which would be kept twice"));
        }
        let plan = model.into_decluttered()?.into_optimized()?.into_runnable()?;
        Ok(Ok(Arc::new(Self { sight, plan })))
    }
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

/// Memory of inputs, which is used again: as many as there were at once, of the sizes that were asked for last.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Tensor>>);

impl Buffers {
    /// The input of a window's size.
    fn take(&self, (height, width): (usize, usize)) -> TractResult<Tensor> {
        let shape = [1, 1, height, width];
        let spare = {
            let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let same = spare.iter().position(|tensor| tensor.shape() == shape);
            // One of another size makes room, so that there are no more than are in use.
            same.or((!spare.is_empty()).then_some(0)).map(|at| spare.swap_remove(at))
        };
        match spare {
            Some(tensor) if tensor.shape() == shape => Ok(tensor),
            other => {
                drop(other);
                Tensor::zero::<f32>(&shape)
            }
        }
    }

    fn put_back(&self, input: Arc<Tensor>) {
        if let Ok(tensor) = Arc::try_unwrap(input) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tensor);
        }
    }
}

/// Probabilities from a network's numbers, whose count was checked; NaN where these are none.
fn scores(output: Output, numbers: &[f64], labels: usize) -> Vec<f64> {
    match output {
        Output::LogSoftmaxPairs => numbers.as_chunks::<2>().0.iter().take(labels).map(|pair| yes(*pair)).collect(),
        Output::Sigmoid => numbers.iter().map(|number| 1.0 / (1.0 + (-number).exp())).collect(),
        Output::Softmax => {
            let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let parts: Vec<f64> = numbers.iter().map(|number| (number - most).exp()).collect();
            let sum: f64 = parts.iter().sum();
            parts.into_iter().map(|part| part / sum).collect()
        }
        Output::Probabilities => numbers.to_vec(),
    }
}

/// The second of two log-probabilities as a probability, if the two sum to 1.
fn yes([no, yes]: [f64; 2]) -> f64 {
    let (no, yes) = (no.exp(), yes.exp());
    if (no + yes - 1.0).abs() <= ROUNDING { yes } else { f64::NAN }
}

/// A package is all there is: a network whose weights are in other files would read these from the machine's disk.
fn refuse_outside_files(name: &str, proto: &ModelProto) -> Result<(), Error> {
    let graph = proto.graph.as_ref().ok_or_else(|| failed(name, "read", "it has no graph"))?;
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let tensors =
        graph.initializer.iter().chain(attributes.flat_map(|attribute| attribute.t.iter().chain(&attribute.tensors)));
    let outside = i32::from(DataLocation::External);
    let mut elsewhere =
        tensors.filter(|tensor| tensor.data_location == Some(outside) || !tensor.external_data.is_empty());
    match elsewhere.next() {
        Some(tensor) => Err(failed(name, "read", format!("the numbers of {:?} are in another file", tensor.name))),
        None => Ok(()),
    }
}

/// Fixes the input's shape, if the network's own leaves room for it.
fn with_input(mut model: InferenceModel, view: &ViewNetwork) -> Result<InferenceModel, Error> {
    let name = &view.network;
    let count = model.inputs.len();
    if count != 1 || model.outputs.len() != 1 {
        return Err(failed(
            name,
            "prepared",
            format!("it has {count} inputs and {} outputs, not one of each", model.outputs.len()),
        ));
    }
    let expected = [1, 1, view.window.0, view.window.1];
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
            network: name.clone(),
            what: "an input",
            actual,
            expected: expected.to_vec(),
        });
    }
    model.set_input_fact(0, f32::fact(expected).into()).map_err(|error| failed(name, "prepared", error))?;
    Ok(model)
}

fn check_output(model: &TypedModel, view: &ViewNetwork, labels: usize) -> Result<(), Error> {
    let name = &view.network;
    let fact = model.output_fact(0).map_err(|error| failed(name, "prepared", error))?;
    if fact.datum_type != f32::datum_type() {
        return Err(failed(name, "prepared", format!("its output is {:?}, and f32 is needed", fact.datum_type)));
    }
    let actual: Vec<usize> = fact.shape.iter().map(|size| size.to_usize().unwrap_or_default()).collect();
    let expected = view.output.shape(labels);
    if actual != expected {
        return Err(Error::NetworkShape { network: name.clone(), what: "an output", actual, expected });
    }
    Ok(())
}

fn failed(network: &str, action: &'static str, reason: impl std::fmt::Display) -> Error {
    // The alternate form of tract's errors tells their causes too.
    Error::Network { network: network.to_owned(), action, reason: format!("{reason:#}") }
}
