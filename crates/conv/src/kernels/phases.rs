//! Convolution of planes by kernels of seven columns at stride 2, such as most networks' first layer, in strips of four neighbouring results, with 13
//! multiplications in place of 28. The even columns of a strip's input and of the kernel make up a convolution of their own, F(4, 4), and so do the
//! odd ones, F(4, 3): as both are computed at the same points, their products have the same sums. (Lavin and Gray, "Fast Algorithms for Convolutional
//! Neural Networks", 2015, for one dimension; the phases are those of a polyphase filter.)
//!
//! Strips lie on a grid that begins with the picture, so that a result's bits do not depend on what is computed with it.

use std::ops::Range;

use super::tile::{self, Settled, Weights};
use super::winograd::{inward, outward};
use super::{MAX_KERNEL, Sink, check_sinks, sinks_at};
use crate::lanes::Lanes;
use crate::layout::{Geometry, LANES, Line, numbers};
use crate::memory::zeros;

/// Columns and stride of the kernels.
pub(crate) const PHASED: (usize, usize) = (7, 2);

/// Results of a strip.
const STRIP: usize = 4;

/// Numbers of the input from one strip's to the next one's.
const STEP: usize = STRIP * PHASED.1;

/// The points that polynomials are evaluated at: those of [`inward`], and [`HALF`].
const POINTS: usize = 7;

/// The point that the even columns, which are one more, have beside the odd ones'.
const HALF: f32 = 0.5;

/// Products of a strip, for each channel and each of the kernel's rows: of even columns at each point, of odd ones at all but [`HALF`].
pub(crate) const FACTORS: usize = 2 * POINTS - 1;

/// Rows of results whose inputs are transformed at once: larger bands transform fewer rows twice, smaller ones leave more of the cache to later steps.
pub(crate) const BAND: usize = 4;

/// One convolution of planes, without padding.
pub(crate) struct Phases<'a, 's> {
    /// The kernel's rows, and its stride from row to row.
    pub(crate) rows: (usize, usize),
    /// As [`phased`] gives them.
    pub(crate) weights: &'a [Line],
    pub(crate) input: &'a [f32],
    /// Channels, rows and columns of the input.
    pub(crate) shape: (usize, usize, usize),
    pub(crate) out: Geometry,
    /// Whether what is written is the largest of three neighbouring results, of every second three: the columns of a max pooling.
    pub(crate) pooled: bool,
    pub(crate) sinks: &'s mut [Sink<'a>],
    /// See [`phases_lines`].
    pub(crate) scratch: &'s mut [Line],
}

/// Lines of scratch memory.
pub(crate) fn phases_lines(channels: usize, rows: (usize, usize), width: usize) -> usize {
    let strips = strip_lines(width);
    STEP * (strips + 1) + channels * rows_of_band(rows) * FACTORS * strips
}

/// The input's rows that a band of results needs.
fn rows_of_band((size, stride): (usize, usize)) -> usize {
    (BAND - 1) * stride + size
}

/// Lines of one number for each strip of an input's row. Odd, so that the rows of many do not fall into the same places of the cache.
fn strip_lines(width: usize) -> usize {
    width.div_ceil(STEP * LANES) | 1
}

impl Phases<'_, '_> {
    /// # Panics
    /// When the parts do not fit together.
    pub(crate) fn check(&self) {
        let (channels, height, width) = self.shape;
        assert!(self.input.len() >= channels * height * width, "the input's numbers");
        let (size, stride) = self.rows;
        assert!(stride > 0 && stride <= size && size <= MAX_KERNEL, "the kernel's rows");
        assert!((self.out.height.max(1) - 1) * stride + size <= height, "the input's height");
        assert!((self.columns() - 1) * PHASED.1 + PHASED.0 <= width, "the input's width");
        assert!(!self.pooled || self.sinks.len() == 1, "what can be pooled at once");
        assert!(self.weights.len() >= self.out.blocks() * channels * size * FACTORS, "weights for each output");
        assert!(self.scratch.len() >= phases_lines(channels, self.rows, width), "scratch memory");
        check_sinks(self.sinks, None, self.out);
    }

    /// Columns of results that are computed.
    fn columns(&self) -> usize {
        if self.pooled { 2 * self.out.width + 1 } else { self.out.width }
    }

