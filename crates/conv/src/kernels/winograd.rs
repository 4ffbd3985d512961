//! Convolution by 3 x 3 kernels of stride 1 in tiles of 4 x 4 outputs, with 36 multiplications in place of 144: F(4x4, 3x3) (Lavin and
//! Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). Tiles lie on a grid that begins with the picture, so that an output's
//! bits do not depend on which rows are computed together.

use std::ops::Range;

use super::tile::{self, Settled, Tiled, Weights, Window, all_tiles, sums, tile_widths};
use super::{MAX_SINKS, NO_SINKS, Sink, addend_at, check_sinks, sinks_at};
use crate::lanes::Lanes;
use crate::layout::{Geometry, Line, Rows};

mod transform;

pub(crate) use transform::transformed;
pub(super) use transform::{inward, outward};
use transform::{outputs, patch};

/// Rows and columns of outputs of a tile.
pub(crate) const TILE: usize = 4;

/// Rows and columns of inputs that a tile's outputs depend on.
pub(crate) const PATCH: usize = 6;

/// Products of a tile, for each pair of channels.
const PRODUCTS: usize = PATCH * PATCH;

/// What is transformed and multiplied at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) tiles: usize,
    /// Rows of each patch's products, of six. Its input is read once for each so many.
    pub(crate) rows: usize,
}

/// Lines of scratch memory: some rows of the patches, and all sums.
pub(crate) fn scratch_lines(input: Geometry, out: Geometry, batch: Batch) -> usize {
    PATCH * batch.tiles * (batch.rows * input.blocks() + PATCH * out.blocks())
}

/// One convolution of blocked rows.
pub(crate) struct Winograd<'a, 's> {
    /// As [`transformed`] gives them.
    pub(crate) weights: &'a [Line],
    pub(crate) input: Rows<'a>,
    pub(crate) out: Geometry,
    pub(crate) addend: Option<Rows<'a>>,
    pub(crate) sinks: &'s mut [Sink<'a>],
    /// See [`scratch_lines`].
    pub(crate) scratch: &'s mut [Line],
    pub(crate) batch: Batch,
}

impl Winograd<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self) {
        let input = self.input.geometry();
        check_input(self.weights, input, self.out);
        let Batch { tiles, rows } = self.batch;
        assert!(tiles > 0 && (1..=PATCH).contains(&rows), "a batch of {tiles} tiles and {rows} rows of products");
        assert!(self.scratch.len() >= scratch_lines(input, self.out, self.batch), "scratch memory");
        check_sinks(self.sinks, self.addend.as_ref(), self.out);
    }

    /// Whether rows begin with a row of tiles, on which it depends that their bits are the same whatever is computed with them.
    pub(crate) fn begins_with_tiles(&self, range: &Range<usize>) -> bool {
        range.start.is_multiple_of(TILE)
    }

    /// Computes the given rows, which begin with a row of tiles, and end with one or with the picture.
    ///
    /// # Safety
    /// As for [`Lanes`]; [`Winograd::check`] has passed.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        let across = self.out.width.div_ceil(TILE);
        let all = across * range.len().div_ceil(TILE);
        // In equal shares: a small rest would read all weights too.
        let most = all.div_ceil(all.div_ceil(self.batch.tiles).max(1));
        let mut from = 0;
        while from < all {
            let count = most.min(all - from);
            let chunk = Chunk { top: range.start, across, from, count };
            let patches = self.scratch.as_mut_ptr();
            // SAFETY: the caller's promise; patches and sums are within the scratch memory, as checked.
            unsafe {
                let first = patches.add(self.batch.rows * PATCH * self.input.geometry().blocks() * count);
                let block_lines = PRODUCTS * count;
                let row_of_sums = |row: usize| first.add(row * PATCH * count);
                for row in (0..PATCH).step_by(self.batch.rows) {
                    let sums = Sums { first: row_of_sums(row), block_lines, product_lines: count };
                    let products =
                        Multiplied { weights: self.weights, input: self.input, out: self.out, patches, sums };
                    products.run::<V>(chunk, row..PATCH.min(row + self.batch.rows));
                }
                let rows = std::array::from_fn(|row| row_of_sums(row).cast_const());
                let sums = Summed { rows, block_lines, product_lines: count };
                scatter::<V>(sums, chunk, self.out, self.addend.as_ref(), self.sinks);
            }
            from += count;
        }
    }
}

