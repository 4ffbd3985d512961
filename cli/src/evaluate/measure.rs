//! How well scores tell what is from what is not, with 95 % confidence intervals.

use serde::Serialize;

/// Bins of the calibration table, of equal width.
const BINS: usize = 10;

/// The normal distribution's quantile for 95 %, two-sided.
const Z: f64 = 1.959_963_984_540_054;

/// A share and its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A row of the calibration table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Bin {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) images: usize,
    pub(super) mean_score: f64,
    pub(super) positive_share: f64,
}

/// What is measured of one label.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    pub(super) positive: usize,
    pub(super) negative: usize,
    /// None where there is nothing to tell apart.
    pub(super) auc: Option<Estimate>,
    pub(super) sensitivity: Option<Estimate>,
    pub(super) specificity: Option<Estimate>,
    pub(super) brier: f64,
    /// Bins without images are left out.
    pub(super) calibration: Vec<Bin>,
    /// Corners of the ROC curve: share of false alarms, share of what was found.
    pub(super) roc: Vec<(f64, f64)>,
}

pub(super) fn measure(scored: &[(f64, bool)], threshold: f64) -> Measured {
    let of = |wanted: bool| scored.iter().filter(move |(_, truth)| *truth == wanted).map(|(score, _)| *score);
    let (positives, negatives): (Vec<f64>, Vec<f64>) = (of(true).collect(), of(false).collect());
    let found = positives.iter().filter(|score| **score >= threshold).count();
    let passed = negatives.iter().filter(|score| **score < threshold).count();
    let squares = scored.iter().map(|(score, truth)| (score - f64::from(u8::from(*truth))).powi(2));
    Measured {
        positive: positives.len(),
        negative: negatives.len(),
        auc: area(&positives, &negatives),
        sensitivity: wilson(found, positives.len()),
        specificity: wilson(passed, negatives.len()),
        brier: squares.sum::<f64>() / scored.len() as f64,
        calibration: calibration(scored),
        roc: roc(scored, positives.len(), negatives.len()),
    }
}

/// How many of `sorted` are below a value, those that are equal counting half.
fn below(sorted: &[f64], value: f64) -> f64 {
    let less = sorted.partition_point(|other| *other < value);
    let not_more = sorted.partition_point(|other| *other <= value);
    (less + not_more) as f64 / 2.0
}

/// The area under the ROC curve, its interval from DeLong's variance (DeLong et al., Biometrics 1988), cut to 0 and 1.
fn area(positives: &[f64], negatives: &[f64]) -> Option<Estimate> {
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (m, n) = (positives.len() as f64, negatives.len() as f64);
    let (up, down) = (sorted(positives), sorted(negatives));
    let wins: Vec<f64> = up.iter().map(|score| below(&down, *score) / n).collect();
    let losses: Vec<f64> = down.iter().map(|score| 1.0 - below(&up, *score) / m).collect();
    let value = wins.iter().sum::<f64>() / m;
    let variance = |parts: &[f64]| {
        let squares: f64 = parts.iter().map(|part| (part - value).powi(2)).sum();
        // One image alone says nothing about how much such images differ.
        if parts.len() > 1 { squares / (parts.len() - 1) as f64 / parts.len() as f64 } else { f64::INFINITY }
    };
    let reach = Z * (variance(&wins) + variance(&losses)).sqrt();
    Some(Estimate { value, low: (value - reach).max(0.0), high: (value + reach).min(1.0) })
}

/// A share and its interval by Wilson's score (Wilson, JASA 1927).
fn wilson(count: usize, of: usize) -> Option<Estimate> {
    if of == 0 {
        return None;
    }
    let (n, square) = (of as f64, Z * Z);
    let value = count as f64 / n;
    let middle = (value + square / (2.0 * n)) / (1.0 + square / n);
    let reach = Z * (value * (1.0 - value) / n + square / (4.0 * n * n)).sqrt() / (1.0 + square / n);
    Some(Estimate { value, low: (middle - reach).max(0.0), high: (middle + reach).min(1.0) })
}

fn calibration(scored: &[(f64, bool)]) -> Vec<Bin> {
    let bin = |score: f64| ((score * BINS as f64) as usize).min(BINS - 1);
    (0..BINS)
        .filter_map(|at| {
            let inside: Vec<_> = scored.iter().filter(|(score, _)| bin(*score) == at).collect();
            let images = inside.len();
            let mean = |sum: f64| sum / images as f64;
            (images > 0).then(|| Bin {
                from: at as f64 / BINS as f64,
                to: (at + 1) as f64 / BINS as f64,
                images,
                mean_score: mean(inside.iter().map(|(score, _)| score).sum()),
                positive_share: mean(inside.iter().filter(|(_, truth)| *truth).count() as f64),
            })
        })
        .collect()
}

