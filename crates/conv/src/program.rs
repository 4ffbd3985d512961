//! A graph, ready to be computed as often as is wanted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::graph::{Graph, Operation, Shape};
use crate::isa::KernelSet;
use crate::kernels::{Batch, FACTORS, PATCH, PHASED, TILE, scratch_lines};
use crate::layout::{Geometry, LANES, Line};
use crate::lower::{Kind, Lowered, Step, lower};
use crate::memory::Memory;
use crate::placement::Placement;
use crate::run::{Job, Times, blocks};
use crate::schedule::{Division, Group, groups};
use crate::weights::Store;
use crate::{Error, limits};

/// How a graph is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// With which kernels.
    pub kernels: KernelSet,
    /// Whether 3 x 3 convolutions, and first layers of seven columns, are computed by Winograd's transformations, which are faster and round
    /// otherwise.
    pub winograd: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { kernels: KernelSet::best(), winograd: true }
    }
}

/// A graph, ready to be computed. Threads share it; each one that computes takes memory of its own, which is kept for the next, of any
/// program that was compiled with the same store.
#[derive(Debug)]
pub struct Program {
    pub(crate) lowered: Lowered,
    pub(crate) options: Options,
    pub(crate) groups: Vec<Group>,
    pub(crate) zeros: Vec<Line>,
    plans: Mutex<BTreeMap<usize, Arc<Plan>>>,
    memory: Arc<Memory>,
}

/// How each group is shared by a number of threads.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<Division>,
    /// The memory that a computation takes.
    pub(crate) placement: Placement,
}

/// One step of a program, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The names of what it computes.
    pub name: String,
    /// How it is computed.
    pub how: &'static str,
    /// The results' shape.
    pub shape: Shape,
    /// Multiplications and additions, as the convolution is written down.
    pub operations: u64,
    /// Bytes of weights, as they are kept.
    pub weight_bytes: usize,
    /// Steps with one number flow into each other row by row.
    pub group: usize,
    /// How long it took, when it was measured.
    pub time: Option<Duration>,
}

impl Program {
    /// Prepares a graph. The same program is not made twice of one store, and weights that another one has are not kept twice.
    ///
    /// # Errors
    /// [`Error::TooLarge`]
    pub fn compile(graph: &Graph, options: Options, store: &mut Store) -> Result<Arc<Self>, Error> {
        check_weights(graph, store.bytes())?;
        let lowered = lower(graph, options, store);
        let rows = lowered.values.iter().map(|value| value.geometry.row_lines()).max().unwrap_or(0);
        fits(rows as u64 * size_of::<Line>() as u64)?;
        if let Some(same) = store.programs().find(|same| same.options == options && same.lowered == lowered) {
            return Ok(same);
        }
        let program = Arc::new(Self::prepare(lowered, options, store.memory()));
        fits(program.working_bytes(1) as u64)?;
        store.keep_program(&program);
        Ok(program)
    }

    fn prepare(lowered: Lowered, options: Options, memory: Arc<Memory>) -> Self {
        let groups = groups(&lowered);
        let longest = lowered.values.iter().map(|value| value.geometry.row_lines()).max().unwrap_or(0);
        Self { lowered, options, groups, zeros: vec![Line::ZERO; longest], plans: Mutex::default(), memory }
    }

    /// The shapes of what goes in, in the order in which the graph's inputs were added.
    pub fn inputs(&self) -> &[Shape] {
        &self.lowered.inputs
    }

    /// The shapes of what comes out.
    pub fn outputs(&self) -> Vec<Shape> {
        self.output_shapes().collect()
    }

    fn output_shapes(&self) -> impl ExactSizeIterator<Item = Shape> {
        let shape = |geometry: Geometry, summed: bool| Shape {
            channels: geometry.channels,
            height: if summed { 1 } else { geometry.height },
            width: geometry.width,
        };
        let given = self.lowered.outputs.iter();
        given.map(move |given| shape(self.lowered.values[given.value].geometry, given.summed))
    }

