//! One planned window to a network's input: cut, scale, normalise.
//!
//! What lies outside of the crop counts as 0 and is never stored: rows and columns that only zeros reach are skipped. A window has five
//! million numbers, more than caches hold, so that they pass through memory twice only: when they are computed, and summed up on the way,
//! and when they are normalised.

use std::ops::Range;

use cloister_conv::{Wide, wide};
use ndarray::Array2;

use crate::CropPlan;
use crate::memory::{self, Lent};
use crate::resize::{Runs, Taps};

/// Least deviation that a window is divided by, so that a uniform one stays finite.
const LEAST_DEVIATION: f64 = 1e-5;

/// How many partial sums are added up side by side.
const LANES: usize = 8;

/// How many numbers are added up in single precision: eight a lane, whose sum rounds little more than each of them does.
const CHUNK: usize = 8 * LANES;

/// Fills `buffer`, of `network` height times width values.
pub(crate) fn render(pixels: &Array2<u16>, plan: &CropPlan, network: (usize, usize), buffer: &mut [f32]) {
    let source = Source { pixels, plan };
    let (filled, sums) =
        if source.size() == network { copy(&source, network.1, buffer) } else { resize(&source, network, buffer) };
    normalise(buffer, network.1, &filled, &sums);
}

/// Of a network's input, the rows and columns that the crop reaches. All else is 0, and was not written.
struct Filled {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Filled {
    fn rows<'b>(&self, buffer: &'b mut [f32], width: usize) -> impl Iterator<Item = &'b mut [f32]> + use<'b> {
        let columns = self.columns.clone();
        buffer
            .chunks_exact_mut(width)
            .take(self.rows.end)
            .skip(self.rows.start)
            .map(move |row| &mut row[columns.clone()])
    }
}

/// The window of a plan, as rows of samples of which the crop fills only some.
struct Source<'a> {
    pixels: &'a Array2<u16>,
    plan: &'a CropPlan,
}

impl Source<'_> {
    fn size(&self) -> (usize, usize) {
        let length = |start: i64, end: i64| usize::try_from(end - start).unwrap_or(0);
        (length(self.plan.top, self.plan.bottom), length(self.plan.left, self.plan.right))
    }

    /// The part of the window that the crop fills.
    fn filled(&self) -> Filled {
        let along = |start: i64, length: usize, pixels: usize| {
            let inside = |at: i64| at.clamp(0, length as i64) as usize;
            inside(-start)..inside(pixels as i64 - start)
        };
        let ((height, width), (rows, columns)) = (self.size(), self.pixels.dim());
        Filled { rows: along(self.plan.top, height, rows), columns: along(self.plan.left, width, columns) }
    }

    /// The mean grey of the row in the middle of what the crop fills: one pixel might be unlike all others.
    fn grey(&self) -> f32 {
        let Filled { rows, columns } = self.filled();
        let row = self.row(rows.start.midpoint(rows.end), &columns).unwrap_or_default();
        let sum: u64 = row.iter().copied().map(u64::from).sum();
        sum as f32 / row.len().max(1) as f32
    }

    /// The samples of window row `y` in these columns, which the crop fills; none where it has no such row.
    fn row(&self, y: usize, columns: &Range<usize>) -> Option<&[u16]> {
        let row = usize::try_from(self.plan.top + y as i64).ok().filter(|&row| row < self.pixels.nrows())?;
        let first = usize::try_from(self.plan.left + columns.start as i64).ok()?;
        let row = &self.pixels.as_slice()?[row * self.pixels.ncols()..][..self.pixels.ncols()];
        row.get(first..)?.get(..columns.len())
    }
}

fn copy(source: &Source<'_>, width: usize, buffer: &mut [f32]) -> (Filled, Sums) {
    let (filled, mut sums) = (source.filled(), Sums::around(source.grey()));
    for (y, row) in filled.rows.clone().zip(filled.rows(buffer, width)) {
        match source.row(y, &filled.columns) {
            Some(samples) => wide(Convert { samples, to: row }),
            None => row.fill(0.0),
        }
        wide(Add { sums: &mut sums, row });
    }
    (filled, sums)
}

struct Convert<'a> {
    samples: &'a [u16],
    to: &'a mut [f32],
}

impl Wide for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (to, sample) in self.to.iter_mut().zip(self.samples) {
            *to = f32::from(*sample);
        }
    }
}

