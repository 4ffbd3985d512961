//! Bicubic convolution along one axis: a = -0.75, half-pixel centres, edges replicated, no antialiasing.
//!
//! Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29(6), 1981, with the parameter that
//! PyTorch and OpenCV use.

const A: f64 = -0.75;

/// Where one output sample comes from: four neighbouring inputs, and the weight of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps {
    /// Index of the first of the four. May be as little as -2, and the last of them 1 past the end: edges are replicated.
    pub(crate) first: i64,
    /// One weight for each; they add up to 1.
    pub(crate) weights: [f32; 4],
}

/// The taps of each output sample when `from` samples become `to`.
pub(crate) fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|index| {
            let place = (index as f64 + 0.5) * scale - 0.5;
            let floor = place.floor();
            let t = place - floor;
            let weights = [outer(1.0 + t), inner(t), inner(1.0 - t), outer(2.0 - t)];
            Taps { first: floor as i64 - 1, weights: weights.map(|weight| weight as f32) }
        })
        .collect()
}

/// The kernel up to a distance of 1.
fn inner(x: f64) -> f64 {
    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
}

/// The kernel between distances of 1 and 2.
fn outer(x: f64) -> f64 {
    ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
}
