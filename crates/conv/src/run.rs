//! Computing: each part's tasks in their order, each group's parts at once, the groups one after another.

use std::ops::Range;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::graph::{Shape, Windows};
use crate::isa::Work;
use crate::kernels::{Direct, Join, Kernel, MAX_SINKS, Phases, Planar, Pool, RowSum, Settling, Sink, Winograd};
use crate::layout::{Geometry, LANES, Line, Rows, RowsMut, numbers, numbers_mut};
use crate::lower::{Given, Kind, Step};
use crate::program::{Plan, Program, batch};
use crate::schedule::{Division, Part, Ring, Task};

mod products;

/// As many as a step has results: no list of them takes memory of its own for each row.
type Few<T> = SmallVec<[T; MAX_SINKS]>;

/// Memory for one computation, out of one piece.
pub(crate) struct Workspace<'m> {
    /// Whole pictures.
    places: Vec<&'m mut [Line]>,
    /// For each thread.
    parts: Vec<PartMemory<'m>>,
    /// For each thread, each group and each picture: the rows that are kept for the part before.
    heads: Vec<Vec<Vec<Kept<'m>>>>,
    /// For each step: its input with padding around each plane, where it needs that.
    padded: Vec<&'m mut [Line]>,
}

struct PartMemory<'m> {
    /// For each group and each picture: the rows that are kept.
    rings: Vec<Vec<Kept<'m>>>,
    scratch: &'m mut [Line],
    times: Vec<Duration>,
}

/// The rows of a picture that are kept.
struct Kept<'m> {
    value: usize,
    ring: Ring,
    lines: &'m mut [Line],
}

/// The lines of each piece of memory that a computation takes, in the order of [`Workspace::of`].
pub(crate) fn pieces(program: &Program, groups: &[Division]) -> Vec<usize> {
    let mut pieces = program.place_lines.clone();
    pieces.extend(program.lowered.steps.iter().map(|step| padded(program, step).map_or(0, |padded| padded.lines())));
    for thread in 0..threads(groups) {
        for part in groups.iter().filter_map(|division| division.parts().get(thread)) {
            let lines =
                |(value, ring): &(usize, Ring)| ring.capacity * program.lowered.values[*value].geometry.row_lines();
            pieces.extend(part.rings.iter().chain(&part.heads).map(lines));
        }
        pieces.push(program.scratch_lines);
    }
    pieces
}

fn threads(groups: &[Division]) -> usize {
    groups.iter().map(Division::threads).max().unwrap_or(0)
}

impl<'m> Workspace<'m> {
    /// Gives each piece its purpose. See [`pieces`].
    pub(crate) fn of(pieces: Vec<&'m mut [Line]>, program: &Program, plan: &Plan) -> Self {
        let mut pieces = pieces.into_iter();
        let places = pieces.by_ref().take(program.place_lines.len()).collect();
        let padded = pieces.by_ref().take(program.lowered.steps.len()).collect();
        let (mut parts, mut heads) = (Vec::new(), Vec::new());
        for thread in 0..threads(&plan.groups) {
            let mut kept = |planned: &[(usize, Ring)]| -> Vec<Kept<'m>> {
                let kept = planned.iter().zip(&mut pieces);
                kept.map(|((value, ring), lines)| Kept { value: *value, ring: *ring, lines }).collect()
            };
            let of_groups = plan.groups.iter().map(|division| match division.parts().get(thread) {
                Some(part) => (kept(&part.rings), kept(&part.heads)),
                None => (vec![], vec![]),
            });
            let (rings, own_heads) = of_groups.unzip();
            heads.push(own_heads);
            let times = vec![Duration::ZERO; program.lowered.steps.len()];
            parts.push(PartMemory { rings, scratch: pieces.next().unwrap_or_default(), times });
        }
        Self { places, parts, heads, padded }
    }

    /// What was measured.
    pub(crate) fn times(&self) -> Vec<Duration> {
        self.parts.first().map(|part| part.times.clone()).unwrap_or_default()
    }
}

