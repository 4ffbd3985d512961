//! What a computation's memory is for, group by group.

use std::ops::RangeInclusive;

use smallvec::SmallVec;

use super::{Few, padded};
use crate::kernels::{PATCH, TILE, phases_lines, products_lines, scratch_lines};
use crate::layout::Line;
use crate::lower::{Kind, Lowered, Step, Value};
use crate::memory::Lent;
use crate::placement::{Block, Purpose};
use crate::program::{Plan, Program, batch};
use crate::schedule::{Division, Group, Ring};

/// Threads whose lists take no memory of their own.
const THREADS: usize = 2;

/// Pictures of a group whose lists take no memory of their own: the screening network has 19 in its first, and small networks have more.
const PICTURES: usize = 32;

/// One for each thread.
pub(super) type Each<T> = SmallVec<[T; THREADS]>;

/// What one group works in.
#[derive(Default)]
pub(super) struct Room<'m> {
    /// Whole pictures by their values: those that were written and are still read, and those that the group writes.
    pub(super) pictures: SmallVec<[(usize, &'m mut [Line]); 8]>,
    /// By their steps, inputs with padding around each plane.
    pub(super) padded: SmallVec<[(usize, &'m mut [Line]); 2]>,
    pub(super) parts: Each<PartMemory<'m>>,
    /// For each thread: the rows that are kept for the part before.
    pub(super) heads: Each<Rows<'m>>,
}

#[derive(Default)]
pub(super) struct PartMemory<'m> {
    /// The rows that are kept.
    pub(super) rings: Rows<'m>,
    pub(super) scratch: &'m mut [Line],
}

pub(super) type Rows<'m> = SmallVec<[Kept<'m>; PICTURES]>;

/// The rows of a picture that are kept.
pub(super) struct Kept<'m> {
    pub(super) value: usize,
    pub(super) ring: Ring,
    pub(super) lines: &'m mut [Line],
}

impl<'m> Room<'m> {
    /// Of a group, or of what is given out, whose number is the one after them.
    pub(super) fn of(group: usize, plan: &Plan, memory: &'m mut Lent<'_>) -> Self {
        let division = plan.groups.get(group);
        let threads = division.map_or(0, Division::threads);
        let mut room = Self::default();
        room.parts.resize_with(threads, PartMemory::default);
        room.heads.resize_with(threads, Rows::default);
        let parts = division.map(Division::parts).unwrap_or_default();
        memory.during(group, |purpose, lines| match purpose {
            Purpose::Picture(value) => room.pictures.push((value, lines)),
            Purpose::Padded(step) => room.padded.push((step, lines)),
            Purpose::Scratch { thread } => room.parts[thread].scratch = lines,
            Purpose::Ring { thread, number } => {
                let (value, ring) = parts[thread].rings[number];
                room.parts[thread].rings.push(Kept { value, ring, lines });
            }
            Purpose::Head { thread, number } => {
                let (value, ring) = parts[thread].heads[number];
                room.heads[thread].push(Kept { value, ring, lines });
            }
        });
        room
    }

    /// Takes the memory of a step's results out of the pictures.
    pub(super) fn take_results(&mut self, step: &Step) -> Few<(usize, &'m mut [Line])> {
        let take = |value: usize| {
            let picture = self.pictures.iter_mut().find(|(picture, _)| *picture == value);
            (value, picture.map(|(_, lines)| std::mem::take(lines)).unwrap_or_default())
        };
        step.written.iter().map(|written| written.value).map(take).collect()
    }
}

/// All memory that a computation takes.
pub(crate) fn blocks(program: &Program, divisions: &[Division]) -> Vec<Block> {
    let Program { lowered, groups, .. } = program;
    let mut blocks = Vec::new();
    for (number, (group, division)) in groups.iter().zip(divisions).enumerate() {
        let mut add = |purpose, lines, groups| blocks.push(Block { purpose, lines, groups });
        for written in &lowered.steps[group.end - 1].written {
            let value = &lowered.values[written.value];
            let lines = value.geometry.row_lines() * value.geometry.height;
            add(Purpose::Picture(written.value), lines, needed(value, number, groups));
        }
        for step in group.clone() {
            let lines = padded(program, &lowered.steps[step]).map_or(0, |padded| padded.lines());
            add(Purpose::Padded(step), lines, number..=number);
        }
        for thread in 0..division.threads() {
            add(Purpose::Scratch { thread }, scratch(lowered, group, division), number..=number);
        }
        for (thread, part) in division.parts().iter().enumerate() {
            let lines = |(value, ring): (usize, Ring)| ring.capacity * lowered.values[value].geometry.row_lines();
            for (at, ring) in part.rings.iter().enumerate() {
                add(Purpose::Ring { thread, number: at }, lines(*ring), number..=number);
            }
            for (at, head) in part.heads.iter().enumerate() {
                add(Purpose::Head { thread, number: at }, lines(*head), number..=number);
            }
        }
    }
    blocks
}

/// The groups while which a whole picture is needed that one of them writes; what is given out is after all of them.
fn needed(value: &Value, group: usize, groups: &[Group]) -> RangeInclusive<usize> {
    if value.is_output {
        return group..=groups.len();
    }
    let of = |reader: &usize| groups.iter().take_while(|group| group.end <= *reader).count();
    group..=value.readers.iter().max().map_or(group, of)
}

/// Lines that each thread of a group works in.
fn scratch(lowered: &Lowered, group: &Group, division: &Division) -> usize {
    let of = |step: &Step| match (&step.kind, step.from, division) {
        (Kind::Winograd, Some(from), Division::Products(threads)) => {
            let tiles = step.out.width.div_ceil(TILE) * step.out.height.div_ceil(TILE);
            products_lines(lowered.values[from].geometry, step.out, PATCH.div_ceil(*threads), tiles)
        }
        (Kind::Winograd, Some(from), Division::Rows(_)) => {
            let input = lowered.values[from].geometry;
            scratch_lines(input, step.out, batch(input, step.out))
        }
        (Kind::Planar { input, windows, phased: true, .. }, ..) => {
            let shape = lowered.inputs[*input];
            let width = shape.width + windows.columns.0 + windows.columns.1;
            phases_lines(shape.channels, (windows.size.0, windows.stride.0), width)
        }
        _ => 0,
    };
    lowered.steps[group.clone()].iter().map(of).max().unwrap_or(0)
}
