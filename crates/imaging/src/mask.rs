//! The shape of the breast: the largest piece of tissue that survives an erosion.
//!
//! Eroding `radius` times with the 4-neighbour cross keeps the pixels whose city-block distance to the nearest zero or outside
//! pixel is more than `radius`. The distance is the least of (distance down the column + steps along the row), so one pass per
//! vertical direction and a few wide steps per row give it, all of them on whole rows of bytes.

use cloister_conv::{Wide, wide};
use ndarray::Array2;

use crate::{Window, memory, quality};

/// How many rows are eroded at a time: so few that the cache holds them, and so many that the rows below them, which are looked at twice, are
/// fewer.
const BAND: usize = 256;

/// A 4-connected piece of an eroded mask. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The row of `rows[0]`, in the image.
    pub(crate) top: usize,
    /// First column and one past the last, row after row without a gap: a connected piece touches every row between its ends.
    pub(crate) rows: Vec<(usize, usize)>,
}

/// A run of neighbouring pixels in one row.
struct Run {
    y: usize,
    start: usize,
    end: usize,
    label: usize,
}

/// The largest piece of `image > 0` after `radius` erosions; of equals, the first in raster order. `bounds` holds all non-zero
/// pixels.
pub(crate) fn largest_piece(image: &Array2<u16>, bounds: Window, radius: u8) -> Option<Piece> {
    // Most rows have one run.
    let runs = Vec::with_capacity(bounds.bottom - bounds.top);
    let mut pieces = Pieces { runs, ..Pieces::default() };
    erode(image, bounds, radius, |y, row| pieces.add_row(y, row, radius));
    pieces.largest(bounds.left)
}

/// Calls `visit` for each row of `bounds`, top down, with the distances of its pixels, exact up to `radius`.
fn erode(image: &Array2<u16>, bounds: Window, radius: u8, mut visit: impl FnMut(usize, &[u8])) {
    let (height, width) = (bounds.bottom - bounds.top, bounds.right - bounds.left);
    if height == 0 || width == 0 {
        return;
    }
    let mut across = Across::new(width, radius);
    let mut above = vec![0u8; width];
    let mut below = memory::band(width * (BAND + usize::from(radius)).min(height));
    for top in (bounds.top..bounds.bottom).step_by(BAND) {
        let bottom = (top + BAND).min(bounds.bottom);
        // From so far below the band that what is found there is more than the radius away from all of it.
        let seen = (bottom + usize::from(radius)).min(bounds.bottom);
        let below = &mut below[..width * (seen - top)];
        distances_below(image, Window { top, bottom: seen, ..bounds }, below);
        for (y, below) in (top..bottom).zip(below.chunks_exact(width)) {
            visit(y, wide(Spread { across: &mut across, above: &mut above, below }));
        }
    }
}

/// For each pixel of `window`, how many rows down the nearest zero or outside pixel is, up to 255.
fn distances_below(image: &Array2<u16>, window: Window, below: &mut [u8]) {
    let width = window.right - window.left;
    let mut previous = vec![0u8; width];
    for (row, below) in (window.top..window.bottom).rev().zip(below.chunks_exact_mut(width).rev()) {
        let pixels = &quality::row(image, row)[window.left..window.right];
        wide(Below { pixels, previous: &mut previous, below });
    }
}

/// The distances of one row from those of the row below it, which are in `previous` before, and its own after.
struct Below<'a> {
    pixels: &'a [u16],
    previous: &'a mut [u8],
    below: &'a mut [u8],
}

impl Wide for Below<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((below, previous), pixel) in self.below.iter_mut().zip(self.previous).zip(self.pixels) {
            *previous = if *pixel == 0 { 0 } else { previous.saturating_add(1) };
            *below = *previous;
        }
    }
}

/// The distances of one row from those downwards, and those upwards of the row before, which become its own.
struct Spread<'a> {
    across: &'a mut Across,
    above: &'a mut [u8],
    below: &'a [u8],
}