/// Along the rows first, then along the columns. A row that was scaled along is kept while output rows still need it.
fn resize(source: &Source<'_>, network: (usize, usize), buffer: &mut [f32]) -> (Filled, Sums) {
    let (height, width) = source.size();
    let (mut sums, inside) = (Sums::around(source.grey()), source.filled());
    if height == 0 || width == 0 {
        return (Filled { rows: 0..0, columns: 0..0 }, sums);
    }
    let taps = Taps::new(height, network.0);
    let mut lines = Lines::new(source, Taps::new(width, network.1), inside.columns);
    let filled = Filled { rows: taps.reached(&inside.rows), columns: lines.outputs.clone() };
    for (y, row) in filled.rows.clone().zip(filled.rows(buffer, network.1)) {
        let needed = taps.inputs(y);
        for y in needed {
            lines.fill(y);
        }
        let (from, weights) = (needed.map(|y| lines.get(y)), taps.weights(y..y + 1).map(|weights| weights[0]));
        wide(Blend { to: row, from, weights });
        wide(Add { sums: &mut sums, row });
    }
    (filled, sums)
}

/// The last few rows of the window, scaled to the output's width.
struct Lines<'a> {
    source: &'a Source<'a>,
    /// Columns of the window that the crop fills.
    columns: Range<usize>,
    taps: Taps,
    /// Output columns that some sample of the crop reaches.
    outputs: Range<usize>,
    runs: Runs,
    /// Four lines of `outputs`, of which row `y` is kept in `y % 4`, and behind them one window row with two replicated samples at each end.
    memory: Lent<f32>,
    /// Which window row each of the four lines holds.
    held: [Option<usize>; 4],
}

impl<'a> Lines<'a> {
    fn new(source: &'a Source<'a>, taps: Taps, columns: Range<usize>) -> Self {
        let outputs = taps.reached(&columns);
        let runs = Runs::of(&taps, outputs.clone());
        let memory = memory::line(4 * outputs.len() + source.size().1 + 2 * Taps::OVERHANG);
        Self { source, columns, taps, outputs, runs, memory, held: [None; 4] }
    }

    fn get(&self, y: usize) -> &[f32] {
        &self.memory[y % 4 * self.outputs.len()..][..self.outputs.len()]
    }

    fn fill(&mut self, y: usize) {
        let held = &mut self.held[y % 4];
        if *held == Some(y) {
            return;
        }
        *held = Some(y);
        let (lines, padded) = self.memory.split_at_mut(4 * self.outputs.len());
        let line = &mut lines[y % 4 * self.outputs.len()..][..self.outputs.len()];
        let Some(samples) = self.source.row(y, &self.columns) else {
            line.fill(0.0);
            return;
        };
        let (width, overhang) = (self.source.size().1, Taps::OVERHANG);
        wide(Convert { samples, to: &mut padded[overhang + self.columns.start..overhang + self.columns.end] });
        let (first, last) = (padded[overhang], padded[overhang + width - 1]);
        padded[..overhang].fill(first);
        padded[overhang + width..][..overhang].fill(last);
        for (run, begin) in self.runs.iter() {
            let to = run.start - self.outputs.start;
            let from = [0, 1, 2, 3].map(|tap| &padded[begin + tap..][..run.len()]);
            wide(Weigh { to: &mut line[to..][..run.len()], from, weights: self.taps.weights(run) });
        }
    }
}

/// Each of `to` is the sum of four numbers times their weights.
struct Weigh<'a> {
    to: &'a mut [f32],
    from: [&'a [f32]; 4],
    weights: [&'a [f32]; 4],
}

impl Wide for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let ([a, b, c, d], [wa, wb, wc, wd]) = (self.from, self.weights);
        for ((((to, (a, wa)), (b, wb)), (c, wc)), (d, wd)) in
            self.to.iter_mut().zip(a.iter().zip(wa)).zip(b.iter().zip(wb)).zip(c.iter().zip(wc)).zip(d.iter().zip(wd))
        {
            *to = wa * a + wb * b + wc * c + wd * d;
        }
    }
}

/// As [`Weigh`], with the same weights for all.
struct Blend<'a> {
    to: &'a mut [f32],
    from: [&'a [f32]; 4],
    weights: [f32; 4],
}

impl Wide for Blend<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let ([a, b, c, d], [wa, wb, wc, wd]) = (self.from, self.weights);
        for ((((to, a), b), c), d) in self.to.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *to = wa * a + wb * b + wc * c + wd * d;
        }
    }
}