/// From no alarm to nothing but alarms: one corner for each score that occurs.
fn roc(scored: &[(f64, bool)], positives: usize, negatives: usize) -> Vec<(f64, f64)> {
    if positives == 0 || negatives == 0 {
        return vec![];
    }
    let mut scored = scored.to_vec();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (mut found, mut alarms) = (0, 0);
    let mut corners = vec![(0.0, 0.0)];
    for equal in scored.chunk_by(|one, other| one.0 == other.0) {
        let hits = equal.iter().filter(|(_, truth)| *truth).count();
        found += hits;
        alarms += equal.len() - hits;
        corners.push((alarms as f64 / negatives as f64, found as f64 / positives as f64));
    }
    corners
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: [f64; 17] =
        [0.34, 0.58, 0.41, 0.92, 0.46, 0.54, 0.81, 0.81, 0.44, 0.87, 0.67, 0.75, 0.35, 0.81, 0.89, 0.52, 0.79];
    const WITHOUT: [f64; 23] = [
        0.31, 0.13, 0.64, 0.38, 0.26, 0.26, 0.51, 0.28, 0.26, 0.22, 0.21, 0.11, 0.49, 0.63, 0.28, 0.22, 0.64, 0.07,
        0.18, 0.63, 0.26, 0.56, 0.54,
    ];

    fn near(estimate: Option<Estimate>, expected: [f64; 3]) {
        let Estimate { value, low, high } = estimate.unwrap();
        for (found, expected) in [value, low, high].into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        }
    }

    /// Area, Brier score, sensitivity, specificity and calibration by scikit-learn 1.9.1; Wilson's intervals by SciPy; DeLong's from the
    /// means of counted pairs in NumPy.
    #[test]
    fn figures_are_those_of_other_programs() {
        let scored: Vec<_> =
            WITH.map(|score| (score, true)).into_iter().chain(WITHOUT.map(|score| (score, false))).collect();
        let measured = measure(&scored, 0.5);
        assert_eq!((measured.positive, measured.negative), (17, 23));
        near(measured.auc, [0.8529411764705883, 0.7379678645657918, 0.9679144883753846]);
        near(measured.sensitivity, [0.7058823529411765, 0.46866889933460154, 0.8672001038970476]);
        near(measured.specificity, [0.6956521739130435, 0.49134243731240806, 0.84395975546786]);
        assert!((measured.brier - 0.15955750000000002).abs() < 1e-9);
        let shares = [0.0, 0.0, 0.0, 0.5, 0.75, 0.5, 0.2, 1.0, 1.0, 1.0];
        let means = [0.07, 0.14, 0.25, 0.345, 0.45, 0.54166667, 0.642, 0.77, 0.838, 0.92];
        assert_eq!(measured.calibration.len(), shares.len());
        for ((bin, share), mean) in measured.calibration.iter().zip(shares).zip(means) {
            assert!((bin.positive_share - share).abs() < 1e-6 && (bin.mean_score - mean).abs() < 1e-3, "{bin:?}");
        }
        assert_eq!(measured.calibration.iter().map(|bin| bin.images).sum::<usize>(), scored.len());
    }

    #[test]
    fn without_both_kinds_there_is_no_area() {
        let measured = measure(&[(0.2, true), (0.9, true)], 0.5);
        assert_eq!((measured.auc, measured.specificity), (None, None));
        assert_eq!(measured.sensitivity.unwrap().value, 0.5);
        assert!(measured.roc.is_empty());
    }

    #[test]
    fn one_image_of_a_kind_leaves_the_area_open() {
        let area = measure(&[(0.2, false), (0.9, true)], 0.5).auc.unwrap();
        assert_eq!((area.value, area.low, area.high), (1.0, 0.0, 1.0));
    }

    #[test]
    fn the_curve_encloses_the_area() {
        let scored = [(0.9, true), (0.5, true), (0.5, false), (0.4, true), (0.2, false), (0.1, false)];
        let measured = measure(&scored, 0.5);
        let trapezoids = measured.roc.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0);
        assert!((trapezoids.sum::<f64>() - measured.auc.unwrap().value).abs() < 1e-12);
        assert_eq!(measured.roc.last(), Some(&(1.0, 1.0)));
    }
}