impl<'a> Wide for Spread<'a> {
    type Output = &'a [u8];

    #[inline(always)]
    fn run(self) -> &'a [u8] {
        for (above, below) in self.above.iter_mut().zip(self.below) {
            // Where `below` is 0 so is the pixel, and elsewhere the distance upwards is one more than in the row before.
            *above = if *below == 0 { 0 } else { above.saturating_add(1) };
        }
        self.across.spread(self.above, self.below)
    }
}

/// Spreads vertical distances along a row.
struct Across {
    /// Wide steps 1, 2, 4 and so on, whose sum is at least the radius.
    steps: Vec<u8>,
    /// Distance of each column to the nearest side.
    sides: Vec<u8>,
    /// Two rows with room on both sides for the widest step.
    from: Vec<u8>,
    to: Vec<u8>,
    room: usize,
}

impl Across {
    fn new(width: usize, radius: u8) -> Self {
        let steps: Vec<u8> = (0..8).map(|power| 1u8 << power).take_while(|step| *step <= radius).collect();
        let room = usize::from(steps.last().copied().unwrap_or(0));
        let byte = |distance: usize| u8::try_from(distance).unwrap_or(u8::MAX);
        let sides = (0..width).map(|x| byte((x + 1).min(width - x))).collect();
        let line = vec![u8::MAX; width + 2 * room];
        Self { steps, sides, from: line.clone(), to: line, room }
    }

    #[inline(always)]
    fn spread(&mut self, above: &[u8], below: &[u8]) -> &[u8] {
        let width = self.sides.len();
        let inside = self.room..self.room + width;
        for (((from, above), below), side) in
            self.from[inside.clone()].iter_mut().zip(above).zip(below).zip(&self.sides)
        {
            *from = (*above).min(*below).min(*side);
        }
        for &step in &self.steps {
            let reach = usize::from(step);
            let left = &self.from[self.room - reach..][..width];
            let right = &self.from[self.room + reach..][..width];
            let here = &self.from[inside.clone()];
            let to = &mut self.to[inside.clone()];
            for (((to, here), left), right) in to.iter_mut().zip(here).zip(left).zip(right) {
                *to = (*here).min((*left).min(*right).saturating_add(step));
            }
            std::mem::swap(&mut self.from, &mut self.to);
        }
        &self.from[inside]
    }
}

/// The first of a row's distances, from one on, that something is true of. Most rows have long runs, of which a chunk is passed by at a time.
fn next(distances: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    const CHUNK: usize = 64;
    let any = |chunk: &[u8]| chunk.iter().fold(false, |any, distance| any | wanted(*distance));
    let passed = distances[from..].chunks_exact(CHUNK).take_while(|chunk| !any(chunk)).count();
    let from = from + passed * CHUNK;
    distances[from..].iter().position(|distance| wanted(*distance)).map(|skipped| from + skipped)
}

/// Runs of pixels, joined into pieces as rows come in from the top.
#[derive(Default)]
struct Pieces {
    runs: Vec<Run>,
    /// Where the runs of the row before start in `runs`.
    previous: usize,
    /// A forest: each label's parent is a smaller label of the same piece, or itself.
    parents: Vec<usize>,
}

impl Pieces {
    /// Adds the pixels of row `y` that are more than `radius` away from any zero.
    fn add_row(&mut self, y: usize, distances: &[u8], radius: u8) {
        let current = self.runs.len();
        let touching = self.runs[self.previous..].first().is_some_and(|run| run.y + 1 == y);
        let mut above = if touching { self.previous } else { current };
        let mut x = 0;
        while let Some(start) = next(distances, x, |distance| distance > radius) {
            let end = next(distances, start, |distance| distance <= radius).unwrap_or(distances.len());
            let mut label = None;
            while above < current && self.runs[above].start < end {
                if self.runs[above].end > start {
                    label = Some(self.join(self.runs[above].label, label));
                }
                if self.runs[above].end > end {
                    break;
                }
                above += 1;
            }
            let label = label.unwrap_or_else(|| {
                self.parents.push(self.parents.len());
                self.parents.len() - 1
            });
            self.runs.push(Run { y, start, end, label });
            x = end;
        }
        self.previous = current;
    }

