//! In which order rows are computed. Neighbouring steps are grouped: within a group, rows flow from step to step while they are in the
//! processor's cache, and only the last few of a picture are kept. Between groups pictures are whole.
//!
//! A group's last picture can be cut into parts, for one thread each. A part begins with all rows of earlier pictures that its own need
//! above them. So the part before it ends the earlier, and finds what it needs below its end among the next part's first rows, which are
//! kept: no row is computed twice. What reads them is done when all parts have done the rest.

use std::ops::Range;

use crate::kernels::{PATCH, TILE};
use crate::layout::LANES;
use crate::limits;
use crate::lower::{Kind, Lowered, Step};
use crate::program::batch;

/// Steps whose rows flow, all but the last one's into this group's steps alone.
pub(crate) type Group = Range<usize>;

/// Cuts the steps into groups.
pub(crate) fn groups(lowered: &Lowered) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut start = 0;
    while start < lowered.steps.len() {
        let mut end = start + 1;
        let mut bytes = weight_bytes(&lowered.steps[start]);
        let is_whole = |step: usize| weight_bytes(&lowered.steps[step]) > limits::WHOLE_WEIGHT_BYTES;
        for next in start + 1..lowered.steps.len().min(start + limits::MAX_GROUP_STEPS) {
            bytes += weight_bytes(&lowered.steps[next]);
            if bytes > limits::STREAMED_WEIGHT_BYTES || is_whole(next - 1) || is_whole(next) {
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
    /// So many tasks are done before any part's others, which read the next part's heads.
    pub(crate) early: usize,
    /// For each picture of the group but the last step's: its first row, and the number of rows that are kept.
    pub(crate) rings: Vec<(usize, Ring)>,
    /// The first rows of pictures, as far as the part before reads them.
    pub(crate) heads: Vec<(usize, Ring)>,
}

/// The rows of a picture that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    pub(crate) first: usize,
    pub(crate) capacity: usize,
}

/// How several threads share a group.
#[derive(Debug)]
pub(crate) enum Division {
    /// Each has some of the last step's rows.
    Rows(Vec<Part>),
    /// Each of so many has some products of every tile of one transformed convolution, and so reads some of its weights.
    Products(usize),
}

impl Division {
    /// Of a group for so many threads.
    pub(crate) fn of(lowered: &Lowered, group: &Group, threads: usize) -> Self {
        let products = by_products(lowered, group, threads);
        products.unwrap_or_else(|| Self::Rows(parts(lowered, group, threads)))
    }

    /// The parts of rows, if there are some.
    pub(crate) fn parts(&self) -> &[Part] {
        match self {
            Self::Rows(parts) => parts,
            Self::Products(_) => &[],
        }
    }

    /// Threads that have a share.
    pub(crate) fn threads(&self) -> usize {
        match self {
            Self::Rows(parts) => parts.len(),
            Self::Products(threads) => *threads,
        }
    }
}

fn by_products(lowered: &Lowered, group: &Group, threads: usize) -> Option<Division> {
    let step = &lowered.steps[group.start];
    let threads = threads.min(PATCH);
    if group.len() > 1 || threads < 2 || !matches!(step.kind, Kind::Winograd) {
        return None;
    }
    let input = lowered.values[step.from?].geometry;
    let tiles = step.out.width.div_ceil(TILE) * step.out.height.div_ceil(TILE);
    // Where tiles are many, weights are read for some of them at a time anyway, and threads had to wait for each other each time.
    (tiles <= batch(input, step.out).tiles).then_some(Division::Products(threads))
}

/// The parts of a group for so many threads: fewer where there are not as many rows, or where more than neighbours would need each other's.
fn parts(lowered: &Lowered, group: &Group, count: usize) -> Vec<Part> {
    let last = &lowered.steps[group.end - 1];
    let bands = last.out.height.div_ceil(last.band());
    let mut count = count.clamp(1, bands.max(1));
    loop {
        if let Some(parts) = divided(lowered, group, count) {
            return parts;
        }
        count -= 1;
    }
}

fn divided(lowered: &Lowered, group: &Group, count: usize) -> Option<Vec<Part>> {
    let starts = starts(lowered, group, count);
    let height = lowered.steps[group.end - 1].out.height;
    let mut parts: Vec<Part> = Vec::with_capacity(count);
    for (number, first) in starts.iter().enumerate().rev() {
        let next = starts.get(number + 1);
        // Each part has rows of each step.
        if next.is_some_and(|next| first.iter().zip(next).any(|(first, next)| first >= next)) {
            return None;
        }
        let planner = Planner::new(lowered, group, first.clone(), next.cloned());
        let end = next.and_then(|next| next.last().copied()).unwrap_or(height);
        let (part, reads) = planner.plan(end);
        if let Some(after) = parts.last_mut() {
            after.heads = reads;
            let own = starts.get(number + 2);
            let has = |(value, head): &(usize, Ring)| {
                let step = lowered.values[*value].step - group.start;
                own.is_none_or(|own| head.first + head.capacity <= own[step])
            };
            if !after.heads.iter().all(has) || after.with_heads(lowered) > after.early {
                return None;
            }
        }
        parts.push(part);
    }
    parts.reverse();
    balance(lowered, &mut parts);
    Some(parts)
}

impl Part {
    /// The number of tasks after which its heads are there.
    fn with_heads(&self, lowered: &Lowered) -> usize {
        let is_head = |task: &Task| {
            let of = |(value, head): &(usize, Ring)| {
                lowered.values[*value].step == task.step && task.rows.start < head.first + head.capacity
            };
            self.heads.iter().any(of)
        };
        self.tasks.iter().rposition(is_head).map_or(0, |last| last + 1)
    }
}

/// Leaves the last part, which waits for nobody, as much for the end as the others have then.
fn balance(lowered: &Lowered, parts: &mut [Part]) {
    let cost = |tasks: &[Task]| -> u64 {
        tasks.iter().map(|task| row_cost(&lowered.steps[task.step]) * task.rows.len() as u64).sum()
    };
    let Some((last, others)) = parts.split_last_mut() else { return };
    let most = others.iter().map(|part| cost(&part.tasks[part.early..])).max().unwrap_or(0);
    let least = last.with_heads(lowered);
    while last.early > least && cost(&last.tasks[last.early - 1..]) <= most {
        last.early -= 1;
    }
}

/// What a row of a step's results costs, in additions and multiplications.
fn row_cost(step: &Step) -> u64 {
    /// To write a number, and to transform it.
    const NUMBER: u64 = 64;
    let saved = match step.kind {
        Kind::Winograd => 4,
        Kind::Planar { phased: true, .. } => 2,
        _ => 1,
    };
    let numbers = (step.out.blocks() * LANES * step.out.width) as u64;
    step.operations / step.out.height.max(1) as u64 / saved + NUMBER * numbers
}

/// For each part, each step's first row: such that all parts cost the same.
fn starts(lowered: &Lowered, group: &Group, count: usize) -> Vec<Vec<usize>> {
    let last = &lowered.steps[group.end - 1];
    let bands = last.out.height.div_ceil(last.band());
    let costs: Vec<u64> = lowered.steps[group.clone()].iter().map(row_cost).collect();
    let before = |rows: &[usize]| -> u64 { rows.iter().zip(&costs).map(|(rows, cost)| *rows as u64 * cost).sum() };
    let at = |band: usize| firsts(lowered, group, band * last.band());
    let all: Vec<usize> = lowered.steps[group.clone()].iter().map(|step| step.out.height).collect();
    let mut starts = vec![at(0)];
    let mut band = 0;
    for part in 1..count {
        let share = before(&all) * part as u64 / count as u64;
        // As many are left as parts come after it.
        let most = bands - (count - part);
        band = (band + 1).min(most);
        let mut rows = at(band);
        while band < most {
            let more = at(band + 1);
            if before(&more).abs_diff(share) > before(&rows).abs_diff(share) {
                break;
            }
            (band, rows) = (band + 1, more);
        }
        starts.push(rows);
    }
    starts
}

/// For each step of the group, the first row that the last step's rows from `row` on need.
fn firsts(lowered: &Lowered, group: &Group, row: usize) -> Vec<usize> {
    let mut firsts = vec![usize::MAX; group.len()];
    if let Some(last) = firsts.last_mut() {
        *last = row;
    }
    for step in group.clone().rev() {
        let first = &mut firsts[step - group.start];
        if *first == usize::MAX {
            // Nobody in the group reads it.
            *first = 0;
            continue;
        }
        let first = *first;
        for (value, read) in reads(lowered, group, step, first..first + 1) {
            let from = lowered.values[value].step;
            let band = lowered.steps[from].band();
            let known = &mut firsts[from - group.start];
            *known = (*known).min(read.start / band * band);
        }
    }
    firsts
}

/// The pictures of a group that rows of a step's results need, and which of their rows.
fn reads<'l>(
    lowered: &'l Lowered,
    group: &Group,
    step: usize,
    rows: Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>)> + use<'l> {
    let group = group.clone();
    let described = &lowered.steps[step];
    let input = described.from.map(|value| (value, described.reads(&rows, lowered.values[value].geometry.height)));
    let addend = described.addend.map(|value| (value, rows));
    input.into_iter().chain(addend).filter(move |(value, _)| group.contains(&lowered.values[*value].step))
}

