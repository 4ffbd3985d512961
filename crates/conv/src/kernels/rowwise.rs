//! What needs no sums over channels: pooling, sums of two pictures, and sums over a picture.

use std::ops::Range;

use super::tile::{self, Settled};
use super::{Kernel, MAX_KERNEL, MAX_SINKS, Sink, addend_at, check_sinks, sinks_at};
use crate::lanes::Lanes;
use crate::layout::{Geometry, Line, Rows};

/// The largest of each window. What is outside of the picture is not looked at.
pub(crate) struct Pool<'a, 's> {
    pub(crate) kernel: Kernel,
    pub(crate) input: Rows<'a>,
    pub(crate) out: Geometry,
    pub(crate) sinks: &'s mut [Sink<'a>],
}

impl Pool<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self) {
        let Kernel { size, stride, padding } = self.kernel;
        let input = self.input.geometry();
        assert!(stride.0 > 0 && stride.1 > 0 && size.0 > padding.0 && size.1 > padding.1, "the kernel");
        assert!((self.out.height.max(1) - 1) * stride.0 < input.height + padding.0, "the input's height");
        assert!((self.out.width.max(1) - 1) * stride.1 < input.width + padding.1, "the input's width");
        assert!(size.0 <= MAX_KERNEL && input.channels == self.out.channels, "the kernel's rows and the channels");
        check_sinks(self.sinks, None, self.out);
    }

    /// Computes the given rows.
    ///
    /// # Safety
    /// As for [`Lanes`]; [`Pool::check`] has passed.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        let geometry = self.input.geometry();
        let Kernel { size, stride, padding } = self.kernel;
        // What is left of a pooling whose columns were pooled before.
        let plain = (size.1, stride.1, padding.1) == (1, 1, 0);
        for y in range {
            let (sinks, count) = sinks_at(self.sinks, y);
            let covered_rows = covered(y, size.0, stride.0, padding.0, geometry.height);
            let mut rows = [std::ptr::null(); MAX_KERNEL];
            for (to, row) in rows.iter_mut().zip(covered_rows.clone()) {
                *to = self.input.row(row as isize)[geometry.left..].as_ptr();
            }
            let rows = &rows[..covered_rows.len()];
            for block in 0..self.out.blocks() {
                // SAFETY: the caller's promise.
                let targets = unsafe { targets::<V>(&sinks[..count], block) };
                if let (&[a, b, c], true) = (rows, plain) {
                    for x in 0..self.out.width {
                        let at = block * geometry.pixels() + x;
                        // SAFETY: the caller's promise: the rows are as wide as the results.
                        unsafe {
                            let most = V::load(a.add(at)).max_or_none(V::load(b.add(at)));
                            put(most.max_or_none(V::load(c.add(at))), &targets[..count], x);
                        }
                    }
                    continue;
                }
                for x in 0..self.out.width {
                    let columns = covered(x, size.1, stride.1, padding.1, geometry.width);
                    let at = block * geometry.pixels() + columns.start;
                    // SAFETY: the caller's promise; the window was cut to the picture, and something of it is left.
                    unsafe {
                        let mut most = V::load(rows[0].add(at));
                        for row in rows {
                            for column in 0..columns.len() {
                                most = most.max_or_none(V::load(row.add(at + column)));
                            }
                        }
                        put(most, &targets[..count], x);
                    }
                }
            }
        }
    }
}

/// The rows or columns of a window that are within the picture.
fn covered(at: usize, size: usize, stride: usize, padding: usize, length: usize) -> Range<usize> {
    let begin = at * stride;
    begin.saturating_sub(padding)..(begin + size - padding).min(length)
}

/// A picture, or the sum of two.
pub(crate) struct Join<'a, 's> {
    pub(crate) input: Rows<'a>,
    pub(crate) addend: Option<Rows<'a>>,
    pub(crate) sinks: &'s mut [Sink<'a>],
}

impl Join<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self) {
        check_sinks(self.sinks, self.addend.as_ref(), self.input.geometry());
    }

    /// Computes the given rows.
    ///
    /// # Safety
    /// As for [`Lanes`]; [`Join::check`] has passed.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        let geometry = self.input.geometry();
        for y in range {
            let (sinks, count) = sinks_at(self.sinks, y);
            let addend = addend_at(self.addend.as_ref(), y);
            let row = self.input.row(y as isize);
            for block in 0..geometry.blocks() {
                // SAFETY: the caller's promise.
                let targets = unsafe { targets::<V>(&sinks[..count], block) };
                let line = &row[block * geometry.pixels() + geometry.left..][..geometry.width];
                for (x, line) in line.iter().enumerate() {
                    // SAFETY: the caller's promise: all rows have that pixel.
                    unsafe {
                        let mut value = V::load(line);
                        if let Some(addend) = addend {
                            value = value.add(V::load(addend.from.add(block * addend.block_pixels + x)));
                        }
                        put(value, &targets[..count], x);
                    }
                }
            }
        }
    }
}

/// The sum over each row: a picture that is one pixel wide.
pub(crate) struct RowSum<'a, 's> {
    pub(crate) input: Rows<'a>,
    pub(crate) out: Geometry,
    pub(crate) sinks: &'s mut [Sink<'a>],
}

impl RowSum<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self) {
        let input = self.input.geometry();
        let shape = (self.out.channels, self.out.height, self.out.width);
        assert!(shape == (input.channels, input.height, 1), "the sums' shape");
        check_sinks(self.sinks, None, self.out);
    }

    /// Computes the given rows.
    ///
    /// # Safety
    /// As for [`Lanes`]; [`RowSum::check`] has passed.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        let geometry = self.input.geometry();
        for y in range {
            let (sinks, count) = sinks_at(self.sinks, y);
            let row = self.input.row(y as isize);
            for block in 0..geometry.blocks() {
                // SAFETY: the caller's promise.
                let targets = unsafe { targets::<V>(&sinks[..count], block) };
                let line = &row[block * geometry.pixels() + geometry.left..][..geometry.width];
                // SAFETY: the caller's promise.
                unsafe {
                    let mut sum = V::zero();
                    for line in line {
                        sum = sum.add(V::load(line));
                    }
                    put(sum, &targets[..count], 0);
                }
            }
        }
    }
}

/// One block of one row, in each picture that is written.
#[derive(Clone, Copy)]
struct Target<V> {
    to: *mut Line,
    settling: Settled<V>,
}

/// # Safety
/// As for [`tile::finish`].
#[inline(always)]
unsafe fn targets<V: Lanes>(sinks: &[tile::Sink], block: usize) -> [Target<V>; MAX_SINKS] {
    let of = [&sinks[0], sinks.last().unwrap_or(&sinks[0])];
    // SAFETY: the caller's promise.
    let first = unsafe { Settled::of(of[0], block) };
    let mut targets = [Target { to: std::ptr::null_mut(), settling: first }; MAX_SINKS];
    for (target, sink) in targets.iter_mut().zip(of) {
        // SAFETY: the caller's promise.
        unsafe {
            *target = Target { to: sink.to.add(block * sink.block_pixels), settling: Settled::of(sink, block) };
        }
    }
    targets
}

/// # Safety
/// As for [`tile::finish`].
#[inline(always)]
unsafe fn put<V: Lanes>(value: V, targets: &[Target<V>], x: usize) {
    for target in targets {
        // SAFETY: the caller's promise.
        unsafe { target.settling.apply(value).store(target.to.add(x)) };
    }
}
