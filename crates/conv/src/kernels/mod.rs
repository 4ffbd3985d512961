//! What is computed, row by row. Each kernel checks once, where it is called, that all that it will touch is there.

mod direct;
mod phases;
mod planar;
mod rowwise;
mod tile;
mod winograd;

pub(crate) use direct::Direct;
pub(crate) use phases::{BAND, FACTORS, PHASED, Phases, phased, phases_lines};
pub(crate) use planar::Planar;
pub(crate) use rowwise::{Join, Pool, RowSum};
pub(crate) use tile::{SLIDING, SLIDING_PIXELS};
pub(crate) use winograd::{
    Batch, PATCH, Products, Scatter, TILE, Winograd, products_lines, scratch_lines, transformed,
};

use crate::layout::{Geometry, Line, Rows, RowsMut};

/// The most rows that a kernel of a convolution or of pooling has.
pub const MAX_KERNEL: usize = 16;

/// The most places that results are written to.
pub(crate) const MAX_SINKS: usize = 2;

/// Where results are written to, and what is done to them before.
pub(crate) struct Sink<'a> {
    pub(crate) rows: RowsMut<'a>,
    pub(crate) settling: Settling<'a>,
}

/// What is done to a result before it is written: `max(result * factor + summand, least)`.
#[derive(Clone, Copy)]
pub(crate) struct Settling<'a> {
    /// A line for each block.
    pub(crate) factors: &'a [Line],
    /// A line for each block.
    pub(crate) summands: &'a [Line],
    /// Whether what is below zero becomes zero.
    pub(crate) relu: bool,
}

impl Settling<'_> {
    /// One number's.
    pub(crate) fn apply(&self, value: f32, block: usize, lane: usize) -> f32 {
        let value = value * self.factors[block].0[lane] + self.summands[block].0[lane];
        if self.relu && value < 0.0 { 0.0 } else { value }
    }
}

impl Sink<'_> {
    /// Row `y`, for the innermost loops.
    fn pointers(&mut self, y: usize) -> tile::Sink {
        let geometry = self.rows.geometry();
        // SAFETY: the row has that padding.
        let to = unsafe { self.rows.pointer(y).add(geometry.left) };
        let Settling { factors, summands, relu } = self.settling;
        let least = if relu { 0.0 } else { f32::NEG_INFINITY };
        let (factors, summands) = (factors.as_ptr(), summands.as_ptr());
        tile::Sink { to, block_pixels: geometry.pixels(), factors, summands, least }
    }

    fn check(&self, out: Geometry) {
        assert!(same_picture(self.rows.geometry(), out), "the results' shape");
        let Settling { factors, summands, .. } = self.settling;
        assert!(factors.len() >= out.blocks() && summands.len() >= out.blocks(), "a factor for each channel");
    }
}

/// Sinks that nothing is written to.
const NO_SINKS: [tile::Sink; MAX_SINKS] = [tile::Sink {
    to: std::ptr::null_mut(),
    block_pixels: 0,
    factors: std::ptr::null(),
    summands: std::ptr::null(),
    least: 0.0,
}; MAX_SINKS];

/// Pointers to all sinks' row `y`, and how many there are.
fn sinks_at(sinks: &mut [Sink<'_>], y: usize) -> ([tile::Sink; MAX_SINKS], usize) {
    let mut pointers = NO_SINKS;
    for (pointer, sink) in pointers.iter_mut().zip(sinks.iter_mut()) {
        *pointer = sink.pointers(y);
    }
    (pointers, sinks.len())
}

/// Row `y` of what is added, for the innermost loops.
fn addend_at(addend: Option<&Rows<'_>>, y: usize) -> Option<tile::Addend> {
    addend.map(|rows| {
        let geometry = rows.geometry();
        let row = &rows.row(y as isize)[geometry.left..];
        tile::Addend { from: row.as_ptr(), block_pixels: geometry.pixels() }
    })
}

fn same_picture(a: Geometry, b: Geometry) -> bool {
    (a.channels, a.height, a.width) == (b.channels, b.height, b.width)
}

fn check_sinks(sinks: &[Sink<'_>], addend: Option<&Rows<'_>>, out: Geometry) {
    assert!(sinks.len() <= MAX_SINKS, "places to write to");
    sinks.iter().for_each(|sink| sink.check(out));
    assert!(addend.is_none_or(|addend| same_picture(addend.geometry(), out)), "the addend's shape");
}

/// The shape of a convolution's or a pooling's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// Rows and columns.
    pub(crate) size: (usize, usize),
    /// Down and across.
    pub(crate) stride: (usize, usize),
    /// Rows above and columns before the picture that the first window covers.
    pub(crate) padding: (usize, usize),
}

impl Kernel {
    /// The row of the input that an output row's window begins with.
    pub(crate) fn first_row(&self, y: usize) -> isize {
        (y * self.stride.0) as isize - self.padding.0 as isize
    }

    /// Whether an input's rows are wide enough, with their padding, for `width` outputs.
    fn fits(&self, input: Geometry, width: usize) -> bool {
        let reach = (width.max(1) - 1) * self.stride.1 + self.size.1;
        self.size.0 <= MAX_KERNEL
            && self.size.0 > 0
            && self.size.1 > 0
            && self.stride.0 > 0
            && self.stride.1 > 0
            && self.padding.1 <= input.left
            && input.left - self.padding.1 + reach <= input.pixels()
    }
}