    fn join(&mut self, one: usize, other: Option<usize>) -> usize {
        let one = self.root(one);
        let other = other.map_or(one, |other| self.root(other));
        let (small, large) = (one.min(other), one.max(other));
        self.parents[large] = small;
        small
    }

    fn root(&mut self, mut label: usize) -> usize {
        while self.parents[label] != label {
            self.parents[label] = self.parents[self.parents[label]];
            label = self.parents[label];
        }
        label
    }

    /// The largest piece, its columns counted from `left`.
    fn largest(mut self, left: usize) -> Option<Piece> {
        let mut areas = vec![0usize; self.parents.len()];
        for index in 0..self.runs.len() {
            let root = self.root(self.runs[index].label);
            self.runs[index].label = root;
            areas[root] += self.runs[index].end - self.runs[index].start;
        }
        // Labels were given in raster order and a piece keeps its smallest, so the first of equal areas is the first in raster order.
        let most = areas.iter().copied().max()?;
        let label = areas.iter().position(|&area| area == most)?;
        let mut runs = self.runs.iter().filter(|run| run.label == label);
        let first = runs.next()?;
        let mut rows = vec![(first.start + left, first.end + left)];
        for run in runs {
            let (start, end) = (run.start + left, run.end + left);
            match rows.get_mut(run.y - first.y) {
                Some(row) => *row = (row.0.min(start), row.1.max(end)),
                None => rows.push((start, end)),
            }
        }
        Some(Piece { top: first.y, rows })
    }
}

impl Piece {
    /// The bounding box of the piece after `radius` dilations, which undo the erosions: they stay inside the image.
    pub(crate) fn dilated_bounds(&self, radius: usize) -> Window {
        let left = self.rows.iter().map(|row| row.0).min().unwrap_or(0);
        let right = self.rows.iter().map(|row| row.1).max().unwrap_or(0);
        Window {
            top: self.top.saturating_sub(radius),
            bottom: self.top + self.rows.len() + radius,
            left: left.saturating_sub(radius),
            right: right + radius,
        }
    }

    /// The first column and one past the last of each row of the piece after `radius` dilations, from the row of
    /// [`Piece::dilated_bounds`] on.
    pub(crate) fn dilated_rows(&self, radius: usize) -> Vec<(usize, usize)> {
        let mut rows = vec![(usize::MAX, 0); self.rows.len() + 2 * radius];
        for down in 0..=2 * radius {
            let reach = radius - down.abs_diff(radius);
            for (row, &(start, end)) in rows[down..].iter_mut().zip(&self.rows) {
                *row = (row.0.min(start.saturating_sub(reach)), row.1.max(end + reach));
            }
        }
        rows
    }