/// Lines of scratch memory for some rows of each patch's products, of `tiles` tiles. See [`Products`].
pub(crate) fn products_lines(input: Geometry, out: Geometry, rows: usize, tiles: usize) -> usize {
    rows * PATCH * tiles * (input.blocks() + out.blocks())
}

/// The first part of [`Winograd`] for some rows of each patch's products: the sums, which are left in memory for [`Scatter`].
pub(crate) struct Products<'a, 's> {
    pub(crate) weights: &'a [Line],
    pub(crate) input: Rows<'a>,
    pub(crate) out: Geometry,
    /// See [`products_lines`]; it begins with the sums.
    pub(crate) scratch: &'s mut [Line],
    /// Of six.
    pub(crate) rows: Range<usize>,
}

impl Products<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self, range: &Range<usize>) {
        check_input(self.weights, self.input.geometry(), self.out);
        assert!(range.start.is_multiple_of(TILE), "rows {range:?} do not begin with a row of tiles");
        assert!(self.rows.start <= self.rows.end && self.rows.end <= PATCH, "rows of products");
        let tiles = tiles_of(self.out, range);
        let needed = products_lines(self.input.geometry(), self.out, self.rows.len(), tiles);
        assert!(self.scratch.len() >= needed, "scratch memory");
    }

    /// Multiplies all of the given rows' tiles.
    ///
    /// # Safety
    /// As for [`Lanes`]; [`Products::check`] has passed.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        let across = self.out.width.div_ceil(TILE);
        let count = tiles_of(self.out, &range);
        if count == 0 {
            return;
        }
        let first = self.scratch.as_mut_ptr();
        let product_lines = self.out.blocks() * count;
        let sums = Sums { first, block_lines: count, product_lines };
        // SAFETY: the caller's promise; sums and patches are within the scratch memory, as checked.
        unsafe {
            let patches = first.add(self.rows.len() * PATCH * product_lines);
            let products = Multiplied { weights: self.weights, input: self.input, out: self.out, patches, sums };
            products.run::<V>(Chunk { top: range.start, across, from: 0, count }, self.rows.clone());
        }
    }
}

/// The second part of [`Winograd`]: from the sums to the outputs.
pub(crate) struct Scatter<'a, 's> {
    /// For each row of a patch's products: its sums, of all tiles of the picture.
    pub(crate) sums: [&'a [Line]; PATCH],
    pub(crate) out: Geometry,
    pub(crate) addend: Option<Rows<'a>>,
    pub(crate) sinks: &'s mut [Sink<'a>],
}

impl Scatter<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self, range: &Range<usize>) {
        assert!(range.start.is_multiple_of(TILE), "rows {range:?} do not begin with a row of tiles");
        let needed = PATCH * self.out.blocks() * tiles_of(self.out, &(0..self.out.height));
        assert!(self.sums.iter().all(|sums| sums.len() >= needed), "sums of each product");
        check_sinks(self.sinks, self.addend.as_ref(), self.out);
    }

    /// Writes the given rows.
    ///
    /// # Safety
    /// As for [`Lanes`]; [`Scatter::check`] has passed.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        let across = self.out.width.div_ceil(TILE);
        let before = tiles_of(self.out, &(0..range.start));
        let count = tiles_of(self.out, &range);
        let block_lines = tiles_of(self.out, &(0..self.out.height));
        // SAFETY: the caller's promise; the tiles before the range's are among the sums.
        unsafe {
            let rows = self.sums.map(|sums| sums.as_ptr().add(before));
            let sums = Summed { rows, block_lines, product_lines: self.out.blocks() * block_lines };
            let chunk = Chunk { top: range.start, across, from: 0, count };
            scatter::<V>(sums, chunk, self.out, self.addend.as_ref(), self.sinks);
        }
    }
}

fn tiles_of(out: Geometry, range: &Range<usize>) -> usize {
    out.width.div_ceil(TILE) * range.len().div_ceil(TILE)
}

fn check_input(weights: &[Line], input: Geometry, out: Geometry) {
    assert!((input.height, input.width) == (out.height, out.width), "a picture of the same size");
    let reach = out.width.div_ceil(TILE) * TILE + 1;
    assert!(input.left >= 1 && input.left + reach <= input.pixels(), "padding around the input");
    assert!(weights.len() >= PRODUCTS * out.blocks() * input.channels, "weights for each output");
}

/// Where sums are written to: each block's and each product's, a line for each tile.
#[derive(Clone, Copy)]
struct Sums {
    first: *mut Line,
    block_lines: usize,
    product_lines: usize,
}

