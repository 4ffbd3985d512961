//! What is computed, row by row. Each kernel checks once, where it is called, that all that it will touch is there.

mod direct;
mod planar;
mod rowwise;
mod tile;
mod winograd;

pub(crate) use direct::Direct;
pub(crate) use planar::Planar;
pub(crate) use rowwise::{Join, Pool, RowSum};
pub(crate) use winograd::{TILE, Winograd, scratch_lines, transformed};

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

/// What is done to a result before it is written: `max(result * factor + summand, 0)`, or less than that.
#[derive(Clone, Copy)]
pub(crate) struct Settling<'a> {
    /// A line of factors and one of summands for each block.
    pub(crate) affine: Option<(&'a [Line], &'a [Line])>,
    pub(crate) relu: bool,
}

impl Settling<'_> {
    /// One number's.
    pub(crate) fn apply(&self, value: f32, block: usize, lane: usize) -> f32 {
        let value = match self.affine {
            Some((factors, summands)) => value * factors[block].0[lane] + summands[block].0[lane],
            None => value,
        };
        if self.relu && value < 0.0 { 0.0 } else { value }
    }
}

impl Sink<'_> {
    /// Row `y`, for the innermost loops.
    fn pointers(&mut self, y: usize) -> tile::Sink {
        let geometry = self.rows.geometry();
        let offset = self.rows.offset(y) + geometry.left;
        // SAFETY: the row is one of those in memory, and has that padding.
        let to = unsafe { self.rows.start().add(offset) };
        let affine = self.settling.affine.map(|(factor, summand)| (factor.as_ptr(), summand.as_ptr()));
        tile::Sink { to, block_pixels: geometry.pixels(), affine, relu: self.settling.relu }
    }

    fn check(&self, out: Geometry) {
        assert!(same_picture(self.rows.geometry(), out), "the results' shape");
        if let Some((factor, summand)) = self.settling.affine {
            assert!(factor.len() >= out.blocks() && summand.len() >= out.blocks(), "a factor for each channel");
        }
    }
}

/// Pointers to all sinks' row `y`.
fn sinks_at(sinks: &mut [Sink<'_>], y: usize) -> ([tile::Sink; MAX_SINKS], usize) {
    let nowhere = tile::Sink { to: std::ptr::null_mut(), block_pixels: 0, affine: None, relu: false };
    let mut pointers = [nowhere; MAX_SINKS];
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
