//! Weights in the order in which kernels read them. Equal ones are kept once: views of one trunk share it.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Weak};

use crate::kernels;
use crate::layout::{LANES, Line};
use crate::memory::{Memory, zeros};
use crate::program::Program;

/// Weights in memory, perhaps of several programs.
pub(crate) type Weights = Arc<Vec<Line>>;

/// A line of factors and one of summands for each block.
#[derive(Debug, PartialEq)]
pub(crate) struct Affine {
    pub(crate) factors: Vec<Line>,
    pub(crate) summands: Vec<Line>,
}

/// Channels that fill up a block become zero.
pub(crate) fn affine(factors: &[f64], summands: &[f64]) -> Affine {
    let lines = |numbers: &[f64]| {
        let line = |block: &[f64]| {
            let mut line = Line::ZERO;
            line.0.iter_mut().zip(block).for_each(|(to, from)| *to = *from as f32);
            line
        };
        numbers.chunks(LANES).map(line).collect()
    };
    Affine { factors: lines(factors), summands: lines(summands) }
}

/// What several programs share: weights, memory to work in, and themselves.
#[derive(Debug, Default)]
pub struct Store {
    hasher: RandomState,
    kept: HashMap<u64, Vec<Weak<Vec<Line>>>>,
    programs: Vec<Weak<Program>>,
    memory: Arc<Memory>,
}

impl Store {
    pub(crate) fn programs(&self) -> impl Iterator<Item = Arc<Program>> {
        self.programs.iter().filter_map(Weak::upgrade)
    }

    pub(crate) fn keep_program(&mut self, program: &Arc<Program>) {
        self.programs.push(Arc::downgrade(program));
    }

    pub(crate) fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }

    /// Bytes of all weights that are in use.
    pub(crate) fn bytes(&self) -> u64 {
        let alive = self.kept.values().flatten().filter_map(Weak::upgrade);
        alive.map(|weights| size_of_val(weights.as_slice()) as u64).sum()
    }

    fn keep(&mut self, lines: Vec<Line>) -> Weights {
        let mut hasher = self.hasher.build_hasher();
        lines.iter().flat_map(|line| line.0).for_each(|number| hasher.write_u32(number.to_bits()));
        let hash = hasher.finish();
        let same = self.kept.entry(hash).or_default();
        same.retain(|weights| weights.strong_count() > 0);
        if let Some(found) = same.iter().filter_map(Weak::upgrade).find(|weights| **weights == *lines) {
            return found;
        }
        let weights = Arc::new(lines);
        same.push(Arc::downgrade(&weights));
        weights
    }

    /// `[outputs][inputs x rows x columns]`: for each block of outputs, each input, row and column, sixteen outputs' weights.
    pub(crate) fn planar(&mut self, weights: &[f32], outputs: usize, each: usize) -> Weights {
        let mut lines = zeros(outputs.div_ceil(LANES) * each);
        for (output, weights) in weights.chunks_exact(each).enumerate() {
            for (at, weight) in weights.iter().enumerate() {
                lines[output / LANES * each + at].0[output % LANES] = *weight;
            }
        }
        self.keep(lines)
    }

    /// `[outputs][inputs][rows][columns]`: for each block of outputs, block of inputs, row, column and input of the block, sixteen
    /// outputs' weights.
    pub(crate) fn direct(
        &mut self,
        weights: &[f32],
        outputs: usize,
        inputs: usize,
        (rows, columns): (usize, usize),
    ) -> Weights {
        let window = rows * columns;
        let each = inputs * window;
        let mut lines = zeros(outputs.div_ceil(LANES) * each);
        for (output, weights) in weights.chunks_exact(each).enumerate() {
            for (at, weight) in weights.iter().enumerate() {
                let (input, place) = (at / window, at % window);
                let block = input / LANES;
                let channels = (inputs - block * LANES).min(LANES);
                let line = block * LANES * window + place * channels + input % LANES;
                lines[output / LANES * each + line].0[output % LANES] = *weight;
            }
        }
        self.keep(lines)
    }

    /// See [`kernels::phased`].
    pub(crate) fn phased(&mut self, weights: &[f32], outputs: usize, rows: usize) -> Weights {
        self.keep(kernels::phased(weights, outputs, rows))
    }

    /// See [`kernels::transformed`].
    pub(crate) fn transformed(&mut self, weights: &[f32], outputs: usize, inputs: usize) -> Weights {
        self.keep(kernels::transformed(weights, outputs, inputs))
    }
}
