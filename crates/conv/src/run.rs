//! Computing: each part's tasks in their order, each group's parts at once, the groups one after another.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::graph::{Shape, Windows};
use crate::isa::Work;
use crate::kernels::{Direct, Join, Kernel, MAX_SINKS, Phases, Planar, Pool, RowSum, Settling, Sink, Winograd};
use crate::layout::{Geometry, LANES, Line, Rows, RowsMut, numbers, numbers_mut};
use crate::lower::{Given, Kind, Step};
use crate::memory::Lent;
use crate::program::{Plan, Program, batch};
use crate::schedule::{Division, Part, Ring, Task};

mod products;
mod room;

use self::room::{Each, Kept, PartMemory, Room};

pub(crate) use self::room::blocks;

/// As many as a step has results: no list of them takes memory of its own for each row.
type Few<T> = SmallVec<[T; MAX_SINKS]>;

/// What each step took.
pub(crate) type Times = Mutex<Vec<Duration>>;

/// One computation.
pub(crate) struct Job<'p> {
    pub(crate) program: &'p Program,
    pub(crate) plan: &'p Plan,
    /// Where each step's time is added, when it is measured.
    pub(crate) times: Option<&'p Times>,
}

impl Job<'_> {
    pub(crate) fn run(&self, memory: &mut Lent<'_>, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let groups = &self.plan.groups;
        for (group, division) in groups.iter().enumerate() {
            let room = Room::of(group, self.plan, memory);
            match division {
                Division::Rows(parts) => self.group(group, parts, room, inputs),
                Division::Products(_) => self.products(group, room),
            }
        }
        let Room { pictures, .. } = Room::of(groups.len(), self.plan, memory);
        let wanted = self.program.lowered.outputs.iter().zip(outputs).filter(|(_, output)| !output.is_empty());
        for (given, output) in wanted {
            self.give(given, &pictures, output);
        }
    }

    /// Runs one group's parts, each on the rows of the last step's pictures that are its own.
    fn group(&self, group: usize, planned: &[Part], mut room: Room<'_>, inputs: &[&[f32]]) {
        for (step, lines) in &mut room.padded {
            self.pad(&self.program.lowered.steps[*step], inputs, lines);
        }
        let mut results = room.take_results(self.last_step(group));
        let Room { pictures, padded, parts, heads } = &mut room;
        let shares = planned.iter().zip(parts).map(|(part, memory)| Share { part, targets: Few::new(), memory });
        let mut shares: Each<Share<'_, '_>> = shares.collect();
        for (value, lines) in &mut results {
            let geometry = self.program.lowered.values[*value].geometry;
            let own = rows_of(lines, geometry, planned.iter().map(|part| part.rows.clone()));
            shares.iter_mut().zip(own).for_each(|(share, rows)| share.targets.extend(rows));
        }
        let shared = Shared { job: self, group, pictures, outside: &Outside { inputs, padded } };
        at_once(shares.iter_mut().zip(&mut *heads), |(share, heads)| shared.early(share, heads));
        if planned.iter().any(|part| part.early < part.tasks.len()) {
            at_once(shares.iter_mut().enumerate(), |(number, share)| {
                let beyond = heads.get(number + 1).map(|heads| heads.as_slice()).unwrap_or_default();
                shared.late(share, beyond);
            });
        }
    }

    fn last_step(&self, group: usize) -> &Step {
        &self.program.lowered.steps[self.program.groups[group].end - 1]
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

    fn give(&self, given: &Given, pictures: &[(usize, &mut [Line])], output: &mut [f32]) {
        let geometry = self.program.lowered.values[given.value].geometry;
        let Some((_, lines)) = pictures.iter().find(|(value, _)| *value == given.value) else { return };
        let rows = Rows::new(lines, geometry, 0, geometry.height, &self.program.zeros);
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
    /// By their steps.
    padded: &'a [(usize, &'a mut [Line])],
}

impl Outside<'_> {
    fn padded(&self, step: usize) -> &[Line] {
        self.padded.iter().find(|(padded, _)| *padded == step).map_or(&[], |(_, lines)| lines)
    }
}

/// The rows that a part keeps, and those that the next one kept for it.
type Rings<'s, 'm> = (&'s [Kept<'m>], &'s [Kept<'m>]);

/// What a group's parts share.
struct Shared<'a> {
    job: &'a Job<'a>,
    group: usize,
    pictures: &'a [(usize, &'a mut [Line])],
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
    let mut items: Each<T> = items.collect();
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
        self.job.last_step(self.group)
    }

    /// Does what needs nothing of other parts, and keeps what another one needs.
    fn early(&self, share: &mut Share<'_, '_>, heads: &mut [Kept<'_>]) {
        let tasks = &share.part.tasks[..share.part.early];
        for task in tasks {
            self.task(task, share, &[]);
            for head in heads.iter_mut() {
                self.keep(task, head, &share.memory.rings);
            }
        }
    }

    /// Does the rest, with the rows that the next part kept.
    fn late(&self, share: &mut Share<'_, '_>, beyond: &[Kept<'_>]) {
        let tasks = &share.part.tasks[share.part.early..];
        tasks.iter().for_each(|task| self.task(task, share, beyond));
    }

    fn task(&self, task: &Task, share: &mut Share<'_, '_>, beyond: &[Kept<'_>]) {
        let start = self.job.times.map(|times| (times, Instant::now()));
        let Share { targets, memory: PartMemory { rings, scratch }, .. } = share;
        if task.step + 1 == self.job.program.groups[self.group].end {
            self.last(task, targets, (rings, beyond), scratch);
        } else {
            self.inner(task, rings, beyond, scratch);
        }
        if let Some((times, start)) = start {
            times.lock().unwrap_or_else(PoisonError::into_inner)[task.step] += start.elapsed();
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
                    Some(wanted) => (numbers(self.outside.padded(task.step)), wanted.height, wanted.width),
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
        let picture = || self.pictures.iter().find(|(picture, _)| *picture == value);
        let rows = match (kept, picture()) {
            (Some(kept), _) => Rows::new(kept.lines, geometry, kept.ring.first, kept.ring.capacity, &program.zeros),
            (None, Some((_, lines))) => Rows::new(lines, geometry, 0, geometry.height, &program.zeros),
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
