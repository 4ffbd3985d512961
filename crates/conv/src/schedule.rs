//! In which order rows are computed. Neighbouring steps are grouped: within a group, rows flow from step to step while they are in the
//! processor's cache, and only the last few of a picture are kept. Between groups pictures are whole.
//!
//! A group's last picture can be cut into parts, for one thread each. A part computes the rows of earlier pictures that it needs itself, so
//! that threads do not wait for each other; on the border two parts compute the same.

use std::ops::Range;

use crate::limits;
use crate::lower::{Lowered, Step};

/// Steps whose rows flow, all but the last one's into this group's steps alone.
pub(crate) type Group = Range<usize>;

/// Cuts the steps into groups.
pub(crate) fn groups(lowered: &Lowered) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut start = 0;
    while start < lowered.steps.len() {
        let mut end = start + 1;
        let mut bytes = weight_bytes(&lowered.steps[start]);
        for next in start + 1..lowered.steps.len().min(start + limits::MAX_GROUP_STEPS) {
            bytes += weight_bytes(&lowered.steps[next]);
            if bytes > limits::STREAMED_WEIGHT_BYTES {
                break;
            }
            if can_end(lowered, start, next) {
                end = next + 1;
            }
        }
        groups.push(start..end);
        start = end;
    }
    groups
}

fn weight_bytes(step: &Step) -> usize {
    step.weights.as_ref().map_or(0, |weights| size_of_val(weights.as_slice()))
}

/// Whether only the last step's pictures are read outside of the group.
fn can_end(lowered: &Lowered, start: usize, last: usize) -> bool {
    lowered
        .values
        .iter()
        .filter(|value| (start..last).contains(&value.step))
        .all(|value| !value.is_output && value.readers.iter().all(|reader| *reader <= last))
}

/// Rows of one step's results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) step: usize,
    pub(crate) rows: Range<usize>,
}

/// One thread's share of a group.
#[derive(Debug)]
pub(crate) struct Part {
    /// The last step's rows that it is for.
    pub(crate) rows: Range<usize>,
    pub(crate) tasks: Vec<Task>,
    /// For each picture of the group but the last step's: its first row, and the number of rows that are kept.
    pub(crate) rings: Vec<(usize, Ring)>,
}

/// The rows of a picture that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    pub(crate) first: usize,
    pub(crate) capacity: usize,
}

/// The parts of a group for so many threads: fewer where there are not as many rows.
pub(crate) fn parts(lowered: &Lowered, group: &Group, count: usize) -> Vec<Part> {
    let last = &lowered.steps[group.end - 1];
    let bands = last.out.height.div_ceil(last.band());
    let count = count.clamp(1, bands.max(1));
    let border = |part: usize| (bands * part / count * last.band()).min(last.out.height);
    (0..count).map(|part| Planner::new(lowered, group).plan(border(part)..border(part + 1))).collect()
}

struct Planner<'l> {
    lowered: &'l Lowered,
    group: Group,
    /// For each step of the group: the first row, and the next one to be computed.
    first: Vec<usize>,
    done: Vec<usize>,
    tasks: Vec<Task>,
    /// For each picture: the most rows that had to be there at once.
    kept: Vec<usize>,
}

impl<'l> Planner<'l> {
    fn new(lowered: &'l Lowered, group: &Group) -> Self {
        Self {
            lowered,
            group: group.clone(),
            first: vec![usize::MAX; group.len()],
            done: Vec::new(),
            tasks: Vec::new(),
            kept: vec![0; lowered.values.len()],
        }
    }

    fn plan(mut self, rows: Range<usize>) -> Part {
        let last = self.group.end - 1;
        self.first[last - self.group.start] = rows.start;
        for step in self.group.clone().rev() {
            let first = self.first[step - self.group.start];
            if first == usize::MAX {
                // Nobody in the group reads it.
                self.first[step - self.group.start] = 0;
                continue;
            }
            for (value, read) in self.reads(step, first..first + 1) {
                let from = self.lowered.values[value].step;
                let band = self.lowered.steps[from].band();
                let known = &mut self.first[from - self.group.start];
                *known = (*known).min(read.start / band * band);
            }
        }
        self.done = self.first.clone();
        self.produce(last, rows.end);
        let rings = self.kept.iter().enumerate().filter(|(_, rows)| **rows > 0).map(|(value, rows)| {
            let first = self.first[self.lowered.values[value].step - self.group.start];
            (value, Ring { first, capacity: *rows })
        });
        Part { rows, rings: rings.collect(), tasks: self.tasks }
    }

    /// Adds tasks until the step's rows up to `end` are there.
    fn produce(&mut self, step: usize, end: usize) {
        let described = &self.lowered.steps[step];
        let whole = self.group.len() == 1;
        while self.done[step - self.group.start] < end {
            let begin = self.done[step - self.group.start];
            let stop = if whole { end } else { (begin + described.band()).min(described.out.height) };
            let reads: Vec<_> = self.reads(step, begin..stop).collect();
            for (value, read) in &reads {
                self.produce(self.lowered.values[*value].step, read.end);
            }
            for (value, read) in reads {
                let done = self.done[self.lowered.values[value].step - self.group.start];
                self.kept[value] = self.kept[value].max(done - read.start.min(done));
            }
            self.tasks.push(Task { step, rows: begin..stop });
            self.done[step - self.group.start] = stop;
            for written in described.written.iter().filter(|_| step + 1 < self.group.end) {
                self.kept[written.value] = self.kept[written.value].max(stop - begin);
            }
        }
    }

    /// The pictures of this group that rows of a step's results need, and which of their rows.
    fn reads(&self, step: usize, rows: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<'l> {
        let (lowered, group) = (self.lowered, self.group.clone());
        let described = &lowered.steps[step];
        let input = described.from.map(|value| (value, described.reads(&rows, lowered.values[value].geometry.height)));
        let addend = described.addend.map(|value| (value, rows));
        input.into_iter().chain(addend).filter(move |(value, _)| group.contains(&lowered.values[*value].step))
    }
}