/// Subtracts the mean and divides by the population's standard deviation.
fn normalise(buffer: &mut [f32], width: usize, filled: &Filled, sums: &Sums) {
    let (mean, deviation) = sums.mean_and_deviation(buffer.len());
    let (mean, factor) = (mean as f32, deviation.max(LEAST_DEVIATION).recip() as f32);
    let zero = (0.0 - mean) * factor;
    for (y, row) in buffer.chunks_exact_mut(width).enumerate() {
        let columns = if filled.rows.contains(&y) { filled.columns.clone() } else { 0..0 };
        row[..columns.start].fill(zero);
        row[columns.end..].fill(zero);
        wide(Normalise { row: &mut row[columns], mean, factor });
    }
}

struct Normalise<'a> {
    row: &'a mut [f32],
    mean: f32,
    factor: f32,
}

impl Wide for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.row {
            *value = (*value - self.mean) * self.factor;
        }
    }
}

/// Adds a row to sums.
struct Add<'a> {
    sums: &'a mut Sums,
    row: &'a [f32],
}

impl Wide for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.sums.add(self.row);
    }
}

/// Sums of numbers and of their squares, in double precision but for a few at a time. What is added is how far each is from a grey
/// that is near their mean, because squares of greys that are far from 0 and near each other would differ in their last bits alone.
struct Sums {
    grey: f32,
    added: usize,
    values: [f64; LANES],
    squares: [f64; LANES],
}

impl Sums {
    fn around(grey: f32) -> Self {
        Self { grey, added: 0, values: [0.0; LANES], squares: [0.0; LANES] }
    }

    #[inline(always)]
    fn add(&mut self, row: &[f32]) {
        self.added += row.len();
        let (chunks, rest) = row.as_chunks::<CHUNK>();
        for chunk in chunks {
            self.add_lanes(chunk.as_chunks().0);
        }
        let (lanes, rest) = rest.as_chunks();
        self.add_lanes(lanes);
        let mut last = [self.grey; LANES];
        last[..rest.len()].copy_from_slice(rest);
        self.add_lanes(&[last]);
    }

