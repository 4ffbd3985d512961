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

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: [[f32; 5]; 4] =
        [[10., 200., 30., 40000., 50.], [7., 0., 65535., 3., 9.], [100., 101., 102., 103., 104.], [0., 0., 5., 0., 1.]];

    fn resized(height: usize, width: usize) -> Vec<Vec<f32>> {
        let (rows, columns) = (taps(SMALL.len(), height), taps(SMALL[0].len(), width));
        let at = |y: i64, x: i64| SMALL[y.clamp(0, 3) as usize][x.clamp(0, 4) as usize];
        let weighted = |taps: &Taps, of: &dyn Fn(i64) -> f32| -> f32 {
            (0..).zip(taps.weights).map(|(n, weight)| weight * of(taps.first + n)).sum()
        };
        let row = |y: &Taps| columns.iter().map(|x| weighted(y, &|y| weighted(x, &|x| at(y, x)))).collect();
        rows.iter().map(row).collect()
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
