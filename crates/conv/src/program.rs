//! A graph, ready to be computed as often as is wanted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::graph::{Graph, Operation, Shape};
use crate::isa::KernelSet;
use crate::kernels::{Batch, FACTORS, PATCH, PHASED, TILE, phases_lines, products_lines, scratch_lines};
use crate::layout::{Geometry, LANES, Line};
use crate::lower::{Kind, Lowered, Step, lower};
use crate::memory::Memory;
use crate::run::{Job, Workspace, pieces};
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
    /// Where whole pictures are: numbers of places, each used again when nobody reads what was there.
    pub(crate) places: Vec<Option<usize>>,
    /// The lines of each place.
    pub(crate) place_lines: Vec<usize>,
    pub(crate) scratch_lines: usize,
    pub(crate) zeros: Vec<Line>,
    plans: Mutex<BTreeMap<usize, Arc<Plan>>>,
    memory: Arc<Memory>,
}

/// How each group is shared by a number of threads.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<Division>,
    /// The lines of each piece of memory that a computation takes.
    pieces: Vec<usize>,
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
        let (places, place_lines) = places(&lowered, &groups);
        let scratch = lowered.steps.iter().map(|step| scratch(&lowered, step)).max().unwrap_or(0);
        let longest = lowered.values.iter().map(|value| value.geometry.row_lines()).max().unwrap_or(0);
        Self {
            lowered,
            options,
            groups,
            places,
            place_lines,
            scratch_lines: scratch,
            zeros: vec![Line::ZERO; longest],
            plans: Mutex::default(),
            memory,
        }
    }

    /// The shapes of what goes in, in the order in which the graph's inputs were added.
    pub fn inputs(&self) -> &[Shape] {
        &self.lowered.inputs
    }

    /// The shapes of what comes out.
    pub fn outputs(&self) -> Vec<Shape> {
        let shape = |geometry: Geometry, summed: bool| Shape {
            channels: geometry.channels,
            height: if summed { 1 } else { geometry.height },
            width: geometry.width,
        };
        let given = self.lowered.outputs.iter();
        given.map(|given| shape(self.lowered.values[given.value].geometry, given.summed)).collect()
    }

    /// Computes, on as many threads of the current pool as `threads`; results do not depend on their number. Outputs that are empty are
    /// not given.
    ///
    /// # Errors
    /// [`Error::Size`]
    pub fn run(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], threads: usize) -> Result<(), Error> {
        self.check_sizes("input", self.inputs().to_vec(), inputs.iter().map(|input| input.len()))?;
        let shapes = self.outputs();
        let given = |(number, output): (usize, &&mut [f32])| match shapes.get(number) {
            Some(shape) if output.is_empty() => shape.numbers(),
            _ => output.len(),
        };
        self.check_sizes("output", shapes.clone(), outputs.iter().enumerate().map(given))?;
        self.with_memory(threads, |job, workspace| job.run(workspace, inputs, outputs));
        Ok(())
    }

    /// Computes once on one thread, and says what each step took.
    ///
    /// # Errors
    /// [`Error::Size`]
    pub fn profile(&self, inputs: &[&[f32]]) -> Result<Vec<StepReport>, Error> {
        let mut results: Vec<Vec<f32>> = self.outputs().iter().map(|shape| vec![0.0; shape.numbers()]).collect();
        let mut outputs: Vec<&mut [f32]> = results.iter_mut().map(Vec::as_mut_slice).collect();
        self.check_sizes("input", self.inputs().to_vec(), inputs.iter().map(|input| input.len()))?;
        let mut times = vec![Duration::ZERO; self.lowered.steps.len()];
        self.with_memory(1, |job, workspace| {
            job.timed = true;
            job.run(workspace, inputs, &mut outputs);
            times = workspace.times();
        });
        let mut report = self.report();
        for (step, time) in report.iter_mut().zip(times) {
            step.time = Some(time);
        }
        Ok(report)
    }

    /// Bytes of memory that one computation takes beside weights, inputs and outputs.
    pub fn working_bytes(&self, threads: usize) -> usize {
        self.plan(threads).pieces.iter().sum::<usize>() * size_of::<Line>()
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

    fn with_memory(&self, threads: usize, work: impl FnOnce(&mut Job<'_>, &mut Workspace<'_>)) {
        let plan = self.plan(threads);
        self.memory.lend(&plan.pieces, |pieces| {
            let mut workspace = Workspace::of(pieces, self, &plan);
            work(&mut Job { program: self, plan: &plan, timed: false }, &mut workspace);
        });
    }

    fn plan(&self, threads: usize) -> Arc<Plan> {
        let threads = threads.clamp(1, limits::MAX_PARTS);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = plans.entry(threads).or_insert_with(|| {
            let division = |group: &Group| Division::of(&self.lowered, group, threads, self.scratch_lines);
            let groups = self.groups.iter().map(division).collect::<Vec<_>>();
            Arc::new(Plan { pieces: pieces(self, &groups), groups })
        });
        Arc::clone(plan)
    }

    fn check_sizes(&self, what: &str, shapes: Vec<Shape>, given: impl Iterator<Item = usize>) -> Result<(), Error> {
        let given: Vec<usize> = given.collect();
        if given.len() != shapes.len() {
            let what = format!("the list of {what}s");
            return Err(Error::Size { what, given: given.len(), expected: shapes.len() });
        }
        for (number, (given, shape)) in given.into_iter().zip(shapes).enumerate() {
            if given != shape.numbers() {
                return Err(Error::Size { what: format!("{what} {number}"), given, expected: shape.numbers() });
            }
        }
        Ok(())
    }
}

/// Lines that a step works in.
fn scratch(lowered: &Lowered, step: &Step) -> usize {
    match (&step.kind, step.from) {
        (Kind::Winograd, Some(from)) => {
            let input = lowered.values[from].geometry;
            let batch = batch(input, step.out);
            // Of two threads, each has half of the products.
            let products = products_lines(input, step.out, PATCH / 2, batch.tiles);
            scratch_lines(input, step.out, batch).max(products)
        }
        (Kind::Planar { input, windows, phased: true, .. }, _) => {
            let Shape { channels, width, .. } = lowered.inputs[*input];
            let padded = width + windows.columns.0 + windows.columns.1;
            phases_lines(channels, (windows.size.0, windows.stride.0), padded)
        }
        _ => 0,
    }
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

/// Gives whole pictures places in memory: one that is read for the last time by an earlier group has left its place.
fn places(lowered: &Lowered, groups: &[Group]) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut places = vec![None; lowered.values.len()];
    let mut lines: Vec<usize> = Vec::new();
    let mut until: Vec<usize> = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let last = &lowered.steps[group.end - 1];
        for written in &last.written {
            let value = &lowered.values[written.value];
            let needed = value.geometry.row_lines() * value.geometry.height;
            let last_reader = value
                .readers
                .iter()
                .max()
                .map_or(number, |reader| groups.iter().take_while(|group| group.end <= *reader).count());
            let end = if value.is_output { groups.len() } else { last_reader };
            let free = (0..lines.len()).filter(|place| until[*place] < number);
            let place = free.min_by_key(|place| lines[*place].abs_diff(needed)).unwrap_or_else(|| {
                lines.push(0);
                until.push(0);
                lines.len() - 1
            });
            lines[place] = lines[place].max(needed);
            until[place] = end;
            places[written.value] = Some(place);
        }
    }
    (places, lines)
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