    /// The first column and the last, of the piece after `radius` dilations, in rows from `from` on.
    ///
    /// A row above `from` reaches below it by what is left of its diamond.
    pub(crate) fn dilated_columns(&self, radius: usize, from: usize) -> Option<(usize, usize)> {
        let reaching = (self.top..).zip(&self.rows).filter_map(|(y, &(start, end))| {
            let reach = radius.checked_sub(from.saturating_sub(y))?;
            Some((start.saturating_sub(reach), end - 1 + reach))
        });
        reaching.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Mask = Array2<bool>;

    /// One erosion or dilation with the 4-neighbour cross, as it is defined; outside the image counts as false.
    fn pass(mask: &Mask, keep: impl Fn(bool, [bool; 4]) -> bool) -> Mask {
        let at = |y: Option<usize>, x: Option<usize>| match (y, x) {
            (Some(y), Some(x)) => mask.get((y, x)).copied().unwrap_or(false),
            _ => false,
        };
        Array2::from_shape_fn(mask.dim(), |(y, x)| {
            let around = [
                at(y.checked_sub(1), Some(x)),
                at(Some(y + 1), Some(x)),
                at(Some(y), x.checked_sub(1)),
                at(Some(y), Some(x + 1)),
            ];
            keep(mask[(y, x)], around)
        })
    }

    fn eroded(mask: &Mask, times: u8) -> Mask {
        (0..times).fold(mask.clone(), |mask, _| pass(&mask, |here, around| here && around.iter().all(|&set| set)))
    }

    fn dilated(mask: &Mask, times: u8) -> Mask {
        (0..times).fold(mask.clone(), |mask, _| pass(&mask, |here, around| here || around.iter().any(|&set| set)))
    }

    /// Pieces in raster order of their first pixels, by flooding.
    fn pieces(mask: &Mask) -> Vec<Mask> {
        let mut seen = Array2::from_elem(mask.dim(), false);
        let mut pieces = Vec::new();
        for ((y, x), &set) in mask.indexed_iter() {
            if !set || seen[(y, x)] {
                continue;
            }
            let mut piece = Array2::from_elem(mask.dim(), false);
            let mut open = vec![(y, x)];
            while let Some((y, x)) = open.pop() {
                if !mask.get((y, x)).copied().unwrap_or(false) || piece[(y, x)] {
                    continue;
                }
                piece[(y, x)] = true;
                seen[(y, x)] = true;
                open.extend([(y + 1, x), (y, x + 1), (y.wrapping_sub(1), x), (y, x.wrapping_sub(1))]);
            }
            pieces.push(piece);
        }
        pieces
    }

    fn count(mask: &Mask) -> usize {
        mask.iter().filter(|&&set| set).count()
    }

    fn span(set: impl Iterator<Item = bool>) -> Option<(usize, usize)> {
        let set: Vec<bool> = set.collect();
        Some((set.iter().position(|&set| set)?, set.iter().rposition(|&set| set)?))
    }

    fn columns(mask: &Mask, from: usize) -> Option<(usize, usize)> {
        span(mask.columns().into_iter().map(|column| column.iter().skip(from).any(|&set| set)))
    }

    fn check(image: &Array2<u16>, radius: u8) {
        let (height, width) = image.dim();
        let whole = Window { top: 0, bottom: height, left: 0, right: width };
        let found = largest_piece(image, whole, radius);
        if let Ok(bounds) = quality::bounds(image) {
            assert_eq!(largest_piece(image, bounds, radius), found, "the bounds change nothing");
        }
        let candidates = pieces(&eroded(&image.mapv(|pixel| pixel > 0), radius));
        // `max_by_key` takes the last of equals, so the first in raster order is the last when reversed.
        let Some(expected) = candidates.iter().rev().max_by_key(|piece| count(piece)) else {
            assert_eq!(found, None);
            return;
        };
        let found = found.expect("a piece is left");
        let rows = expected.rows().into_iter().map(|row| span(row.iter().copied()));
        let rows: Vec<_> = rows.flatten().map(|(first, last)| (first, last + 1)).collect();
        assert_eq!(found.rows, rows);
        let opened = dilated(expected, radius);
        let (top, last) = span(opened.rows().into_iter().map(|row| row.iter().any(|&set| set))).expect("never empty");
        let (left, right) = columns(&opened, 0).expect("never empty");
        let expected = Window { top, bottom: last + 1, left, right: right + 1 };
        assert_eq!(found.dilated_bounds(radius.into()), expected);
        let rows = opened.rows().into_iter().filter_map(|row| span(row.iter().copied()));
        assert_eq!(found.dilated_rows(radius.into()), rows.map(|(first, last)| (first, last + 1)).collect::<Vec<_>>());
        for from in 0..height {
            assert_eq!(found.dilated_columns(radius.into(), from), columns(&opened, from), "from row {from}");
        }
    }

    /// Images of filled rectangles and single zeros, which survive some erosions, unlike noise.
    fn images() -> impl Strategy<Value = Array2<u16>> {
        let shape = (0usize..40, 0usize..40, 1usize..30, 1usize..30, prop_oneof![4 => Just(7u16), 1 => Just(0)]);
        let holes = prop::collection::vec((0usize..40, 0usize..40), 0..4);
        ((1usize..40, 1usize..40), prop::collection::vec(shape, 0..8), holes).prop_map(|(size, shapes, holes)| {
            let mut image = Array2::zeros(size);
            let mut set = |y: usize, x: usize, value: u16| {
                if let Some(pixel) = image.get_mut((y, x)) {
                    *pixel = value;
                }
            };
            for (top, left, height, width, value) in shapes {
                for (y, x) in (top..top + height).flat_map(|y| (left..left + width).map(move |x| (y, x))) {
                    set(y, x, value);
                }
            }
            holes.into_iter().for_each(|(y, x)| set(y, x, 0));
            image
        })
    }

    fn noise() -> impl Strategy<Value = Array2<u16>> {
        (1usize..24, 1usize..24, 1u16..6).prop_flat_map(|(height, width, values)| {
            prop::collection::vec(0..=values, height * width)
                .prop_map(move |pixels| Array2::from_shape_vec((height, width), pixels).expect("the sizes agree"))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn the_next_is_the_one_that_would_be_found_one_by_one(
            runs in prop::collection::vec((any::<bool>(), 1usize..150), 0..6),
            from in any::<prop::sample::Index>(),
        ) {
            let distances: Vec<u8> = runs.iter().flat_map(|(inside, length)| vec![u8::from(*inside); *length]).collect();
            let from = from.index(distances.len() + 1);
            let wanted = |distance: u8| distance == 1;
            let one_by_one = (from..distances.len()).find(|at| wanted(distances[*at]));
            prop_assert_eq!(next(&distances, from, wanted), one_by_one);
        }

        #[test]
        fn the_distance_pass_equals_repeated_erosion_and_dilation(image in images(), radius in 0u8..9) {
            check(&image, radius);
        }

        #[test]
        fn pieces_of_noise_equal_a_flood_fill(image in noise(), radius in 0u8..3) {
            check(&image, radius);
        }
    }

    #[test]
    fn a_zero_is_seen_from_the_band_above_it_and_from_the_one_below() {
        for row in [0, BAND - 31, BAND - 30, BAND - 1, BAND, BAND + 29, 2 * BAND - 5, 2 * BAND + 30] {
            let mut image = Array2::ones((2 * BAND + 70, 75));
            image[(row, 40)] = 0;
            check(&image, 30);
        }
    }

    #[test]
    fn of_two_equal_pieces_the_first_in_raster_order_is_kept() {
        let mut image = Array2::zeros((9, 20));
        image.slice_mut(ndarray::s![3..8, 1..6]).fill(1);
        image.slice_mut(ndarray::s![1..6, 12..17]).fill(1);
        let whole = Window { top: 0, bottom: 9, left: 0, right: 20 };
        assert_eq!(largest_piece(&image, whole, 1), Some(Piece { top: 2, rows: vec![(13, 16); 3] }));
    }

    #[test]
    fn the_full_radius_needs_201_pixels_on_each_side() {
        let full = Window { top: 0, bottom: 201, left: 0, right: 201 };
        let image = Array2::ones((201, 201));
        assert_eq!(largest_piece(&image, full, 100), Some(Piece { top: 100, rows: vec![(100, 101)] }));
        let short = Window { bottom: 200, ..full };
        assert_eq!(largest_piece(&Array2::ones((200, 201)), short, 100), None);
    }
}