    /// Computes the given rows.
    ///
    /// # Safety
    /// As for [`Lanes`]; [`Phases::check`] has passed.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        for begin in range.clone().step_by(BAND) {
            let band = begin..(begin + BAND).min(range.end);
            // SAFETY: the caller's promise; a band's rows are in the input, as checked.
            unsafe {
                self.transform::<V>(&band);
                for y in band.clone() {
                    match V::STRIPS {
                        4 => self.row::<V, 4>(y, (y - begin) * self.rows.1),
                        _ => self.row::<V, 1>(y, (y - begin) * self.rows.1),
                    }
                }
            }
        }
    }

    /// Transforms all rows of the input that the band's results need.
    ///
    /// # Safety
    /// As for [`Phases::run`].
    #[inline(always)]
    unsafe fn transform<V: Lanes>(&mut self, band: &Range<usize>) {
        let (channels, height, width) = self.shape;
        let lines = strip_lines(width);
        let (phases, transformed) = self.scratch.split_at_mut(STEP * (lines + 1));
        let (size, stride) = self.rows;
        let wanted = (band.len() - 1) * stride + size;
        for channel in 0..channels {
            for row in 0..wanted {
                let from = &self.input[(channel * height + band.start * stride + row) * width..][..width];
                let at = (channel * rows_of_band(self.rows) + row) * FACTORS * lines;
                let to = &mut transformed[at..][..FACTORS * lines];
                // SAFETY: the caller's promise.
                unsafe {
                    divide::<V>(from, phases, lines);
                    evaluate::<V>(phases, to, lines);
                }
            }
        }
    }

    /// One row of results, from the transformed rows from `first` on.
    ///
    /// # Safety
    /// As for [`Phases::run`]; the rows are transformed.
    #[inline(always)]
    unsafe fn row<V: Lanes, const STRIPS: usize>(&mut self, y: usize, first: usize) {
        let (channels, height, width) = self.shape;
        let lines = strip_lines(width);
        let columns = self.columns();
        let next = y * self.rows.1 + rows_of_band(self.rows);
        let (sinks, count) = sinks_at(self.sinks, y);
        let each = channels * self.rows.0 * FACTORS;
        let transformed = &numbers(self.scratch)[(STEP * (lines + 1) + first * FACTORS * lines) * LANES..];
        let strips = Strips {
            from: transformed.as_ptr(),
            channels,
            rows: self.rows.0,
            row: FACTORS * lines * LANES,
            channel: rows_of_band(self.rows) * FACTORS * lines * LANES,
            factor: lines * LANES,
            weights: Weights { first: self.weights.as_ptr(), block_lines: each },
            ahead: Ahead { input: self.input, plane: height * width, width, rows: next..next + self.rows.1 },
        };
        for block in 0..self.out.blocks() {
            // SAFETY: the caller's promise: there is a line's number for each strip that has a column, and for those after it up to a line's end.
            unsafe {
                if self.pooled {
                    strips.pool::<V, STRIPS>(block, columns, &sinks[0]);
                } else {
                    strips.write::<V, STRIPS>(block, columns, &sinks[..count]);
                }
            }
        }
    }
}

/// Divides a row by phases: for each of eight, each eighth number; zeros where the row has ended, and a line of them.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
unsafe fn divide<V: Lanes>(from: &[f32], phases: &mut [Line], lines: usize) {
    let mut tail = [0.0; STEP * LANES];
    for numbers in phases.chunks_exact_mut(lines + 1) {
        numbers[lines] = Line::ZERO;
    }
    for group in 0..lines {
        let rest = from.get(group * STEP * LANES..).unwrap_or_default();
        let numbers: &[f32; STEP * LANES] = match rest.first_chunk() {
            Some(numbers) => numbers,
            None => {
                tail.fill(0.0);
                tail[..rest.len()].copy_from_slice(rest);
                &tail
            }
        };
        // SAFETY: the caller's promise; there are eight lines of numbers.
        unsafe {
            let mut lane = [V::zero(); STEP];
            for (line, lane) in lane.iter_mut().enumerate() {
                *lane = V::read(numbers.as_ptr().add(line * LANES));
            }
            // Each time, phases of twice as many.
            lane = unzipped(unzipped(unzipped(lane)));
            for (phase, lane) in lane.iter().enumerate() {
                lane.store(&mut phases[phase * (lines + 1) + group]);
            }
        }
    }
}

/// Of neighbouring pairs of lines: first the even numbers of all, then the odd ones.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
unsafe fn unzipped<V: Lanes>(lines: [V; STEP]) -> [V; STEP] {
    let mut all = lines;
    for pair in 0..STEP / 2 {
        // SAFETY: the caller's promise.
        [all[pair], all[STEP / 2 + pair]] = unsafe { lines[2 * pair].unzip(lines[2 * pair + 1]) };
    }
    all
}

