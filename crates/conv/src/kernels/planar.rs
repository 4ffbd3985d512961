//! Convolution of what comes in planes, one a channel, as pictures do from outside: with few channels, blocks would be mostly padding.

use std::ops::Range;

use super::tile::{
    self, Planes, SLIDING, SLIDING_PIXELS, Settled, Tiled, Weights, all_tiles, finish, planar_sums, sliding_sums,
    tile_widths, tiles,
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
    /// Whether what is written is the largest of three neighbouring results, of every second three: the columns of a max pooling.
    pub(crate) pooled: bool,
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
        assert!((self.columns() - 1) * stride.1 + size.1 <= width, "the input's width");
        if self.pooled {
            let slides = (size.1, stride.1) == SLIDING && self.columns() >= SLIDING_PIXELS;
            assert!(slides && self.sinks.len() == 1, "what can be pooled at once");
        }
        assert!(self.weights.len() >= self.out.blocks() * channels * size.0 * size.1, "weights for each output");
        check_sinks(self.sinks, None, self.out);
    }

    /// Columns of results that are computed.
    fn columns(&self) -> usize {
        if self.pooled { 2 * self.out.width + 1 } else { self.out.width }
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
        let widths = tile_widths::<V>(self.out.width);
        for y in range {
            let (sinks, count) = sinks_at(self.sinks, y);
            let row = Row {
                from: self.input[y * stride.0 * width..].as_ptr(),
                planes,
                weights: Weights { first: self.weights.as_ptr(), block_lines: channels * size.0 * size.1 },
                sinks: &sinks[..count],
                width: self.out.width,
            };
            // SAFETY: the caller's promise; what was checked holds for each row.
            unsafe {
                match stride.1 {
                    _ if self.pooled => row.slide_and_pool::<V>(self.out.blocks()),
                    _ if row.slides::<V>() => row.slide::<V>(self.out.blocks()),
                    1 => all_tiles::<V, _, 1>(&row, self.out.blocks(), widths),
                    2 => all_tiles::<V, _, 2>(&row, self.out.blocks(), widths),
                    _ => all_tiles::<V, _, 0>(&row, self.out.blocks(), widths),
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
}

impl Row<'_> {
    /// Whether windows are such that they can be computed by [`tile::sliding_sums`], with the registers that takes.
    #[inline(always)]
    fn slides<V: Lanes>(&self) -> bool {
        V::PIXELS[0] > SLIDING_PIXELS
            && (self.planes.kernel.1, self.planes.stride) == SLIDING
            && self.width >= SLIDING_PIXELS
    }

    /// As [`Row::slide`], with the largest of columns 0 to 2, 2 to 4 and so on written in place of all.
    ///
    /// # Safety
    /// As for [`tile::sliding_sums`] and [`tile::finish`].
    #[inline(always)]
    unsafe fn slide_and_pool<V: Lanes>(&self, blocks: usize) {
        assert!(V::PIXELS[0] > SLIDING_PIXELS, "registers for it");
        let needed = 2 * self.width + 1;
        let Some(sink) = self.sinks.first() else { return };
        for block in 0..blocks {
            // SAFETY: the caller's promise: the tiles, and so their windows, are within the rows.
            unsafe {
                let to = sink.to.add(block * sink.block_pixels);
                let settling = Settled::of(sink, block);
                let mut x = 0;
                // What a tile has of the three columns that the next one ends.
                let mut begun = V::zero();
                while x + SLIDING_PIXELS <= needed {
                    let results = self.settled::<V>(x, block, settling);
                    if x > 0 {
                        begun.max_or_none(results[0]).store(to.add(x / 2 - 1));
                    }
                    largest::<V, 0>(&results, to.add(x / 2));
                    begun = results[SLIDING_PIXELS - 2].max_or_none(results[SLIDING_PIXELS - 1]);
                    x += SLIDING_PIXELS;
                }
                // What is left is an odd number of columns, so that the last tile begins with an odd one.
                let last = needed - SLIDING_PIXELS;
                let results = self.settled::<V>(last, block, settling);
                if last + 1 == x {
                    begun.max_or_none(results[1]).store(to.add(x / 2 - 1));
                }
                largest::<V, 1>(&results, to.add(last.div_ceil(2)));
            }
        }
    }

    /// # Safety
    /// As for [`tile::sliding_sums`].
    #[inline(always)]
    unsafe fn settled<V: Lanes>(&self, x: usize, block: usize, settling: Settled<V>) -> [V; SLIDING_PIXELS] {
        // SAFETY: the caller's promise.
        unsafe {
            let weights = self.weights.first.add(block * self.weights.block_lines);
            let [mut sums] = sliding_sums::<V>(self.from.add(x * self.planes.stride), self.planes, weights);
            for sum in &mut sums {
                *sum = settling.apply(*sum);
            }
            sums
        }
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
}

impl Tiled for Row<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    unsafe fn tile<V: Lanes, const BLOCKS: usize, const PIXELS: usize, const STRIDE: usize>(
        &self,
        block: usize,
        x: usize,
    ) {
        // SAFETY: the caller's promise: the tile, and so its windows, are within the rows.
        unsafe {
            let first = self.weights.first.add(block * self.weights.block_lines);
            let weights = Weights { first, block_lines: self.weights.block_lines };
            let sums =
                planar_sums::<V, BLOCKS, PIXELS, STRIDE>(self.from.add(x * self.planes.stride), self.planes, weights);
            finish::<V, BLOCKS, PIXELS>(sums, (block, x), None, self.sinks);
        }
    }
}

/// Writes the largest of each three columns, from column `FIRST` on.
///
/// # Safety
/// As for [`Lanes`]; there is room for ten lines.
#[inline(always)]
unsafe fn largest<V: Lanes, const FIRST: usize>(results: &[V; SLIDING_PIXELS], to: *mut Line) {
    for at in 0..(SLIDING_PIXELS - 2) / 2 {
        let from = FIRST + 2 * at;
        // SAFETY: the caller's promise.
        unsafe {
            results[from].max_or_none(results[from + 1]).max_or_none(results[from + 2]).store(to.add(at));
        }
    }
}
