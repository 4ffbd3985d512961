//! One transformed convolution on several threads, by products: each thread reads its own weights and no others.

use std::ops::Range;

use super::{Each, Few, Job, Outside, PartMemory, Room, Shared, at_once, rows_of, settling};
use crate::isa::Work;
use crate::kernels::{PATCH, Products, Scatter, Sink, TILE};
use crate::layout::{Line, RowsMut};

impl Job<'_> {
    /// Computes a group of one such step.
    pub(super) fn products(&self, group: usize, mut room: Room<'_>) {
        let mut results = room.take_results(self.last_step(group));
        let Room { pictures, parts, .. } = &mut room;
        let shared = Shared { job: self, group, pictures, outside: &Outside { inputs: &[], padded: &[] } };
        let (height, count) = (shared.step().out.height, parts.len());
        at_once(parts.iter_mut().enumerate(), |(part, memory)| {
            shared.multiply(products_of(part, count), memory.scratch);
        });
        let border = |part: usize| (height.div_ceil(TILE) * part / count * TILE).min(height);
        let ranges: Each<Range<usize>> = (0..count).map(|part| border(part)..border(part + 1)).collect();
        let mut targets: Each<(Range<usize>, Few<RowsMut<'_>>)> =
            ranges.iter().map(|range| (range.clone(), Few::new())).collect();
        for (value, lines) in &mut results {
            let own = rows_of(lines, self.program.lowered.values[*value].geometry, ranges.iter().cloned());
            targets.iter_mut().zip(own).for_each(|((_, targets), rows)| targets.extend(rows));
        }
        let sums = shared.sums(parts);
        let wanted = targets.into_iter().filter(|(rows, _)| !rows.is_empty());
        at_once(wanted, |(rows, targets)| shared.scatter(sums, rows, targets));
    }
}

/// The rows of a patch's products that a part has.
fn products_of(part: usize, count: usize) -> Range<usize> {
    PATCH * part / count..PATCH * (part + 1) / count
}

impl Shared<'_> {
    fn multiply(&self, rows: Range<usize>, scratch: &mut [Line]) {
        let step = self.step();
        let Some(input) = step.from.map(|value| self.rows(value, (&[], &[]))) else { return };
        let weights = step.weights.as_deref().map(Vec::as_slice).unwrap_or_default();
        let work = Products { weights, input, out: step.out, scratch, rows };
        self.job.program.options.kernels.run(Work::Products(work), 0..step.out.height);
    }

    /// Each row of products' sums.
    fn sums<'s>(&self, parts: &'s [PartMemory<'_>]) -> [&'s [Line]; PATCH] {
        let out = self.step().out;
        let each = PATCH * out.blocks() * out.width.div_ceil(TILE) * out.height.div_ceil(TILE);
        let mut sums: [&[Line]; PATCH] = [&[]; PATCH];
        for (part, memory) in parts.iter().enumerate() {
            for (row, lines) in products_of(part, parts.len()).zip(memory.scratch.chunks_exact(each)) {
                sums[row] = lines;
            }
        }
        sums
    }

    fn scatter(&self, sums: [&[Line]; PATCH], rows: Range<usize>, mut targets: Few<RowsMut<'_>>) {
        let step = self.step();
        let mut sinks = Few::new();
        for (to, written) in targets.iter_mut().zip(&step.written) {
            // The memory may have held another picture.
            rows.clone().for_each(|y| to.clear_padding(y));
            sinks.push(Sink { rows: to.reborrow(), settling: settling(written) });
        }
        let addend = step.addend.map(|value| self.rows(value, (&[], &[])));
        let work = Scatter { sums, out: step.out, addend, sinks: &mut sinks };
        self.job.program.options.kernels.run(Work::Scatter(work), rows);
    }
}