/// One computation.
pub(crate) struct Job<'p> {
    pub(crate) program: &'p Program,
    pub(crate) plan: &'p Plan,
    pub(crate) timed: bool,
}

impl Job<'_> {
    pub(crate) fn run(&self, workspace: &mut Workspace<'_>, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let Workspace { places, parts, heads, padded } = workspace;
        for (step, lines) in self.program.lowered.steps.iter().zip(&mut *padded) {
            self.pad(step, inputs, lines);
        }
        for group in 0..self.program.groups.len() {
            let outside = Outside { inputs, padded };
            match &self.plan.groups[group] {
                Division::Rows(planned) => self.group(group, planned, places, (parts, heads), &outside),
                Division::Products(threads) => self.products(group, places, &mut parts[..*threads], &outside),
            }
        }
        let wanted = self.program.lowered.outputs.iter().zip(outputs).filter(|(_, output)| !output.is_empty());
        for (given, output) in wanted {
            self.give(given, places, output);
        }
    }

    /// Runs one group's parts, each on the rows of the last step's pictures that are its own.
    fn group<'m>(
        &self,
        group: usize,
        planned: &[Part],
        places: &mut [&'m mut [Line]],
        (parts, heads): (&mut [PartMemory<'m>], &mut [Vec<Vec<Kept<'m>>>]),
        outside: &Outside<'_>,
    ) {
        let mut taken = self.take_results(group, places);
        let shares = planned.iter().zip(parts).map(|(part, memory)| Share { part, targets: Few::new(), memory });
        let mut shares: Vec<Share<'_, 'm>> = shares.collect();
        for (value, lines) in &mut taken {
            let geometry = self.program.lowered.values[*value].geometry;
            let own = rows_of(lines, geometry, planned.iter().map(|part| part.rows.clone()));
            shares.iter_mut().zip(own).for_each(|(share, rows)| share.targets.extend(rows));
        }
        let shared = Shared { job: self, group, places, outside };
        at_once(shares.iter_mut().zip(&mut *heads), |(share, heads)| shared.early(share, &mut heads[group]));
        if planned.iter().any(|part| part.early < part.tasks.len()) {
            at_once(shares.iter_mut().enumerate(), |(number, share)| {
                let beyond = heads.get(number + 1).map(|heads| heads[group].as_slice()).unwrap_or_default();
                shared.late(share, beyond);
            });
        }
        drop(shares);
        self.put_back(taken, places);
    }

    /// Takes the memory of a group's results out of the places.
    fn take_results<'m>(&self, group: usize, places: &mut [&'m mut [Line]]) -> Few<(usize, &'m mut [Line])> {
        let last = &self.program.lowered.steps[self.program.groups[group].end - 1];
        let take = |value: usize| (value, std::mem::take(&mut places[self.place_of(value)]));
        last.written.iter().map(|written| written.value).map(take).collect()
    }

    fn put_back<'m>(&self, taken: Few<(usize, &'m mut [Line])>, places: &mut [&'m mut [Line]]) {
        for (value, lines) in taken {
            places[self.place_of(value)] = lines;
        }
    }

    fn place_of(&self, value: usize) -> usize {
        self.program.places[value].unwrap_or(usize::MAX)
    }

    /// Copies an input's planes into ones with padding, if the step needs that.
    fn pad(&self, step: &Step, inputs: &[&[f32]], lines: &mut [Line]) {
        let Some(Padded { input, windows, shape, height, width }) = padded(self.program, step) else { return };
        let numbers = numbers_mut(lines);
        numbers.fill(0.0);
        let planes = inputs[input].chunks_exact(shape.height * shape.width);
        for (plane, from) in numbers.chunks_exact_mut(height * width).zip(planes) {
            let rows = plane.chunks_exact_mut(width).skip(windows.rows.0);
            for (row, from) in rows.zip(from.chunks_exact(shape.width)) {
                row[windows.columns.0..][..shape.width].copy_from_slice(from);
            }
        }
    }

    fn give(&self, given: &Given, places: &[&mut [Line]], output: &mut [f32]) {
        let geometry = self.program.lowered.values[given.value].geometry;
        let Some(place) = self.program.places[given.value] else { return };
        let rows = Rows::new(places[place], geometry, 0, geometry.height, &self.program.zeros);
        let plane = if given.summed { 1 } else { geometry.height * geometry.width };
        for (channel, plane) in output.chunks_exact_mut(plane).enumerate() {
            let at = channel / LANES * geometry.pixels() + geometry.left;
            if given.summed {
                // Row after row, so that the sum does not depend on the number of threads.
                let of = |y: usize| rows.row(y as isize)[at].0[channel % LANES];
                plane[0] = (0..geometry.height).map(of).sum();
                continue;
            }
            for (y, row) in plane.chunks_exact_mut(geometry.width).enumerate() {
                for (to, line) in row.iter_mut().zip(&rows.row(y as isize)[at..]) {
                    *to = line.0[channel % LANES];
                }
            }
        }
    }
}