    /// Computes, on as many threads of the current pool as `threads`; results do not depend on their number. Outputs that are empty are
    /// not given.
    ///
    /// # Errors
    /// [`Error::Size`]
    pub fn run(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], threads: usize) -> Result<(), Error> {
        check_sizes("input", self.inputs().iter().copied(), inputs.iter().map(|input| input.len()))?;
        let given = outputs.iter().enumerate().map(|(number, output)| match self.output_shapes().nth(number) {
            Some(shape) if output.is_empty() => shape.numbers(),
            _ => output.len(),
        });
        check_sizes("output", self.output_shapes(), given)?;
        self.compute(threads, None, inputs, outputs);
        Ok(())
    }

    /// Computes once on one thread, and says what each step took.
    ///
    /// # Errors
    /// [`Error::Size`]
    pub fn profile(&self, inputs: &[&[f32]]) -> Result<Vec<StepReport>, Error> {
        let mut results: Vec<Vec<f32>> = self.outputs().iter().map(|shape| vec![0.0; shape.numbers()]).collect();
        let mut outputs: Vec<&mut [f32]> = results.iter_mut().map(Vec::as_mut_slice).collect();
        check_sizes("input", self.inputs().iter().copied(), inputs.iter().map(|input| input.len()))?;
        let times = Mutex::new(vec![Duration::ZERO; self.lowered.steps.len()]);
        self.compute(1, Some(&times), inputs, &mut outputs);
        let mut report = self.report();
        for (step, time) in report.iter_mut().zip(times.into_inner().unwrap_or_else(PoisonError::into_inner)) {
            step.time = Some(time);
        }
        Ok(report)
    }

    /// Bytes of memory that one computation takes beside weights, inputs and outputs.
    pub fn working_bytes(&self, threads: usize) -> usize {
        self.plan(threads).placement.lines() * size_of::<Line>()
    }

    /// What is computed how.
    pub fn report(&self) -> Vec<StepReport> {
        let of = |(number, step): (usize, &Step)| StepReport {
            name: step.name.clone(),
            how: match step.kind {
                Kind::Pack { .. } => "pack",
                Kind::Planar { phased: true, pooled: true, .. } => "Winograd F(4, 4), planes, pooled",
                Kind::Planar { phased: true, pooled: false, .. } => "Winograd F(4, 4), planes",
                Kind::Planar { phased: false, pooled: true, .. } => "direct, planes, pooled",
                Kind::Planar { phased: false, pooled: false, .. } => "direct, planes",
                Kind::Direct(_) => "direct",
                Kind::Winograd => "Winograd F(4x4, 3x3)",
                Kind::Pool(_) => "max pooling",
                Kind::Join => "elementwise",
                Kind::RowSum => "sum",
            },
            shape: Shape {
                channels: step.out.channels,
                height: if matches!(step.kind, Kind::RowSum) { 1 } else { step.out.height },
                width: step.out.width,
            },
            operations: step.operations,
            weight_bytes: step.weights.as_ref().map_or(0, |weights| size_of_val(weights.as_slice())),
            group: self.groups.iter().take_while(|group| group.end <= number).count(),
            time: None,
        };
        self.lowered.steps.iter().enumerate().map(of).collect()
    }

    fn compute(&self, threads: usize, times: Option<&Times>, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let plan = self.plan(threads);
        self.memory.lend(&plan.placement, |memory| {
            Job { program: self, plan: &plan, times }.run(memory, inputs, outputs);
        });
    }

    fn plan(&self, threads: usize) -> Arc<Plan> {
        let threads = threads.clamp(1, limits::MAX_PARTS);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = plans.entry(threads).or_insert_with(|| {
            let division = |group: &Group| Division::of(&self.lowered, group, threads);
            let groups = self.groups.iter().map(division).collect::<Vec<_>>();
            Arc::new(Plan { placement: Placement::of(blocks(self, &groups)), groups })
        });
        Arc::clone(plan)
    }
}

fn check_sizes(
    what: &str,
    shapes: impl ExactSizeIterator<Item = Shape>,
    given: impl ExactSizeIterator<Item = usize>,
) -> Result<(), Error> {
    if given.len() != shapes.len() {
        let what = format!("the list of {what}s");
        return Err(Error::Size { what, given: given.len(), expected: shapes.len() });
    }
    for (number, (given, shape)) in given.zip(shapes).enumerate() {
        if given != shape.numbers() {
            return Err(Error::Size { what: format!("{what} {number}"), given, expected: shape.numbers() });
        }
    }
    Ok(())
}

/// What of a transformed convolution is done at a time: as many tiles as the cache has room for, in equal shares of a row. Weights that do not
/// stay in it are read again for each batch, so that batches are larger there, and rows of products done one after another.
pub(crate) fn batch(input: Geometry, out: Geometry) -> Batch {
    let across = out.width.div_ceil(TILE);
    let all = across * out.height.div_ceil(TILE);
    let shares = |most: usize| {
        if across > most { across.div_ceil(across.div_ceil(most)) } else { all.div_ceil(all.div_ceil(most)) }
    };
    let bytes = |tiles, rows| scratch_lines(input, out, Batch { tiles, rows }) * size_of::<Line>();
    let weights = PATCH * PATCH * out.blocks() * input.channels * size_of::<Line>();
    if weights <= limits::WHOLE_WEIGHT_BYTES {
        let room = limits::TRANSFORMED_BYTES / bytes(1, PATCH);
        return Batch { tiles: shares(room.max(limits::LEAST_TILES)), rows: PATCH };
    }
    let tiles = shares(limits::TILES_OF_LARGE_WEIGHTS);
    if bytes(tiles, PATCH) <= limits::TRANSFORMED_BYTES {
        return Batch { tiles, rows: PATCH };
    }
    // Half of them at most, or nothing is gained.
    let fits = |rows: &usize| bytes(tiles, *rows) - bytes(tiles, 0) <= limits::TRANSFORMED_BYTES;
    Batch { tiles, rows: (1..=PATCH / 2).rev().find(fits).unwrap_or(1) }
}

/// Refuses weights that would take too much memory, before any of it is taken.
fn check_weights(graph: &Graph, others: u64) -> Result<(), Error> {
    if graph.nodes.len() > limits::MAX_NODES {
        return Err(Error::TooMany { given: graph.nodes.len(), limit: limits::MAX_NODES });
    }
    let mut needed = others;
    for node in &graph.nodes {
        if let Operation::Convolution { windows, .. } = &node.operation {
            let inputs = graph.shape(node.from[0]).channels as u64;
            // Of a transformed kernel 36 numbers are kept, or so many of each row.
            let row = if (windows.size.1, windows.stride.1) == PHASED { FACTORS } else { windows.size.1 };
            let each = (windows.size.0 * row).max(36) as u64;
            let lines = (node.shape.channels.div_ceil(LANES) as u64).saturating_mul(inputs).saturating_mul(each);
            needed = needed.saturating_add(lines.saturating_mul(size_of::<Line>() as u64));
        }
    }
    fits(needed)
}

fn fits(needed: u64) -> Result<(), Error> {
    let limit = limits::MAX_BYTES;
    if needed > limit { Err(Error::TooLarge { needed, limit }) } else { Ok(()) }
}
