//! How often each grey is met inside of the breast.

use ndarray::Array2;

use crate::{
    mask::Piece,
    memory::{self, Lent},
    quality,
};

/// Every second row is counted: half the work, and millions of pixels still.
const ROWS: usize = 2;

/// The greys of a breast's inside.
pub(super) struct Histogram {
    counts: Lent<u32>,
    total: usize,
}

impl Histogram {
    /// Of the piece that the erosion left, so that neither skin nor edge counts.
    pub(super) fn of(image: &Array2<u16>, piece: &Piece) -> Self {
        let mut counts = memory::counts(usize::from(u16::MAX) + 1);
        let mut total = 0;
        for (y, &(start, end)) in (piece.top..).zip(&piece.rows).step_by(ROWS) {
            let greys = &quality::row(image, y)[start..end];
            for &grey in greys {
                counts[usize::from(grey)] += 1;
            }
            total += greys.len();
        }
        Self { counts, total }
    }

    /// The lowest grey that at least this share of the pixels does not pass.
    pub(super) fn quantile(&self, share: f64) -> usize {
        let wanted = (share * self.total as f64) as usize;
        let mut below = 0;
        let reaches = |count: &u32| {
            below += *count as usize;
            below > wanted
        };
        self.counts.iter().position(reaches).unwrap_or(0)
    }

    /// The share of the pixels that have the highest grey.
    pub(super) fn highest(&self) -> f64 {
        let highest = self.counts.iter().rev().find(|&&count| count != 0).copied().unwrap_or(0);
        f64::from(highest) / self.total.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_the_highest_grey_are_those_of_sorted_greys() {
        let image = Array2::from_shape_fn((1, 100), |(_, x)| if x < 90 { x as u16 + 1 } else { 1000 });
        let histogram = Histogram::of(&image, &Piece { top: 0, rows: vec![(0, 100)] });
        assert_eq!((histogram.quantile(0.05), histogram.quantile(0.5), histogram.quantile(0.95)), (6, 51, 1000));
        assert_eq!(histogram.highest(), 0.1);
    }
}
