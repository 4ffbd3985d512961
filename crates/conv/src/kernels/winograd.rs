//! Convolution by 3 x 3 kernels of stride 1 in tiles of 4 x 4 outputs, with 36 multiplications in place of 144: F(4x4, 3x3) (Lavin and
//! Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). Tiles lie on a grid that begins with the picture, so that an output's
//! bits do not depend on which rows are computed together.

use std::ops::Range;

use super::tile::{self, Settled, Tiled, Weights, Window, all_tiles, sums, tile_widths};
use super::{MAX_SINKS, NO_SINKS, Sink, addend_at, check_sinks, sinks_at};
use crate::lanes::Lanes;
use crate::layout::{Geometry, LANES, Line, Rows};
use crate::memory::zeros;

/// Rows and columns of outputs of a tile.
pub(crate) const TILE: usize = 4;

/// Rows and columns of inputs that a tile's outputs depend on.
const PATCH: usize = 6;

/// Products of a tile, for each pair of channels.
const PRODUCTS: usize = PATCH * PATCH;

/// Lines of scratch memory for `tiles` tiles at a time.
pub(crate) fn scratch_lines(input: Geometry, out: Geometry, tiles: usize) -> usize {
    PRODUCTS * tiles * (input.blocks() + out.blocks())
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
    /// Tiles at a time.
    pub(crate) tiles: usize,
}

impl Winograd<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self) {
        let input = self.input.geometry();
        assert!((input.height, input.width) == (self.out.height, self.out.width), "a picture of the same size");
        let reach = self.out.width.div_ceil(TILE) * TILE + 1;
        assert!(input.left >= 1 && input.left + reach <= input.pixels(), "padding around the input");
        assert!(self.weights.len() >= PRODUCTS * self.out.blocks() * input.channels, "weights for each output");
        assert!(self.tiles > 0 && self.scratch.len() >= scratch_lines(input, self.out, self.tiles), "scratch memory");
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
        let most = all.div_ceil(all.div_ceil(self.tiles).max(1));
        let mut from = 0;
        while from < all {
            let count = most.min(all - from);
            let chunk = Chunk { top: range.start, across, from, count };
            // SAFETY: the caller's promise.
            unsafe {
                self.gather::<V>(chunk);
                self.multiply::<V>(count);
                self.scatter::<V>(chunk);
            }
            from += count;
        }
    }

    /// Transforms the chunk's patches: for each product, each block, each tile, a line.
    ///
    /// # Safety
    /// As for [`Winograd::run`]; the chunk is of its tiles.
    #[inline(always)]
    unsafe fn gather<V: Lanes>(&mut self, chunk: Chunk) {
        let geometry = self.input.geometry();
        let blocks = geometry.blocks();
        let to = self.scratch.as_mut_ptr();
        for (row, columns, first) in chunk.rows() {
            let y = (chunk.top + row * TILE) as isize - 1;
            let rows: [*const Line; PATCH] =
                std::array::from_fn(|at| self.input.row(y + at as isize)[geometry.left - 1..].as_ptr());
            for block in 0..blocks {
                for (index, column) in columns.clone().enumerate() {
                    let offset = block * geometry.pixels() + column * TILE;
                    // SAFETY: the caller's promise: a patch is within the padded row; each product's line is within the scratch memory.
                    unsafe {
                        let to = to.add(block * chunk.count + first + index);
                        patch::<V>(&rows, offset, to, blocks * chunk.count);
                    }
                }
            }
        }
    }

    /// For each product: the sums over the input's channels, for each block of outputs.
    ///
    /// # Safety
    /// As for [`Winograd::run`]; the chunk is of its tiles.
    #[inline(always)]
    unsafe fn multiply<V: Lanes>(&mut self, count: usize) {
        let channels = self.input.geometry().channels;
        let (blocks, outs) = (self.input.geometry().blocks(), self.out.blocks());
        let sums_at = PRODUCTS * blocks * count;
        let scratch = self.scratch.as_mut_ptr();
        let widths = tile_widths::<V>(count);
        for product in 0..PRODUCTS {
            // SAFETY: within the scratch memory and the weights, as checked.
            let panel = unsafe {
                Panel {
                    from: scratch.add(product * blocks * count),
                    window: Window { channels, block_pixels: count, columns: 1, stride: 1 },
                    weights: Weights {
                        first: self.weights.as_ptr().add(product * outs * channels),
                        block_lines: channels,
                    },
                    to: scratch.add(sums_at + product * count),
                    block_lines: PRODUCTS * count,
                    count,
                }
            };
            // SAFETY: the caller's promise.
            unsafe { all_tiles::<V, _, 1>(&panel, outs, widths) };
        }
    }

    /// Transforms the sums back, and writes the outputs.
    ///
    /// # Safety
    /// As for [`Winograd::run`]; the chunk is of its tiles.
    #[inline(always)]
    unsafe fn scatter<V: Lanes>(&mut self, chunk: Chunk) {
        let sums_at = PRODUCTS * self.input.geometry().blocks() * chunk.count;
        // SAFETY: within the scratch memory, as checked.
        let from = unsafe { self.scratch.as_ptr().add(sums_at) };
        for (row, columns, first) in chunk.rows() {
            let top = chunk.top + row * TILE;
            let height = TILE.min(self.out.height - top);
            let mut addends = [None; TILE];
            let mut sinks = [NO_SINKS; TILE];
            for y in 0..height {
                addends[y] = addend_at(self.addend.as_ref(), top + y);
                sinks[y] = sinks_at(self.sinks, top + y).0;
            }
            let target = Target { addends, sinks, count: self.sinks.len(), height, width: self.out.width };
            for block in 0..self.out.blocks() {
                for (index, column) in columns.clone().enumerate() {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let from = from.add(block * PRODUCTS * chunk.count + first + index);
                        target.write::<V>(from, chunk.count, block, column * TILE);
                    }
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
    /// As for [`Lanes`]; `from` is a tile's first sum, with the others each `stride` lines further, and the tile begins within the rows.
    #[inline(always)]
    unsafe fn write<V: Lanes>(&self, from: *const Line, stride: usize, block: usize, x: usize) {
        // SAFETY: the caller's promise; what is outside of the picture is not written.
        unsafe {
            let outputs = outputs::<V>(from, stride);
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

/// B^T d B of one patch: a line for each product, `stride` lines apart.
///
/// # Safety
/// As for [`Lanes`]; six lines from `offset` on can be read of each row, and all products' lines written.
#[inline(always)]
unsafe fn patch<V: Lanes>(rows: &[*const Line; PATCH], offset: usize, to: *mut Line, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[V::zero(); PATCH]; PATCH];
        for column in 0..PATCH {
            let mut d = [V::zero(); PATCH];
            for (row, d) in d.iter_mut().enumerate() {
                *d = V::load(rows[row].add(offset + column));
            }
            half[column] = inward(d);
        }
        for row in 0..PATCH {
            let mut d = [V::zero(); PATCH];
            for (column, d) in d.iter_mut().enumerate() {
                *d = half[column][row];
            }
            for (column, v) in inward(d).iter().enumerate() {
                v.store(to.add((row * PATCH + column) * stride));
            }
        }
    }
}

/// B^T d, at the points 0, 1, -1, 2, -2 and infinity.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
unsafe fn inward<V: Lanes>(d: [V; PATCH]) -> [V; PATCH] {
    // SAFETY: the caller's promise.
    unsafe {
        let (two, four) = (V::constant(2.0), V::constant(4.0));
        let (minus_two, minus_four, minus_five) = (V::constant(-2.0), V::constant(-4.0), V::constant(-5.0));
        let even = d[2].mul_add(minus_four, d[4]);
        let odd = d[1].mul_add(minus_four, d[3]);
        let even_two = d[4].sub(d[2]);
        let odd_two = d[3].sub(d[1]);
        [
            d[0].mul_add(four, d[2].mul_add(minus_five, d[4])),
            even.add(odd),
            even.sub(odd),
            odd_two.mul_add(two, even_two),
            odd_two.mul_add(minus_two, even_two),
            d[1].mul_add(four, d[3].mul_add(minus_five, d[5])),
        ]
    }
}

/// A^T m A of one tile.
///
/// # Safety
/// As for [`Lanes`]; all products' lines can be read, `stride` lines apart.
#[inline(always)]
unsafe fn outputs<V: Lanes>(from: *const Line, stride: usize) -> [[V; TILE]; TILE] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[V::zero(); TILE]; PATCH];
        for column in 0..PATCH {
            let mut m = [V::zero(); PATCH];
            for (row, m) in m.iter_mut().enumerate() {
                *m = V::load(from.add((row * PATCH + column) * stride));
            }
            half[column] = outward(m);
        }
        let mut outputs = [[V::zero(); TILE]; TILE];
        for row in 0..TILE {
            let mut m = [V::zero(); PATCH];
            for (column, m) in m.iter_mut().enumerate() {
                *m = half[column][row];
            }
            outputs[row] = outward(m);
        }
        outputs
    }
}

