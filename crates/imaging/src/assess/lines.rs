//! Lines that somebody drew: stretches of exactly one grey. A detector's and a film's noise leave none in tissue.

use ndarray::Array2;

use crate::quality::row;

/// Every so many pixels are looked at first: a stretch three times as long shows in three of them in turn.
const STEP: usize = 32;

/// The shortest stretch that is told: the first that no line of [`STEP`] can miss.
pub(super) const SHORTEST: usize = 4 * STEP;

/// Where a breast lies: for each row from `top` on its first column and one past its last.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) top: usize,
    pub(super) rows: &'a [(usize, usize)],
}

impl Place<'_> {
    /// The breast's greys in one of its rows.
    fn greys<'i>(&self, image: &'i Array2<u16>, index: usize) -> &'i [u16] {
        let (start, end) = self.rows[index];
        &row(image, self.top + index)[start..end]
    }
}

/// The longest stretch of one grey, other than 0, that lies along a row of the breast and along a column; 0 for those shorter than
/// [`SHORTEST`].
pub(super) fn longest(image: &Array2<u16>, breast: Place<'_>) -> (usize, usize) {
    let in_rows = (0..breast.rows.len()).map(|index| {
        let greys = breast.greys(image, index);
        longest_in(greys.len(), |x| greys[x])
    });
    (in_rows.max().unwrap_or(0), longest_in_columns(image, breast))
}

fn longest_in(length: usize, grey: impl Fn(usize) -> u16) -> usize {
    let mut longest = 0;
    let mut at = 0;
    while at + 2 * STEP < length {
        let value = grey(at);
        if value == 0 || grey(at + STEP) != value || grey(at + 2 * STEP) != value {
            at += STEP;
            continue;
        }
        let start = (0..at).rev().take_while(|&before| grey(before) == value).last().unwrap_or(at);
        let end = (at..length).find(|&after| grey(after) != value).unwrap_or(length);
        longest = longest.max(end - start);
        at = end.max(at + STEP).next_multiple_of(STEP);
    }
    if longest < SHORTEST { 0 } else { longest }
}

/// Rows are compared with each other whole; only columns in which three agree are walked along.
fn longest_in_columns(image: &Array2<u16>, breast: Place<'_>) -> usize {
    let mut suspects = vec![false; image.ncols()];
    for index in (0..breast.rows.len().saturating_sub(2 * STEP)).step_by(STEP) {
        let three = [index, index + STEP, index + 2 * STEP];
        let start = three.map(|index| breast.rows[index].0).into_iter().max().unwrap_or(0);
        let end = three.map(|index| breast.rows[index].1).into_iter().min().unwrap_or(0).max(start);
        let [first, second, third] = three.map(|index| &row(image, breast.top + index)[start..end]);
        for (((suspect, first), second), third) in suspects[start..end].iter_mut().zip(first).zip(second).zip(third) {
            *suspect |= (*first != 0) & (first == second) & (first == third);
        }
    }
    let column = |x: usize| {
        longest_in(breast.rows.len(), |index| {
            let (start, end) = breast.rows[index];
            if (start..end).contains(&x) { image[(breast.top + index, x)] } else { 0 }
        })
    };
    let suspects = suspects.iter().enumerate().filter(|(_, suspect)| **suspect);
    suspects.map(|(x, _)| column(x)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By looking at every pixel.
    fn counted(greys: &[u16]) -> usize {
        let stretches = greys.chunk_by(|one, other| one == other).filter(|stretch| stretch[0] != 0);
        stretches.map(<[u16]>::len).filter(|&length| length >= SHORTEST).max().unwrap_or(0)
    }

    fn stretches() -> impl Strategy<Value = Vec<u16>> {
        prop::collection::vec((0u16..4, 1usize..300), 1..8).prop_map(|stretches| {
            stretches.into_iter().flat_map(|(grey, length)| std::iter::repeat_n(grey, length)).collect()
        })
    }

    proptest! {
        #[test]
        fn a_stretch_is_as_long_in_a_row_and_in_a_column_as_counting_finds(greys in stretches()) {
            let length = greys.len();
            let across = Array2::from_shape_vec((1, length), greys.clone()).unwrap();
            prop_assert_eq!(longest(&across, Place { top: 0, rows: &[(0, length)] }).0, counted(&greys));
            let down = Array2::from_shape_vec((length, 1), greys.clone()).unwrap();
            prop_assert_eq!(longest(&down, Place { top: 0, rows: &vec![(0, 1); length] }).1, counted(&greys));
        }
    }
}