struct Planner<'l> {
    lowered: &'l Lowered,
    group: Group,
    /// For each step of the group: the first row, the next one to be computed, and the next part's first.
    first: Vec<usize>,
    done: Vec<usize>,
    ends: Vec<usize>,
    tasks: Vec<Task>,
    early: Option<usize>,
    /// For each picture: the most rows that had to be there at once.
    kept: Vec<usize>,
    /// For each picture: the end of the rows that are read of the next part's.
    read: Vec<usize>,
}

impl<'l> Planner<'l> {
    fn new(lowered: &'l Lowered, group: &Group, first: Vec<usize>, ends: Option<Vec<usize>>) -> Self {
        Self {
            lowered,
            group: group.clone(),
            done: first.clone(),
            first,
            ends: ends.unwrap_or_else(|| vec![usize::MAX; group.len()]),
            tasks: Vec::new(),
            early: None,
            kept: vec![0; lowered.values.len()],
            read: vec![0; lowered.values.len()],
        }
    }

    /// The part, and the heads that it reads of the next one.
    fn plan(mut self, end: usize) -> (Part, Vec<(usize, Ring)>) {
        let last = self.group.end - 1;
        self.produce(last, end);
        let of = |rows: &[usize], firsts: &[usize]| -> Vec<(usize, Ring)> {
            let ring = |(value, rows): (usize, &usize)| {
                let first = firsts[self.lowered.values[value].step - self.group.start];
                (value, Ring { first, capacity: *rows })
            };
            rows.iter().enumerate().filter(|(_, rows)| **rows > 0).map(ring).collect()
        };
        let (rings, mut heads) = (of(&self.kept, &self.first), of(&self.read, &self.ends));
        heads.iter_mut().for_each(|(_, head)| head.capacity -= head.first);
        let rows = self.first[last - self.group.start]..end;
        let early = self.early.unwrap_or(self.tasks.len());
        (Part { rows, early, rings, heads: vec![], tasks: self.tasks }, heads)
    }