/// Evaluates each strip's even and odd columns at all points.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
unsafe fn evaluate<V: Lanes>(phases: &[Line], to: &mut [Line], lines: usize) {
    assert!(phases.len() >= STEP * (lines + 1) && to.len() >= FACTORS * lines, "lines of strips");
    let numbers = numbers(phases).as_ptr();
    for group in 0..lines {
        // SAFETY: the caller's promise; one number past a group's is within its phase's lines.
        unsafe {
            let (mut even, mut odd) = ([V::zero(); POINTS], [V::zero(); POINTS - 1]);
            for place in 0..FACTORS {
                let phase = numbers.add((place % STEP) * (lines + 1) * LANES + group * LANES);
                let column = V::read(phase.add(place / STEP));
                if place % 2 == 0 {
                    even[place / 2] = column;
                } else {
                    odd[place / 2] = column;
                }
            }
            // What is zero at one half is evaluated at the other points by what is left of it.
            let mut rest = [V::zero(); POINTS - 1];
            for (at, rest) in rest.iter_mut().enumerate() {
                *rest = even[at].mul_add(V::constant(-HALF), even[at + 1]);
            }
            let half = even[1].mul_add(V::constant(4.0), even[3].mul_add(V::constant(-5.0), even[5]));
            let to = to.as_mut_ptr().add(group);
            for (factor, line) in inward(rest).iter().enumerate() {
                line.store(to.add(factor * lines));
            }
            half.store(to.add((POINTS - 1) * lines));
            for (factor, line) in inward(odd).iter().enumerate() {
                line.store(to.add((POINTS + factor) * lines));
            }
        }
    }
}

/// The transformed strips of a row of results.
struct Strips<'a> {
    from: *const f32,
    channels: usize,
    rows: usize,
    /// Numbers from row to row, from channel to channel, and from factor to factor.
    row: usize,
    channel: usize,
    factor: usize,
    weights: Weights,
    ahead: Ahead<'a>,
}

/// The rows of the input that the next band needs, and this one has not read: a transformation does little but wait for them otherwise.
struct Ahead<'a> {
    input: &'a [f32],
    /// Numbers from channel to channel, and from row to row.
    plane: usize,
    width: usize,
    rows: Range<usize>,
}

impl Ahead<'_> {
    /// Fetches what so many results from column `x` on are of.
    ///
    /// # Safety
    /// As for [`Lanes`].
    #[inline(always)]
    unsafe fn fetch<V: Lanes>(&self, x: usize, results: usize) {
        let mut plane = 0;
        while plane < self.input.len() {
            for row in self.rows.clone() {
                let from = plane + row * self.width + x * PHASED.1;
                for line in 0..(results * PHASED.1).div_ceil(LANES) {
                    if let Some(number) = self.input.get(from + line * LANES) {
                        // SAFETY: the caller's promise.
                        unsafe { V::fetch(number) };
                    }
                }
            }
            plane += self.plane;
        }
    }
}