/// Patches and their products' sums.
struct Multiplied<'a> {
    weights: &'a [Line],
    input: Rows<'a>,
    out: Geometry,
    /// For each product, each block, each tile, a line.
    patches: *mut Line,
    sums: Sums,
}

impl Multiplied<'_> {
    /// Transforms and multiplies a chunk's tiles, for some rows of products.
    ///
    /// # Safety
    /// As for [`Winograd::run`]; the chunk is of the output's tiles, and there is memory for its patches and sums.
    #[inline(always)]
    unsafe fn run<V: Lanes>(&self, chunk: Chunk, rows: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe {
            // Where all are wanted, as most often, no patch is asked which.
            if rows.len() == PATCH {
                self.gather::<V>(chunk, 0..PATCH);
            } else {
                self.gather::<V>(chunk, rows.clone());
            }
            self.multiply::<V>(chunk.count, rows.start * PATCH..rows.end * PATCH);
        }
    }

    /// Transforms the chunk's patches.
    ///
    /// # Safety
    /// As for [`Multiplied::run`].
    #[inline(always)]
    unsafe fn gather<V: Lanes>(&self, chunk: Chunk, wanted: Range<usize>) {
        let geometry = self.input.geometry();
        let blocks = geometry.blocks();
        for (row, columns, first) in chunk.rows() {
            let y = (chunk.top + row * TILE) as isize - 1;
            let rows: [*const Line; PATCH] =
                std::array::from_fn(|at| self.input.row(y + at as isize)[geometry.left - 1..].as_ptr());
            for block in 0..blocks {
                for (index, column) in columns.clone().enumerate() {
                    let offset = block * geometry.pixels() + column * TILE;
                    // SAFETY: the caller's promise: a patch is within the padded row; each product's line is within the memory.
                    unsafe {
                        let to = self.patches.add(block * chunk.count + first + index);
                        patch::<V>(&rows, offset, to, blocks * chunk.count, wanted.clone());
                    }
                }
            }
        }
    }

    /// For each product: the sums over the input's channels, for each block of outputs.
    ///
    /// # Safety
    /// As for [`Multiplied::run`].
    #[inline(always)]
    unsafe fn multiply<V: Lanes>(&self, count: usize, products: Range<usize>) {
        let channels = self.input.geometry().channels;
        let (blocks, outs) = (self.input.geometry().blocks(), self.out.blocks());
        let widths = tile_widths::<V>(count);
        for (index, product) in products.enumerate() {
            // SAFETY: within the memory and the weights, as checked.
            let panel = unsafe {
                Panel {
                    from: self.patches.add(index * blocks * count),
                    window: Window { channels, block_pixels: count, columns: 1, stride: 1 },
                    weights: Weights {
                        first: self.weights.as_ptr().add(product * outs * channels),
                        block_lines: channels,
                    },
                    to: self.sums.first.add(index * self.sums.product_lines),
                    block_lines: self.sums.block_lines,
                    count,
                }
            };
            // SAFETY: the caller's promise.
            unsafe { all_tiles::<V, _, 1>(&panel, outs, widths) };
        }
    }
}

/// Where sums are: for each row of products, the first one's; lines from block to block, and from product to product.
#[derive(Clone, Copy)]
struct Summed {
    rows: [*const Line; PATCH],
    block_lines: usize,
    product_lines: usize,
}

impl Summed {
    /// The same, `lines` further.
    ///
    /// # Safety
    /// There are as many.
    #[inline(always)]
    unsafe fn add(mut self, lines: usize) -> Self {
        for row in &mut self.rows {
            // SAFETY: the caller's promise.
            *row = unsafe { row.add(lines) };
        }
        self
    }
}

/// Transforms the sums back, and writes the outputs.
///
/// # Safety
/// As for [`Winograd::run`]; the chunk is of the output's tiles, whose sums are there.
#[inline(always)]
unsafe fn scatter<V: Lanes>(
    sums: Summed,
    chunk: Chunk,
    out: Geometry,
    addend: Option<&Rows<'_>>,
    all_sinks: &mut [Sink<'_>],
) {
    for (row, columns, first) in chunk.rows() {
        let top = chunk.top + row * TILE;
        let height = TILE.min(out.height - top);
        let mut addends = [None; TILE];
        let mut sinks = [NO_SINKS; TILE];
        for y in 0..height {
            addends[y] = addend_at(addend, top + y);
            sinks[y] = sinks_at(all_sinks, top + y).0;
        }
        let target = Target { addends, sinks, count: all_sinks.len(), height, width: out.width };
        for block in 0..out.blocks() {
            for (index, column) in columns.clone().enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    let from = sums.add(block * sums.block_lines + first + index);
                    target.write::<V>(from, block, column * TILE);
                }
            }
        }
    }
}

