//! Bicubic convolution along one axis: a = -0.75, half-pixel centres, edges replicated, no antialiasing.
//!
//! Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29(6), 1981, with the parameter that
//! PyTorch and OpenCV use.

use std::ops::Range;

use crate::memory::{self, Lent};

const A: f64 = -0.75;

/// Where each output sample of an axis comes from: four neighbouring inputs, and the weight of each.
pub(crate) struct Taps {
    /// How many inputs there are.
    from: usize,
    /// How many outputs there are.
    to: usize,
    /// For each of the four, the weights of all outputs, so that several outputs are computed at once.
    weights: Lent<f32>,
}

impl Taps {
    /// How far a tap may lie before the first input or after the last.
    pub(crate) const OVERHANG: usize = 2;

    /// Those with which `from` samples become `to`.
    pub(crate) fn new(from: usize, to: usize) -> Self {
        let mut taps = Self { from, to, weights: memory::line(4 * to) };
        for output in 0..to {
            let place = taps.place(output);
            let t = place - place.floor();
            for (tap, weight) in [outer(1.0 + t), inner(t), inner(1.0 - t), outer(2.0 - t)].into_iter().enumerate() {
                taps.weights[tap * to + output] = weight as f32;
            }
        }
        taps
    }

    /// Where an output lies among the inputs.
    fn place(&self, output: usize) -> f64 {
        (output as f64 + 0.5) * (self.from as f64 / self.to as f64) - 0.5
    }

    /// The index of the first of an output's four inputs. May be as little as -2, and the last of them 1 past the end: edges are replicated.
    fn first(&self, output: usize) -> i64 {
        self.place(output).floor() as i64 - 1
    }

    /// For each of the four inputs, the weights of these outputs. Those of one output add up to 1.
    pub(crate) fn weights(&self, outputs: Range<usize>) -> [&[f32]; 4] {
        [0, 1, 2, 3].map(|tap| &self.weights[tap * self.to..][..self.to][outputs.clone()])
    }

    /// The four inputs of an output.
    pub(crate) fn inputs(&self, output: usize) -> [usize; 4] {
        let first = self.first(output);
        [0, 1, 2, 3].map(|n| (first + n).clamp(0, self.from as i64 - 1) as usize)
    }

    /// The outputs from the first to the last to which one of `inputs` comes.
    pub(crate) fn reached(&self, inputs: &Range<usize>) -> Range<usize> {
        let reached = |output: &usize| {
            let [first, .., last] = self.inputs(*output);
            first < inputs.end && last >= inputs.start
        };
        let outputs = 0..self.to;
        let start = outputs.clone().find(reached).unwrap_or(0);
        start..outputs.rev().find(reached).map_or(start, |last| last + 1)
    }
}

/// Outputs divided into ranges in which each one's inputs begin one after those of the one before.
pub(crate) struct Runs {
    /// For each of them, where its outputs start and where their inputs begin; behind the last, where its outputs end.
    starts: Lent<u32>,
    count: usize,
}

impl Runs {
    pub(crate) fn of(taps: &Taps, outputs: Range<usize>) -> Self {
        let mut runs = Self { starts: memory::starts(2 * (outputs.len() + 1)), count: 0 };
        let mut next = None;
        for output in outputs.clone() {
            let begin = (taps.first(output) + Taps::OVERHANG as i64) as u32;
            if next != Some(begin) {
                runs.set(output, begin);
                runs.count += 1;
            }
            next = Some(begin + 1);
        }
        runs.set(outputs.end, 0);
        runs
    }

    fn set(&mut self, start: usize, begin: u32) {
        self.starts[2 * self.count..][..2].copy_from_slice(&[start as u32, begin]);
    }

    /// The outputs of each, and where their inputs begin, in inputs that have [`Taps::OVERHANG`] others before them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Range<usize>, usize)> {
        let (runs, _) = self.starts.as_chunks::<2>();
        let ends = runs[..=self.count].windows(2);
        ends.map(|ends| (ends[0][0] as usize..ends[1][0] as usize, ends[0][1] as usize))
    }
}

/// The kernel up to a distance of 1.
fn inner(x: f64) -> f64 {
    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
}

/// The kernel between distances of 1 and 2.
fn outer(x: f64) -> f64 {
    ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: [[f32; 5]; 4] =
        [[10., 200., 30., 40000., 50.], [7., 0., 65535., 3., 9.], [100., 101., 102., 103., 104.], [0., 0., 5., 0., 1.]];

    fn resized(height: usize, width: usize) -> Vec<Vec<f32>> {
        let (rows, columns) = (Taps::new(SMALL.len(), height), Taps::new(SMALL[0].len(), width));
        let weighted = |taps: &Taps, output: usize, of: &dyn Fn(usize) -> f32| -> f32 {
            taps.inputs(output)
                .into_iter()
                .zip(taps.weights(output..output + 1))
                .map(|(input, weight)| weight[0] * of(input))
                .sum()
        };
        let row = |y| (0..width).map(|x| weighted(&rows, y, &|y| weighted(&columns, x, &|x| SMALL[y][x]))).collect();
        (0..height).map(row).collect()
    }

    fn assert_close(found: &[Vec<f32>], expected: &[&[f64]]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().flatten().zip(expected.iter().copied().flatten()) {
            assert!((f64::from(*found) - expected).abs() <= 1e-6 * 65535.0, "{found} is not {expected}");
        }
    }

    /// Printed by OpenCV 5.0.0: `cv2.resize(small, (7, 6), interpolation=cv2.INTER_CUBIC)`.
    #[test]
    fn an_enlargement_equals_opencvs() {
        assert_close(
            &resized(6, 7),
            &[
                &[-6.0419655, 746.882, -3458.188, -5656.1997, 34999.63, 30400.137, -3364.2168],
                &[-7.3623338, -4022.6323, 11172.324, 38916.844, 28866.8, 9621.309, -1551.5095],
                &[23.628305, -6481.2593, 19165.98, 61832.04, 16096.781, -8846.537, 294.30225],
                &[95.555305, -1013.6822, 3365.4927, 10638.513, 2752.8152, -1484.0748, 153.33476],
                &[58.620358, 703.9607, -1828.7264, -6080.8438, -1828.2142, 705.7099, 61.448071],
                &[-8.673722, -9.292142, -7.1245589, -3.4201384, -7.3597937, -9.1005917, -7.8622537],
            ],
        );
    }

    /// Printed by OpenCV 5.0.0: `cv2.resize(small, (4, 3), interpolation=cv2.INTER_CUBIC)`.
    #[test]
    fn a_reduction_equals_opencvs() {
        assert_close(
            &resized(3, 4),
            &[
                &[-81.776718, 2372.447, 30165.361, 3860.6411],
                &[-338.7988, 16878.227, 13838.104, -766.85596],
                &[27.616890, -466.83691, -466.77802, 28.960003],
            ],
        );
    }
}