impl Strips<'_> {
    /// Writes all columns.
    ///
    /// # Safety
    /// As for [`Strips::results`], for all strips that have columns; the sinks have the block, and as many columns.
    #[inline(always)]
    unsafe fn write<V: Lanes, const STRIPS: usize>(&self, block: usize, columns: usize, sinks: &[tile::Sink]) {
        for x in (0..columns).step_by(STRIP * STRIPS) {
            // SAFETY: the caller's promise.
            unsafe {
                if block == 0 {
                    self.ahead.fetch::<V>(x, STRIP * STRIPS);
                }
                let results = self.results::<V, STRIPS>(block, x / STRIP);
                for sink in sinks {
                    let to = sink.to.add(block * sink.block_pixels + x);
                    let settling = Settled::of(sink, block);
                    for (at, result) in results.as_flattened().iter().enumerate() {
                        if x + at < columns {
                            settling.apply(*result).store(to.add(at));
                        }
                    }
                }
            }
        }
    }

    /// Writes the largest of columns 0 to 2, 2 to 4 and so on.
    ///
    /// # Safety
    /// As for [`Strips::write`]; the sink has half as many columns.
    #[inline(always)]
    unsafe fn pool<V: Lanes, const STRIPS: usize>(&self, block: usize, columns: usize, sink: &tile::Sink) {
        // SAFETY: the caller's promise.
        unsafe {
            let to = sink.to.add(block * sink.block_pixels);
            let settling = Settled::of(sink, block);
            // What a tile has of the three columns that the next one ends.
            let mut begun = V::zero();
            for x in (0..columns).step_by(STRIP * STRIPS) {
                if block == 0 {
                    self.ahead.fetch::<V>(x, STRIP * STRIPS);
                }
                let mut results = self.results::<V, STRIPS>(block, x / STRIP);
                let results = results.as_flattened_mut();
                for result in &mut *results {
                    *result = settling.apply(*result);
                }
                if x > 0 {
                    begun.max_or_none(results[0]).store(to.add(x / 2 - 1));
                }
                for first in (0..STRIP * STRIPS - 2).step_by(2) {
                    if x + first + 2 < columns {
                        let largest = results[first].max_or_none(results[first + 1]).max_or_none(results[first + 2]);
                        largest.store(to.add((x + first) / 2));
                    }
                }
                begun = results[STRIP * STRIPS - 2].max_or_none(results[STRIP * STRIPS - 1]);
            }
        }
    }

    /// The results of so many strips. Sums run over channels, then rows, then even columns before odd ones.
    ///
    /// # Safety
    /// As for [`Lanes`]; all numbers of the strips can be read, and so can the block's weights.
    #[inline(always)]
    unsafe fn results<V: Lanes, const STRIPS: usize>(&self, block: usize, strip: usize) -> [[V; STRIP]; STRIPS] {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[V::zero(); POINTS]; STRIPS];
            let mut weight = self.weights.first.add(block * self.weights.block_lines);
            for channel in 0..self.channels {
                for row in 0..self.rows {
                    let from = self.from.add(channel * self.channel + row * self.row + strip);
                    // Constants one by one: a loop is not unrolled, and the sums leave their registers then.
                    macro_rules! add {
                        ($($at:literal)*) => {
                            $( add::<V, STRIPS, { $at % POINTS }>(&mut sums, V::load(weight.add($at)), from.add($at * self.factor)); )*
                        };
                    }
                    add!(0 1 2 3 4 5 6 7 8 9 10 11 12);
                    weight = weight.add(FACTORS);
                }
            }
            let mut results = [[V::zero(); STRIP]; STRIPS];
            for (results, sums) in results.iter_mut().zip(&sums) {
                *results = outward([sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]]);
                for (result, power) in results.iter_mut().zip([1.0, HALF, HALF * HALF, HALF * HALF * HALF]) {
                    *result = sums[POINTS - 1].mul_add(V::constant(power), *result);
                }
            }
            results
        }
    }
}

/// Adds one product of each strip to its sum at a point.
///
/// # Safety
/// As for [`Strips::results`].
#[inline(always)]
unsafe fn add<V: Lanes, const STRIPS: usize, const POINT: usize>(
    sums: &mut [[V; POINTS]; STRIPS],
    factor: V,
    from: *const f32,
) {
    for (strip, sums) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        sums[POINT] = unsafe { factor.mul_add(V::splat(from.add(strip)), sums[POINT]) };
    }
}

/// Weights `[outputs][inputs x rows][7]` at all points: for each block of outputs, each input and row, each factor, sixteen outputs' weights.
pub(crate) fn phased(weights: &[f32], outputs: usize, rows: usize) -> Vec<Line> {
    let mut lines = zeros(outputs.div_ceil(LANES) * rows * FACTORS);
    for (at, weights) in weights.chunks_exact(PHASED.0).enumerate().take(outputs * rows) {
        let (output, row) = (at / rows, at % rows);
        let of = |first: usize| weights.iter().skip(first).step_by(2).map(|weight| f64::from(*weight));
        let factors = at_points(of(0), true).chain(at_points(of(1), false));
        for (factor, number) in factors.enumerate() {
            lines[(output / LANES * rows + row) * FACTORS + factor].0[output % LANES] = number as f32;
        }
    }
    lines
}

/// A phase's weights at the points 0, 1, -1, 2, -2, at infinity, and with `half` at one half: each divided by its distances from the other points.
fn at_points(weights: impl DoubleEndedIterator<Item = f64> + Clone, half: bool) -> impl Iterator<Item = f64> {
    let points = [0.0, 1.0, -1.0, 2.0, -2.0, f64::from(HALF)];
    let points = points.into_iter().take(if half { 6 } else { 5 });
    let last = weights.clone().next_back();
    let mut finite: Vec<f64> = points
        .clone()
        .map(|point| {
            let value = weights.clone().rfold(0.0, |value, weight| value * point + weight);
            let distances: f64 = points.clone().filter(|other| *other != point).map(|other| point - other).product();
            value / distances
        })
        .collect();
    finite.splice(5..5, last);
    finite.into_iter()
}
