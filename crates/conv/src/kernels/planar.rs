//! Convolution of what comes in planes, one a channel, as pictures do from outside: with few channels, blocks would be mostly padding.

use std::ops::Range;

use super::tile::{
    self, Planes, SLIDING, SLIDING_PIXELS, Weights, finish, planar_sums, sliding_sums, tile_width, tiles, with_width,
};
use super::{Kernel, Sink, check_sinks, sinks_at};
use crate::lanes::Lanes;
use crate::layout::{Geometry, Line};

/// One convolution of planes, without padding.
pub(crate) struct Planar<'a, 's> {
    pub(crate) kernel: Kernel,
    /// For each block of outputs, each channel, kernel row and kernel column: sixteen outputs' weights.
    pub(crate) weights: &'a [Line],
    pub(crate) input: &'a [f32],
    /// Channels, rows and columns of the input.
    pub(crate) shape: (usize, usize, usize),
    pub(crate) out: Geometry,
    pub(crate) sinks: &'s mut [Sink<'a>],
}

impl Planar<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self) {
        let (channels, height, width) = self.shape;
        assert!(self.input.len() >= channels * height * width, "the input's numbers");
        let Kernel { size, stride, padding } = self.kernel;
        assert!(padding == (0, 0) && stride.0 > 0 && stride.1 > 0, "planes without padding");
        assert!((self.out.height.max(1) - 1) * stride.0 + size.0 <= height, "the input's height");
        assert!((self.out.width.max(1) - 1) * stride.1 + size.1 <= width, "the input's width");
        assert!(self.weights.len() >= self.out.blocks() * channels * size.0 * size.1, "weights for each output");
        check_sinks(self.sinks, None, self.out);
    }

    /// Computes the given rows.
    ///
    /// # Safety
    /// As for [`Lanes`]; [`Planar::check`] has passed.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        let (channels, height, width) = self.shape;
        let Kernel { size, stride, .. } = self.kernel;
        let planes = Planes { channels, plane: height * width, row: width, kernel: size, stride: stride.1 };
        let tiles = V::PIXELS.map(|most| tile_width(self.out.width, most));
        for y in range {
            let (sinks, count) = sinks_at(self.sinks, y);
            let row = Row {
                from: self.input[y * stride.0 * width..].as_ptr(),
                planes,
                weights: Weights { first: self.weights.as_ptr(), block_lines: channels * size.0 * size.1 },
                sinks: &sinks[..count],
                width: self.out.width,
                tiles,
            };
            // SAFETY: the caller's promise; what was checked holds for each row.
            unsafe {
                match stride.1 {
                    _ if row.slides::<V>() => row.slide::<V>(self.out.blocks()),
                    1 => row.run::<V, 1>(self.out.blocks()),
                    2 => row.run::<V, 2>(self.out.blocks()),
                    _ => row.run::<V, 0>(self.out.blocks()),
                }
            }
        }
    }
}

/// One output row.
struct Row<'a> {
    from: *const f32,
    planes: Planes,
    weights: Weights,
    sinks: &'a [tile::Sink],
    width: usize,
    /// How wide tiles are, of one block and of two.
    tiles: [usize; 2],
}

impl Row<'_> {
    /// Whether windows are such that they can be computed by [`tile::sliding_sums`], with the registers that takes.
    #[inline(always)]
    fn slides<V: Lanes>(&self) -> bool {
        V::PIXELS[0] > SLIDING_PIXELS
            && (self.planes.kernel.1, self.planes.stride) == SLIDING
            && self.width >= SLIDING_PIXELS
    }

    /// # Safety
    /// As for [`tile::sliding_sums`] and [`tile::finish`].
    #[inline(always)]
    unsafe fn slide<V: Lanes>(&self, blocks: usize) {
        for block in 0..blocks {
            for x in tiles(self.width, SLIDING_PIXELS) {
                // SAFETY: the caller's promise: the tile, and so its windows, are within the rows.
                unsafe {
                    let from = self.from.add(x * self.planes.stride);
                    let weights = self.weights.first.add(block * self.weights.block_lines);
                    let sums = sliding_sums::<V>(from, self.planes, weights);
                    finish::<V, 1, SLIDING_PIXELS>(sums, (block, x), None, self.sinks);
                }
            }
        }
    }

    /// # Safety
    /// As for [`tile::planar_sums`] and [`tile::finish`].
    #[inline(always)]
    unsafe fn run<V: Lanes, const STRIDE: usize>(&self, blocks: usize) {
        let mut block = 0;
        while block < blocks {
            // SAFETY: the caller's promise.
            unsafe {
                if V::PIXELS[1] > 0 && block + 1 < blocks {
                    let width = self.tiles[1];
                    for x in tiles(self.width, width) {
                        with_width!((width, V::PIXELS[1]), one::<V, 2, _, STRIDE>, (self, block, x));
                    }
                    block += 2;
                } else {
                    let width = self.tiles[0];
                    for x in tiles(self.width, width) {
                        with_width!((width, V::PIXELS[0]), one::<V, 1, _, STRIDE>, (self, block, x));
                    }
                    block += 1;
                }
            }
        }
    }
}

/// # Safety
/// As for [`tile::planar_sums`] and [`tile::finish`].
#[inline(always)]
unsafe fn one<V: Lanes, const BLOCKS: usize, const PIXELS: usize, const STRIDE: usize>(
    row: &Row<'_>,
    block: usize,
    x: usize,
) {
    // SAFETY: the caller's promise: the tile, and so its windows, are within the rows.
    unsafe {
        let first = row.weights.first.add(block * row.weights.block_lines);
        let weights = Weights { first, block_lines: row.weights.block_lines };
        let sums = planar_sums::<V, BLOCKS, PIXELS, STRIDE>(row.from.add(x * row.planes.stride), row.planes, weights);
        finish::<V, BLOCKS, PIXELS>(sums, (block, x), None, row.sinks);
    }
}
