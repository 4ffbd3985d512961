//! The transformations of F(4x4, 3x3), at the points 0, 1, -1, 2, -2 and infinity.

use std::ops::Range;

use super::{PATCH, PRODUCTS, Summed, TILE};
use crate::lanes::Lanes;
use crate::layout::{LANES, Line};
use crate::memory::zeros;

/// B^T d B of one patch, its wanted rows: a line for each product, `stride` lines apart.
///
/// # Safety
/// As for [`Lanes`]; six lines from `offset` on can be read of each row, and all products' lines written.
#[inline(always)]
pub(super) unsafe fn patch<V: Lanes>(
    rows: &[*const Line; PATCH],
    offset: usize,
    to: *mut Line,
    stride: usize,
    wanted: Range<usize>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[V::zero(); PATCH]; PATCH];
        for column in 0..PATCH {
            let mut d = [V::zero(); PATCH];
            for (row, d) in d.iter_mut().enumerate() {
                *d = V::load(rows[row].add(offset + column));
            }
            half[column] = inward(d);
        }
        // Over constants, so that what is there stays in registers.
        for row in 0..PATCH {
            if row < wanted.start || row >= wanted.end {
                continue;
            }
            let mut d = [V::zero(); PATCH];
            for (column, d) in d.iter_mut().enumerate() {
                *d = half[column][row];
            }
            for (column, v) in inward(d).iter().enumerate() {
                v.store(to.add(((row - wanted.start) * PATCH + column) * stride));
            }
        }
    }
}

/// B^T d, at the points 0, 1, -1, 2, -2 and infinity.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(in crate::kernels) unsafe fn inward<V: Lanes>(d: [V; PATCH]) -> [V; PATCH] {
    // SAFETY: the caller's promise.
    unsafe {
        let (two, four) = (V::constant(2.0), V::constant(4.0));
        let (minus_two, minus_four, minus_five) = (V::constant(-2.0), V::constant(-4.0), V::constant(-5.0));
        let even = d[2].mul_add(minus_four, d[4]);
        let odd = d[1].mul_add(minus_four, d[3]);
        let even_two = d[4].sub(d[2]);
        let odd_two = d[3].sub(d[1]);
        [
            d[0].mul_add(four, d[2].mul_add(minus_five, d[4])),
            even.add(odd),
            even.sub(odd),
            odd_two.mul_add(two, even_two),
            odd_two.mul_add(minus_two, even_two),
            d[1].mul_add(four, d[3].mul_add(minus_five, d[5])),
        ]
    }
}

/// A^T m A of one tile.
///
/// # Safety
/// As for [`Lanes`]; all products' lines can be read.
#[inline(always)]
pub(super) unsafe fn outputs<V: Lanes>(from: Summed) -> [[V; TILE]; TILE] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[V::zero(); TILE]; PATCH];
        for column in 0..PATCH {
            let mut m = [V::zero(); PATCH];
            for (row, m) in m.iter_mut().enumerate() {
                *m = V::load(from.rows[row].add(column * from.product_lines));
            }
            half[column] = outward(m);
        }
        let mut outputs = [[V::zero(); TILE]; TILE];
        for row in 0..TILE {
            let mut m = [V::zero(); PATCH];
            for (column, m) in m.iter_mut().enumerate() {
                *m = half[column][row];
            }
            outputs[row] = outward(m);
        }
        outputs
    }
}

/// A^T m.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(in crate::kernels) unsafe fn outward<V: Lanes>(m: [V; PATCH]) -> [V; TILE] {
    // SAFETY: the caller's promise.
    unsafe {
        let (two, four, eight) = (V::constant(2.0), V::constant(4.0), V::constant(8.0));
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum_two, difference_two) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(sum).add(sum_two),
            difference_two.mul_add(two, difference),
            sum_two.mul_add(four, sum),
            difference_two.mul_add(eight, difference).add(m[5]),
        ]
    }
}

/// G g G^T of weights `[outputs][inputs][3][3]`: for each product, each block of outputs, each input, sixteen outputs' weights.
pub(crate) fn transformed(weights: &[f32], outputs: usize, inputs: usize) -> Vec<Line> {
    const G: [[f64; 3]; PATCH] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    let blocks = outputs.div_ceil(LANES);
    let mut lines = zeros(PRODUCTS * blocks * inputs);
    for output in 0..outputs {
        for input in 0..inputs {
            let g = &weights[(output * inputs + input) * 9..][..9];
            for row in 0..PATCH {
                for column in 0..PATCH {
                    let mut sum = 0.0;
                    for (at, weight) in g.iter().enumerate() {
                        sum += G[row][at / 3] * f64::from(*weight) * G[column][at % 3];
                    }
                    let product = row * PATCH + column;
                    let line = (product * blocks + output / LANES) * inputs + input;
                    lines[line].0[output % LANES] = sum as f32;
                }
            }
        }
    }
    lines
}