/// An input whose planes a step wants with padding around them.
struct Padded {
    input: usize,
    windows: Windows,
    shape: Shape,
    height: usize,
    width: usize,
}

impl Padded {
    fn lines(&self) -> usize {
        (self.shape.channels * self.height * self.width).div_ceil(LANES)
    }
}

fn padded(program: &Program, step: &Step) -> Option<Padded> {
    let Kind::Planar { input, windows, .. } = step.kind else { return None };
    let shape = program.lowered.inputs[input];
    let height = shape.height + windows.rows.0 + windows.rows.1;
    let width = shape.width + windows.columns.0 + windows.columns.1;
    let is_wanted = (height, width) != (shape.height, shape.width);
    is_wanted.then_some(Padded { input, windows, shape, height, width })
}

/// What comes from outside of the program.
struct Outside<'a> {
    inputs: &'a [&'a [f32]],
    padded: &'a [&'a mut [Line]],
}

/// The rows that a part keeps, and those that the next one kept for it.
type Rings<'s, 'm> = (&'s [Kept<'m>], &'s [Kept<'m>]);

/// What a group's parts share.
struct Shared<'a> {
    job: &'a Job<'a>,
    group: usize,
    places: &'a [&'a mut [Line]],
    outside: &'a Outside<'a>,
}

/// Divides a whole picture's memory by ranges of rows that follow each other; none of no rows.
fn rows_of<'a>(
    lines: &'a mut [Line],
    geometry: Geometry,
    ranges: impl Iterator<Item = Range<usize>>,
) -> impl Iterator<Item = Option<RowsMut<'a>>> {
    let (mut rest, mut at) = (lines, 0);
    ranges.map(move |range| {
        let row = geometry.row_lines();
        let (_, from) = std::mem::take(&mut rest).split_at_mut((range.start - at) * row);
        let (own, others) = from.split_at_mut(range.len() * row);
        (rest, at) = (others, range.end);
        (!range.is_empty()).then(|| RowsMut::new(own, geometry, range.start, range.len()))
    })
}

/// A part, what it writes to, and what it works in.
struct Share<'a, 'm> {
    part: &'a Part,
    targets: Few<RowsMut<'a>>,
    memory: &'a mut PartMemory<'m>,
}

/// Does the same with each of the items, on a thread each.
fn at_once<T: Send>(items: impl Iterator<Item = T>, work: impl Fn(T) + Sync) {
    let mut items: Vec<T> = items.collect();
    if items.len() == 1 {
        return items.drain(..).for_each(work);
    }
    rayon::scope(|scope| {
        for item in items {
            let work = &work;
            scope.spawn(move |_| work(item));
        }
    });
}