    #[inline(always)]
    fn add_lanes(&mut self, lanes: &[[f32; LANES]]) {
        let (mut values, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
        for lanes in lanes {
            for ((sum, square), value) in values.iter_mut().zip(&mut squares).zip(lanes) {
                let apart = value - self.grey;
                *sum += apart;
                *square += apart * apart;
            }
        }
        for lane in 0..LANES {
            self.values[lane] += f64::from(values[lane]);
            self.squares[lane] += f64::from(squares[lane]);
        }
    }

    /// The mean of so many, of which those that were not added are 0, and the population's standard deviation.
    fn mean_and_deviation(&self, count: usize) -> (f64, f64) {
        let (grey, zeros) = (f64::from(self.grey), (count - self.added) as f64);
        let values = self.values.iter().sum::<f64>() - zeros * grey;
        let squares = self.squares.iter().sum::<f64>() + zeros * grey * grey;
        let [apart, square] = [values, squares].map(|sum| sum / count as f64);
        (grey + apart, (square - apart * apart).max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The whole window in double precision, zeros and all, scaled and normalised as it is written down; and its deviation.
    fn plainly(pixels: &Array2<u16>, plan: &CropPlan, network: (usize, usize)) -> (Vec<f64>, f64) {
        let length = |start: i64, end: i64| (end - start) as usize;
        let (height, width) = (length(plan.top, plan.bottom), length(plan.left, plan.right));
        let at = |y: usize, x: usize| {
            let place = |start: i64, at: usize| usize::try_from(start + at as i64).ok();
            let pixel = place(plan.top, y).zip(place(plan.left, x)).and_then(|place| pixels.get(place));
            pixel.copied().map_or(0.0, f64::from)
        };
        let (rows, columns) = (Taps::new(height, network.0), Taps::new(width, network.1));
        let weighted = |taps: &Taps, output: usize, of: &dyn Fn(usize) -> f64| -> f64 {
            let weights = taps.weights(output..output + 1).map(|weights| f64::from(weights[0]));
            taps.inputs(output).into_iter().zip(weights).map(|(input, weight)| weight * of(input)).sum()
        };
        let values: Vec<f64> = (0..network.0 * network.1)
            .map(|index| {
                let (y, x) = (index / network.1, index % network.1);
                if (height, width) == network {
                    at(y, x)
                } else {
                    weighted(&rows, y, &|y| weighted(&columns, x, &|x| at(y, x)))
                }
            })
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        let deviation = variance.sqrt().max(LEAST_DEVIATION);
        (values.iter().map(|value| (value - mean) / deviation).collect(), deviation)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_window_anywhere_is_what_it_is_written_down_as(
            size in (1usize..40, 1usize..40),
            corner in (-60i64..50, -60i64..50),
            window in (1i64..60, 1i64..60),
            scaled in (1usize..50, 1usize..50),
            as_large in any::<bool>(),
            seed in any::<u16>(),
        ) {
            let grey = |(y, x): (usize, usize)| (y * 7919 + x * 104_729 + usize::from(seed)) as u16;
            let pixels = Array2::from_shape_fn(size, grey);
            let plan = CropPlan { top: corner.0, bottom: corner.0 + window.0, left: corner.1, right: corner.1 + window.1 };
            let network = if as_large { (window.0 as usize, window.1 as usize) } else { scaled };
            let (expected, deviation) = plainly(&pixels, &plan, network);
            let mut buffer = vec![f32::NAN; network.0 * network.1];
            render(&pixels, &plan, network, &mut buffer);
            // Greys of single precision are a 128th apart where they are largest; a window of one grey is their rounding alone.
            let rounding = 0.02 / deviation + 1e-5;
            for (at, (found, expected)) in buffer.iter().zip(&expected).enumerate() {
                prop_assert!(found.is_finite());
                let apart = (f64::from(*found) - expected).abs();
                prop_assert!(deviation < 0.1 || apart <= rounding * expected.abs().max(1.0), "{}: {} is not {}", at, found, expected);
            }
        }
    }

    #[test]
    fn a_crop_has_mean_0_and_deviation_1_however_near_its_greys_are() {
        // Beside the crop are zeros in the first window and in the last; the last two are scaled.
        for (top, left, size) in [(-10, -7, 60), (5, 3, 60), (5, 3, 71), (-10, -7, 71)] {
            for (low, spread) in [(0u16, 60_000u16), (30_001, 500), (65_001, 3)] {
                let grey = |(y, x): (usize, usize)| low + ((y * 7919 + x * 104_729) % usize::from(spread)) as u16;
                let pixels = Array2::from_shape_fn((100, 90), grey);
                let plan = CropPlan { top, bottom: top + size, left, right: left + size };
                let mut buffer = vec![f32::NAN; 60 * 60];
                render(&pixels, &plan, (60, 60), &mut buffer);
                let mean = buffer.iter().copied().map(f64::from).sum::<f64>() / 3600.0;
                let square = buffer.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / 3600.0;
                let deviation = (square - mean * mean).sqrt();
                // Greys of single precision are a 256th apart where they are largest.
                assert!(mean.abs() < 2e-3, "{top} {size} {low}: mean {mean}");
                assert!((deviation - 1.0).abs() < 1e-5, "{top} {size} {low}: deviation {deviation}");
            }
        }
    }

    #[test]
    fn one_pixel_that_is_unlike_all_others_spoils_no_deviation() {
        let mut pixels = Array2::from_shape_fn((101, 101), |(y, x)| 10_000 + ((y * 7 + x * 3) % 11) as u16);
        pixels[(50, 50)] = u16::MAX;
        let plan = CropPlan { top: 0, bottom: 101, left: 0, right: 101 };
        let mut buffer = vec![f32::NAN; 101 * 101];
        render(&pixels, &plan, (101, 101), &mut buffer);
        let (expected, _) = plainly(&pixels, &plan, (101, 101));
        assert!((f64::from(buffer[50 * 101 + 50]) / expected[50 * 101 + 50] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_window_of_one_grey_is_0_and_stays_finite_when_it_is_scaled() {
        let rendered = |size: i64, grey: u16| {
            let plan = CropPlan { top: 0, bottom: size, left: 0, right: size };
            let mut buffer = vec![f32::NAN; 60 * 60];
            render(&Array2::from_elem((90, 90), grey), &plan, (60, 60), &mut buffer);
            buffer
        };
        assert!([10_001, u16::MAX].into_iter().flat_map(|grey| rendered(60, grey)).all(|value| value == 0.0));
        assert!([10_001, u16::MAX].into_iter().flat_map(|grey| rendered(71, grey)).all(f32::is_finite));
    }
}
