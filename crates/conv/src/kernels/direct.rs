//! Convolution as it is written down: for each output, the sum over its window.

use std::ops::Range;

use super::tile::{Tiled, Weights, Window, all_tiles, finish, sums, tile_widths};
use super::{Kernel, MAX_KERNEL, Sink, addend_at, check_sinks, sinks_at, tile};
use crate::lanes::Lanes;
use crate::layout::{Geometry, Line, Rows};

/// One convolution of blocked rows.
pub(crate) struct Direct<'a, 's> {
    pub(crate) kernel: Kernel,
    /// For each block of outputs, each block of inputs, kernel row, kernel column and channel of the block: sixteen outputs' weights.
    pub(crate) weights: &'a [Line],
    pub(crate) input: Rows<'a>,
    pub(crate) out: Geometry,
    pub(crate) addend: Option<Rows<'a>>,
    pub(crate) sinks: &'s mut [Sink<'a>],
}

impl Direct<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self) {
        let block_lines = self.block_lines();
        assert!(self.weights.len() >= self.out.blocks() * block_lines, "weights for each output");
        assert!(self.kernel.fits(self.input.geometry(), self.out.width), "the input's width");
        check_sinks(self.sinks, self.addend.as_ref(), self.out);
    }

    fn block_lines(&self) -> usize {
        self.input.geometry().channels * self.kernel.size.0 * self.kernel.size.1
    }

    /// Computes the given rows.
    ///
    /// # Safety
    /// As for [`Lanes`]; [`Direct::check`] has passed.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        let geometry = self.input.geometry();
        let window = Window {
            channels: geometry.channels,
            block_pixels: geometry.pixels(),
            columns: self.kernel.size.1,
            stride: self.kernel.stride.1,
        };
        let height = self.kernel.size.0;
        let widths = tile_widths::<V>(self.out.width);
        for y in range {
            let mut rows = [std::ptr::null(); MAX_KERNEL];
            for (at, row) in rows[..height].iter_mut().enumerate() {
                let line = self.input.row(self.kernel.first_row(y) + at as isize);
                *row = line[geometry.left - self.kernel.padding.1..].as_ptr();
            }
            let (sinks, count) = sinks_at(self.sinks, y);
            let row = Row {
                rows: &rows[..height],
                window,
                weights: Weights { first: self.weights.as_ptr(), block_lines: self.block_lines() },
                addend: addend_at(self.addend.as_ref(), y),
                sinks: &sinks[..count],
                width: self.out.width,
            };
            // SAFETY: the caller's promise; what was checked holds for each row.
            unsafe {
                match self.kernel.stride.1 {
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
    rows: &'a [*const Line],
    window: Window,
    weights: Weights,
    addend: Option<tile::Addend>,
    sinks: &'a [tile::Sink],
    width: usize,
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
            let mut rows = [std::ptr::null(); MAX_KERNEL];
            let rows = &mut rows[..self.rows.len()];
            for (at, from) in rows.iter_mut().zip(self.rows) {
                *at = from.add(x * self.window.stride);
            }
            let first = self.weights.first.add(block * self.weights.block_lines);
            let weights = Weights { first, block_lines: self.weights.block_lines };
            let sums = sums::<V, BLOCKS, PIXELS, STRIDE>(rows, self.window, weights);
            finish::<V, BLOCKS, PIXELS>(sums, (block, x), self.addend, self.sinks);
        }
    }
}
