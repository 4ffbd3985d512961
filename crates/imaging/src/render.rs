//! One planned window to a network's input: cut, scale, normalise.
//!
//! What lies outside of the crop counts as 0 and is never stored: rows and columns that only zeros reach are skipped.

use std::ops::Range;

use ndarray::Array2;

use crate::{
    CropPlan,
    resize::{Taps, taps},
};

/// Least deviation that a window is divided by, so that a uniform one stays finite.
const LEAST_DEVIATION: f64 = 1e-5;

/// How many partial sums a row is added up in, to keep several additions in flight.
const LANES: usize = 8;

/// Fills `buffer`, of `network` height times width values.
pub(crate) fn render(pixels: &Array2<u16>, plan: &CropPlan, network: (usize, usize), buffer: &mut [f32]) {
    let source = Source { pixels, plan };
    buffer.fill(0.0);
    if source.size() == network {
        copy(&source, network.1, buffer);
    } else {
        resize(&source, network, buffer);
    }
    normalise(buffer);
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

    /// The columns of the window that the crop fills.
    fn columns(&self) -> Range<usize> {
        let width = self.size().1 as i64;
        let inside = |x: i64| x.clamp(0, width) as usize;
        inside(-self.plan.left)..inside(self.pixels.ncols() as i64 - self.plan.left)
    }

    /// The samples of window row `y` in [`Source::columns`], or none where the crop has no such row.
    fn row(&self, y: usize) -> Option<&[u16]> {
        let row = usize::try_from(self.plan.top + y as i64).ok().filter(|&row| row < self.pixels.nrows())?;
        let columns = self.columns();
        let first = (self.plan.left + columns.start as i64) as usize;
        self.pixels.as_slice()?.get(row * self.pixels.ncols() + first..)?.get(..columns.len())
    }
}

fn copy(source: &Source<'_>, width: usize, buffer: &mut [f32]) {
    for (y, row) in buffer.chunks_exact_mut(width).enumerate() {
        if let Some(samples) = source.row(y) {
            convert(samples, &mut row[source.columns()]);
        }
    }
}

fn convert(samples: &[u16], to: &mut [f32]) {
    for (to, sample) in to.iter_mut().zip(samples) {
        *to = f32::from(*sample);
    }
}

/// Rows first, then columns. A row that was scaled along is kept while output rows still need it.
fn resize(source: &Source<'_>, network: (usize, usize), buffer: &mut [f32]) {
    let (height, width) = source.size();
    if height == 0 || width == 0 {
        return;
    }
    let mut lines = Lines::new(source, taps(width, network.1));
    let active = lines.active.clone();
    for (row, taps) in buffer.chunks_exact_mut(network.1).zip(taps(height, network.0)) {
        let needed = [0, 1, 2, 3].map(|n| (taps.first + n).clamp(0, height as i64 - 1) as usize);
        for y in needed {
            lines.fill(y);
        }
        let [a, b, c, d] = needed.map(|y| lines.get(y));
        let [wa, wb, wc, wd] = taps.weights;
        for ((((to, a), b), c), d) in row[active.clone()].iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *to = wa * a + wb * b + wc * c + wd * d;
        }
    }
}

/// The last few rows of the window, scaled to the output's width.
struct Lines<'a> {
    source: &'a Source<'a>,
    taps: Vec<Taps>,
    /// Output columns that some sample of the crop reaches.
    active: Range<usize>,
    /// One window row with two replicated samples at each end.
    padded: Vec<f32>,
    /// Four lines of `active`, and which window row each holds: row `y` is kept in slot `y % 4`.
    slots: [(Option<usize>, Vec<f32>); 4],
}

impl<'a> Lines<'a> {
    /// How far a tap may lie before the first sample or after the last.
    const OVERHANG: usize = 2;

    fn new(source: &'a Source<'a>, taps: Vec<Taps>) -> Self {
        let width = source.size().1;
        let filled = source.columns();
        let reached = |taps: &Taps| {
            let last = width as i64 - 1;
            let (from, to) = (taps.first.clamp(0, last), (taps.first + 3).clamp(0, last));
            from < filled.end as i64 && to >= filled.start as i64
        };
        let start = taps.iter().position(reached).unwrap_or(0);
        let end = taps.iter().rposition(reached).map_or(start, |last| last + 1);
        let line = || (None, vec![0.0; end - start]);
        Self {
            source,
            taps,
            active: start..end,
            padded: vec![0.0; width + 2 * Self::OVERHANG],
            slots: [line(), line(), line(), line()],
        }
    }

    fn get(&self, y: usize) -> &[f32] {
        &self.slots[y % 4].1
    }

    fn fill(&mut self, y: usize) {
        let (held, line) = &mut self.slots[y % 4];
        if *held == Some(y) {
            return;
        }
        *held = Some(y);
        let Some(samples) = self.source.row(y) else {
            line.fill(0.0);
            return;
        };
        let (width, filled) = (self.source.size().1, self.source.columns());
        convert(samples, &mut self.padded[Self::OVERHANG + filled.start..Self::OVERHANG + filled.end]);
        let (first, last) = (self.padded[Self::OVERHANG], self.padded[Self::OVERHANG + width - 1]);
        self.padded[..Self::OVERHANG].fill(first);
        self.padded[Self::OVERHANG + width..].fill(last);
        for (to, taps) in line.iter_mut().zip(&self.taps[self.active.clone()]) {
            let first = (taps.first + Self::OVERHANG as i64) as usize;
            if let Some([a, b, c, d]) = self.padded.get(first..first + 4) {
                let [wa, wb, wc, wd] = taps.weights;
                *to = wa * a + wb * b + wc * c + wd * d;
            }
        }
    }
}

/// Subtracts the mean and divides by the population's standard deviation.
fn normalise(buffer: &mut [f32]) {
    let count = buffer.len() as f64;
    let mean = (sum(buffer, |value| value) / count) as f32;
    for value in buffer.iter_mut() {
        *value -= mean;
    }
    let variance = sum(buffer, |value| value * value) / count;
    let deviation = variance.sqrt().max(LEAST_DEVIATION) as f32;
    for value in buffer {
        *value /= deviation;
    }
}

/// The sum of `of` over all values, in double precision: a window has five million of them.
fn sum(values: &[f32], of: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += of(f64::from(*value));
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| of(f64::from(*value))).sum::<f64>()
}