/// A^T m.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
unsafe fn outward<V: Lanes>(m: [V; PATCH]) -> [V; TILE] {
    // SAFETY: the caller's promise.
    unsafe {
        let (two, four, eight) = (V::constant(2.0), V::constant(4.0), V::constant(8.0));
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum_two, difference_two) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(sum).add(sum_two),
            difference_two.mul_add(two, difference),
            sum_two.mul_add(four, sum),
            difference_two.mul_add(eight, difference).add(m[5]),
        ]
    }
}

/// G g G^T of weights `[outputs][inputs][3][3]`: for each product, each block of outputs, each input, sixteen outputs' weights.
pub(crate) fn transformed(weights: &[f32], outputs: usize, inputs: usize) -> Vec<Line> {
    const G: [[f64; 3]; PATCH] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    let blocks = outputs.div_ceil(LANES);
    let mut lines = zeros(PRODUCTS * blocks * inputs);
    for output in 0..outputs {
        for input in 0..inputs {
            let g = &weights[(output * inputs + input) * 9..][..9];
            for row in 0..PATCH {
                for column in 0..PATCH {
                    let mut sum = 0.0;
                    for (at, weight) in g.iter().enumerate() {
                        sum += G[row][at / 3] * f64::from(*weight) * G[column][at % 3];
                    }
                    let product = row * PATCH + column;
                    let line = (product * blocks + output / LANES) * inputs + input;
                    lines[line].0[output % LANES] = sum as f32;
                }
            }
        }
    }
    lines
}