    /// Adds tasks until the step's rows up to `end` are there, but for the next part's.
    fn produce(&mut self, step: usize, end: usize) {
        let described = &self.lowered.steps[step];
        let whole = self.group.len() == 1;
        let end = end.min(self.ends[step - self.group.start]);
        while self.done[step - self.group.start] < end {
            let begin = self.done[step - self.group.start];
            let stop = if whole { end } else { (begin + described.band()).min(described.out.height) };
            let reads: Vec<_> = reads(self.lowered, &self.group, step, begin..stop).collect();
            for (value, read) in &reads {
                self.produce(self.lowered.values[*value].step, read.end);
            }
            for (value, read) in reads {
                let from = self.lowered.values[value].step - self.group.start;
                let done = self.done[from];
                self.kept[value] = self.kept[value].max(done - read.start.min(done));
                if read.end > self.ends[from] {
                    self.read[value] = self.read[value].max(read.end);
                    self.early.get_or_insert(self.tasks.len());
                }
            }
            self.tasks.push(Task { step, rows: begin..stop });
            self.done[step - self.group.start] = stop;
            for written in described.written.iter().filter(|_| step + 1 < self.group.end) {
                self.kept[written.value] = self.kept[written.value].max(stop - begin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Shape, Windows};
    use crate::{Options, Store};

    #[test]
    fn parts_share_all_rows_and_compute_none_twice() {
        let mut graph = Graph::default();
        let mut value = graph.input(Shape { channels: 16, height: 400, width: 8 }).unwrap();
        for (stride, repeat) in [(1, 3), (2, 3), (2, 2)] {
            for number in 0..repeat {
                let stride = if number == 0 { (stride, stride) } else { (1, 1) };
                let windows = Windows { size: (3, 3), stride, rows: (1, 1), columns: (1, 1) };
                value = graph.convolution(value, 16, windows, vec![0.1; 16 * 16 * 9], None).unwrap();
            }
        }
        graph.output(value);
        let lowered = crate::lower::lower(&graph, Options::default(), &mut Store::default());
        let groups = groups(&lowered);
        assert_eq!(groups.len(), 1);
        let group = &groups[0];
        for count in 1..4 {
            let parts = parts(&lowered, group, count);
            assert_eq!(parts.len(), count);
            assert!(parts[1..].iter().all(|part| !part.heads.is_empty()), "each keeps what the one before needs");
            let tasks = || parts.iter().flat_map(|part| &part.tasks);
            for (number, step) in lowered.steps.iter().enumerate() {
                let rows: usize = tasks().filter(|task| task.step == number).map(|task| task.rows.len()).sum();
                assert_eq!(rows, step.out.height, "step {number} on {count} threads");
            }
            let of = |task: &Task| row_cost(&lowered.steps[task.step]) * task.rows.len() as u64;
            let costs: Vec<u64> = parts.iter().map(|part| part.tasks.iter().map(of).sum()).collect();
            let (least, most) = (costs.iter().min().unwrap(), costs.iter().max().unwrap());
            assert!(most - least <= most / 5, "{costs:?}");
        }
        assert!(
            parts(&lowered, group, 64).len() < 64,
            "parts as small as that would need more than a neighbour's rows"
        );
    }
}