impl Shared<'_> {
    /// The group's last step.
    fn step(&self) -> &Step {
        &self.job.program.lowered.steps[self.job.program.groups[self.group].end - 1]
    }

    /// Does what needs nothing of other parts, and keeps what another one needs.
    fn early(&self, share: &mut Share<'_, '_>, heads: &mut [Kept<'_>]) {
        let tasks = &share.part.tasks[..share.part.early];
        for task in tasks {
            self.task(task, share, &[]);
            for head in heads.iter_mut() {
                self.keep(task, head, &share.memory.rings[self.group]);
            }
        }
    }

    /// Does the rest, with the rows that the next part kept.
    fn late(&self, share: &mut Share<'_, '_>, beyond: &[Kept<'_>]) {
        let tasks = &share.part.tasks[share.part.early..];
        tasks.iter().for_each(|task| self.task(task, share, beyond));
    }

    fn task(&self, task: &Task, share: &mut Share<'_, '_>, beyond: &[Kept<'_>]) {
        let start = self.job.timed.then(Instant::now);
        let Share { targets, memory, .. } = share;
        let rings = &mut memory.rings[self.group];
        if task.step + 1 == self.job.program.groups[self.group].end {
            self.last(task, targets, (rings, beyond), memory.scratch);
        } else {
            self.inner(task, rings, beyond, memory.scratch);
        }
        if let Some(start) = start {
            memory.times[task.step] += start.elapsed();
        }
    }

    /// Keeps those of a task's rows that the part before needs.
    fn keep(&self, task: &Task, head: &mut Kept<'_>, rings: &[Kept<'_>]) {
        let value = &self.job.program.lowered.values[head.value];
        let Ring { first, capacity } = head.ring;
        let end = task.rows.end.min(first + capacity);
        if value.step != task.step || task.rows.start >= end {
            return;
        }
        let from = self.rows(head.value, (rings, &[]));
        let mut to = RowsMut::new(head.lines, value.geometry, first, capacity);
        for y in task.rows.start..end {
            to.row(y).copy_from_slice(from.row(y as isize));
        }
    }

    /// Rows of the group's last step, which go into whole pictures.
    fn last(&self, task: &Task, targets: &mut [RowsMut<'_>], rings: Rings<'_, '_>, scratch: &mut [Line]) {
        let step = &self.job.program.lowered.steps[task.step];
        let mut sinks = Few::new();
        for (rows, written) in targets.iter_mut().zip(&step.written) {
            // The memory may have held another picture.
            task.rows.clone().for_each(|y| rows.clear_padding(y));
            sinks.push(Sink { rows: rows.reborrow(), settling: settling(written) });
        }
        self.compute(task, &mut sinks, rings, scratch);
    }

    /// Rows that only this group reads.
    fn inner(&self, task: &Task, rings: &mut [Kept<'_>], beyond: &[Kept<'_>], scratch: &mut [Line]) {
        let lowered = &self.job.program.lowered;
        let step = &lowered.steps[task.step];
        let mut taken = Few::new();
        for written in &step.written {
            for kept in rings.iter_mut().filter(|kept| kept.value == written.value) {
                taken.push(Kept { lines: std::mem::take(&mut kept.lines), ..*kept });
            }
        }
        let mut sinks = Few::new();
        for (kept, written) in taken.iter_mut().zip(&step.written) {
            let Ring { first, capacity } = kept.ring;
            let mut rows = RowsMut::new(kept.lines, lowered.values[kept.value].geometry, first, capacity);
            // The memory may have held another picture.
            task.rows.clone().for_each(|y| rows.clear_padding(y));
            sinks.push(Sink { rows, settling: settling(written) });
        }
        self.compute(task, &mut sinks, (rings, beyond), scratch);
        drop(sinks);
        for taken in taken {
            if let Some(kept) = rings.iter_mut().find(|kept| kept.value == taken.value) {
                kept.lines = taken.lines;
            }
        }
    }

    fn compute<'s>(&'s self, task: &Task, sinks: &mut [Sink<'s>], rings: Rings<'s, '_>, scratch: &mut [Line]) {
        let program = self.job.program;
        let step = &program.lowered.steps[task.step];
        let addend = step.addend.map(|value| self.rows(value, rings));
        let out = step.out;
        let weights = step.weights.as_deref().map(Vec::as_slice).unwrap_or_default();
        let input = step.from.map(|value| self.rows(value, rings));
        let kernel_set = program.options.kernels;
        let work = match (&step.kind, input) {
            (Kind::Planar { input, windows, pooled, phased }, _) => {
                let shape = program.lowered.inputs[*input];
                let (input, height, width) = match padded(program, step) {
                    Some(wanted) => (numbers(self.outside.padded[task.step]), wanted.height, wanted.width),
                    None => (self.outside.inputs[*input], shape.height, shape.width),
                };
                let (shape, pooled) = ((shape.channels, height, width), *pooled);
                if *phased {
                    let rows = (windows.size.0, windows.stride.0);
                    Work::Phases(Phases { rows, weights, input, shape, out, pooled, sinks, scratch })
                } else {
                    let kernel = Kernel { size: windows.size, stride: windows.stride, padding: (0, 0) };
                    Work::Planar(Planar { kernel, weights, input, shape, out, pooled, sinks })
                }
            }
            (Kind::Pack { input }, _) => return pack(self.outside.inputs[*input], sinks, task.rows.clone()),
            (_, None) => unreachable!("a step without an input"),
            (Kind::Direct(kernel), Some(input)) => {
                Work::Direct(Direct { kernel: *kernel, weights, input, out, addend, sinks })
            }
            (Kind::Winograd, Some(input)) => {
                let batch = batch(input.geometry(), out);
                Work::Winograd(Winograd { weights, input, out, addend, sinks, scratch, batch })
            }
            (Kind::Pool(kernel), Some(input)) => Work::Pool(Pool { kernel: *kernel, input, out, sinks }),
            (Kind::Join, Some(input)) => Work::Join(Join { input, addend, sinks }),
            (Kind::RowSum, Some(input)) => Work::RowSum(RowSum { input, out, sinks }),
        };
        kernel_set.run(work, task.rows.clone());
    }

    /// Where a picture's rows are.
    fn rows<'s>(&'s self, value: usize, (rings, beyond): Rings<'s, '_>) -> Rows<'s> {
        let program = self.job.program;
        let geometry = program.lowered.values[value].geometry;
        let kept = rings.iter().find(|kept| kept.value == value);
        let rows = match (kept, program.places[value]) {
            (Some(kept), _) => Rows::new(kept.lines, geometry, kept.ring.first, kept.ring.capacity, &program.zeros),
            (None, Some(place)) => Rows::new(self.places[place], geometry, 0, geometry.height, &program.zeros),
            (None, None) => unreachable!("a picture that nobody keeps"),
        };
        match beyond.iter().find(|kept| kept.value == value) {
            Some(next) => rows.with_beyond(next.ring.first, next.lines),
            None => rows,
        }
    }
}

fn settling(written: &crate::lower::Written) -> Settling<'_> {
    Settling { factors: &written.affine.factors, summands: &written.affine.summands, relu: written.relu }
}

/// From planes to blocks. Few pictures come that way, and none that is large.
fn pack(input: &[f32], sinks: &mut [Sink<'_>], range: Range<usize>) {
    for sink in sinks {
        let geometry = sink.rows.geometry();
        let plane = geometry.height * geometry.width;
        for y in range.clone() {
            let row = sink.rows.row(y);
            for block in 0..geometry.blocks() {
                for x in 0..geometry.width {
                    let line = &mut row[block * geometry.pixels() + geometry.left + x];
                    *line = Line::ZERO;
                    for lane in 0..geometry.channels_of(block) {
                        let value = input[(block * LANES + lane) * plane + y * geometry.width + x];
                        line.0[lane] = sink.settling.apply(value, block, lane);
                    }
                }
            }
        }
    }
}