/// Some of the tiles of a range of rows.
#[derive(Clone, Copy)]
struct Chunk {
    /// The range's first row.
    top: usize,
    /// Tiles in a row.
    across: usize,
    from: usize,
    count: usize,
}

impl Chunk {
    /// For each row of tiles: its number, the chunk's columns in it, and the number in the chunk of the first.
    fn rows(self) -> impl Iterator<Item = (usize, Range<usize>, usize)> {
        let end = self.from + self.count;
        (self.from / self.across..end.div_ceil(self.across)).map(move |row| {
            let begin = (row * self.across).max(self.from);
            let stop = ((row + 1) * self.across).min(end);
            (row, begin - row * self.across..stop - row * self.across, begin - self.from)
        })
    }
}

/// One product of all tiles.
struct Panel {
    from: *const Line,
    window: Window,
    weights: Weights,
    to: *mut Line,
    /// Lines from one output block's sums to the next one's.
    block_lines: usize,
    count: usize,
}

impl Tiled for Panel {
    fn width(&self) -> usize {
        self.count
    }

    #[inline(always)]
    unsafe fn tile<V: Lanes, const BLOCKS: usize, const PIXELS: usize, const STRIDE: usize>(
        &self,
        block: usize,
        x: usize,
    ) {
        // SAFETY: the caller's promise: the tile is within the tiles that were transformed.
        unsafe {
            let first = self.weights.first.add(block * self.weights.block_lines);
            let weights = Weights { first, block_lines: self.weights.block_lines };
            let sums = sums::<V, BLOCKS, PIXELS, STRIDE>(&[self.from.add(x)], self.window, weights);
            // Written out, because a loop over blocks is not unrolled, and the sums leave their registers then.
            keep(&sums[0], self.to.add(block * self.block_lines + x));
            if BLOCKS > 1 {
                keep(&sums[1], self.to.add((block + 1) * self.block_lines + x));
            }
        }
    }
}

/// # Safety
/// As for [`Lanes`]; there is room for all sums.
#[inline(always)]
unsafe fn keep<V: Lanes, const PIXELS: usize>(sums: &[V; PIXELS], to: *mut Line) {
    for (pixel, sum) in sums.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { sum.store(to.add(pixel)) };
    }
}

/// A row of tiles in the outputs.
struct Target {
    /// Each row's; those below the picture are not looked at.
    addends: [Option<tile::Addend>; TILE],
    sinks: [[tile::Sink; MAX_SINKS]; TILE],
    /// How many sinks each row has.
    count: usize,
    height: usize,
    width: usize,
}

impl Target {
    /// # Safety
    /// As for [`Lanes`]; `from` is a tile's sums, and the tile begins within the rows.
    #[inline(always)]
    unsafe fn write<V: Lanes>(&self, from: Summed, block: usize, x: usize) {
        // SAFETY: the caller's promise; what is outside of the picture is not written.
        unsafe {
            let outputs = outputs::<V>(from);
            let width = TILE.min(self.width - x);
            // Where the bounds are constants, everything stays in registers.
            if self.height == TILE && width == TILE {
                self.put(outputs, block, x, TILE, TILE);
            } else {
                self.put(outputs, block, x, self.height, width);
            }
        }
    }

    /// # Safety
    /// As for [`Target::write`]; `height` and `width` are no more than the picture has from there on.
    #[inline(always)]
    unsafe fn put<V: Lanes>(
        &self,
        mut outputs: [[V; TILE]; TILE],
        block: usize,
        x: usize,
        height: usize,
        width: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.addends[0].is_some() {
                for (row, outputs) in outputs.iter_mut().enumerate().take(height) {
                    let Some(addend) = self.addends[row] else { continue };
                    let from = addend.from.add(block * addend.block_pixels + x);
                    for (column, output) in outputs.iter_mut().enumerate().take(width) {
                        *output = output.add(V::load(from.add(column)));
                    }
                }
            }
            for number in 0..self.count {
                let settling = Settled::of(&self.sinks[0][number], block);
                for (row, outputs) in outputs.iter().enumerate().take(height) {
                    let sink = &self.sinks[row][number];
                    let to = sink.to.add(block * sink.block_pixels + x);
                    for (column, output) in outputs.iter().enumerate().take(width) {
                        settling.apply(*output).store(to.add(column));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
