//! From pixels as they are stored to a grey image that a person looks at, and a map of the same size.

use cloister_imaging::View;
use ndarray::Array2;

use crate::Overlay;

/// Longest side of a Secondary Capture, in pixels: three bytes each are some nine megabytes, and a screen shows no more.
const LONGEST_SIDE: usize = 2048;

/// How much of the breast's pixels may be black, and how much white: marks and noise are not to set the scale.
const CLIPPED: f64 = 0.002;

/// Where the network looked, over the whole image: row by row from the top left, 0 for nowhere, 255 for the most.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    /// The label that it is for.
    pub label: &'a str,
    /// Rows of the map.
    pub rows: usize,
    /// Columns of the map.
    pub columns: usize,
    /// Its values, `rows` times `columns`.
    pub values: &'a [u8],
}

/// An image with its map.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    /// Which view it is.
    pub view: View,
    /// Greys as `[row, column]`, 0 is the background.
    pub pixels: &'a Array2<u16>,
    /// Where the network looked.
    pub map: Map<'a>,
}

/// A grey image and its map, as [`Overlay`] takes them.
pub(crate) struct Drawn<'a> {
    view: View,
    label: &'a str,
    rows: u16,
    columns: u16,
    grey: Vec<u8>,
    map: Vec<u8>,
}

impl Drawn<'_> {
    pub(crate) fn overlay(&self) -> Overlay<'_> {
        let Self { view, label, rows, columns, grey, map } = self;
        Overlay { view: *view, label, rows: *rows, columns: *columns, grey, map }
    }
}

/// Draws an image so that its breast goes from black to white, as large as it is or smaller by a whole factor. Nothing for a map whose values are not
/// `rows` times `columns`, or an image without pixels.
pub(crate) fn draw<'a>(picture: &Picture<'a>) -> Option<Drawn<'a>> {
    let (rows, columns) = picture.pixels.dim();
    let map = picture.map;
    if rows == 0 || columns == 0 || map.values.is_empty() || map.values.len() != map.rows.checked_mul(map.columns)? {
        return None;
    }
    let factor = rows.max(columns).div_ceil(LONGEST_SIDE);
    let (height, width) = (rows.div_ceil(factor), columns.div_ceil(factor));
    let (black, white) = scale(picture.pixels);
    let mut grey = Vec::with_capacity(height * width);
    let mut over = Vec::with_capacity(height * width);
    for row in 0..height {
        for column in 0..width {
            let block = picture.pixels.slice(ndarray::s![
                row * factor..((row + 1) * factor).min(rows),
                column * factor..((column + 1) * factor).min(columns)
            ]);
            let sum: u64 = block.iter().map(|&pixel| u64::from(pixel)).sum();
            grey.push(shade(sum / block.len().max(1) as u64, black, white));
            over.push(map.at((row, height), (column, width)));
        }
    }
    let (rows, columns) = (u16::try_from(height).ok()?, u16::try_from(width).ok()?);
    Some(Drawn { view: picture.view, label: map.label, rows, columns, grey, map: over })
}

/// What is black and what is white: all of the breast but [`CLIPPED`] at either end. The background is not counted.
fn scale(pixels: &Array2<u16>) -> (u64, u64) {
    let mut counts = vec![0_u64; usize::from(u16::MAX) + 1];
    for &pixel in pixels {
        counts[usize::from(pixel)] += 1;
    }
    counts[0] = 0;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of the pixels"
    )]
    let clipped = (counts.iter().sum::<u64>() as f64 * CLIPPED) as u64;
    let reached = |grey: &mut u64, count: &u64| {
        *grey += count;
        Some(*grey > clipped)
    };
    let black = counts.iter().scan(0, reached).position(|there| there).unwrap_or(0);
    let white = counts.iter().rev().scan(0, reached).position(|there| there).map_or(0, |at| usize::from(u16::MAX) - at);
    (black as u64, white as u64)
}

fn shade(grey: u64, black: u64, white: u64) -> u8 {
    let range = white.saturating_sub(black).max(1);
    let above = grey.saturating_sub(black).min(range);
    u8::try_from(above * 255 / range).unwrap_or(u8::MAX)
}

impl Map<'_> {
    /// The map between its cells' centres, by both distances, at the centre of a pixel of a larger image.
    fn at(&self, row: (usize, usize), column: (usize, usize)) -> u8 {
        let (above, below, down) = between(row, self.rows);
        let (left, right, across) = between(column, self.columns);
        let value = |row: usize, column: usize| {
            f64::from(self.values.get(row * self.columns + column).copied().unwrap_or_default())
        };
        let mix = |from: f64, to: f64, part: f64| from + (to - from) * part;
        let upper = mix(value(above, left), value(above, right), across);
        let lower = mix(value(below, left), value(below, right), across);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of bytes, rounded")]
        let mixed = mix(upper, lower, down).round() as u8;
        mixed
    }
}

/// The two cells around a pixel's centre, and how far it is from the first to the second.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes of images"
)]
fn between((pixel, pixels): (usize, usize), cells: usize) -> (usize, usize, f64) {
    let place = ((pixel as f64 + 0.5) * cells as f64 / pixels as f64 - 0.5).clamp(0.0, cells.saturating_sub(1) as f64);
    let first = place.floor() as usize;
    (first, (first + 1).min(cells.saturating_sub(1)), place - place.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn<'a>(pixels: &'a Array2<u16>, map: Map<'a>) -> Option<Drawn<'a>> {
        draw(&Picture { view: View::LCc, pixels, map })
    }

    #[test]
    fn the_breast_goes_from_black_to_white_whatever_its_greys_are() {
        let mut pixels = Array2::from_shape_fn((100, 100), |(row, _)| 1000 + 10 * u16::try_from(row).unwrap());
        pixels[[0, 0]] = 65_535;
        pixels[[99, 99]] = 0;
        let drawn = drawn(&pixels, Map { label: "malignant", rows: 1, columns: 1, values: &[0] }).unwrap();
        let at = |row: usize| drawn.grey[row * 100 + 50];
        assert_eq!((at(0), at(99), drawn.grey[0], drawn.grey[9999]), (0, 255, 255, 0));
        assert!((127..=129).contains(&at(50)), "{}", at(50));
    }

    #[test]
    fn a_large_image_is_made_smaller_by_a_whole_factor() {
        let pixels = Array2::from_elem((4097, 10), 7);
        let drawn = drawn(&pixels, Map { label: "malignant", rows: 2, columns: 1, values: &[0, 255] }).unwrap();
        assert_eq!((drawn.rows, drawn.columns, drawn.grey.len()), (1366, 4, 1366 * 4));
        assert_eq!((drawn.map[0], drawn.map[1365 * 4 + 3]), (0, 255));
        assert_eq!(drawn.map[683 * 4], 128);
    }

    #[test]
    fn the_map_lies_where_its_cells_are() {
        let pixels = Array2::from_elem((4, 6), 1);
        let values = [0, 0, 200, 0, 0, 0];
        let drawn = drawn(&pixels, Map { label: "malignant", rows: 2, columns: 3, values: &values }).unwrap();
        // The last cell of the first row covers the first two rows and the last two columns, and its centre is between pixels.
        assert_eq!(drawn.map[5], 200);
        let sum = |keep: fn(usize, usize) -> bool| -> u32 {
            (0..24).filter(|at| keep(at / 6, at % 6)).map(|at| u32::from(drawn.map[at])).sum()
        };
        assert!(sum(|row, column| row < 2 && column >= 4) > sum(|row, column| row >= 2 || column < 4));
        assert_eq!(sum(|row, column| row == 3 || column < 2), 0);
    }

    #[test]
    fn a_map_that_does_not_fill_itself_is_refused() {
        let pixels = Array2::from_elem((4, 6), 1);
        for (rows, columns, values) in [(2, 2, &[1_u8, 2, 3][..]), (0, 0, &[]), (usize::MAX, 2, &[1])] {
            assert!(drawn(&pixels, Map { label: "malignant", rows, columns, values }).is_none());
        }
        assert!(
            drawn(&Array2::from_elem((0, 6), 1), Map { label: "malignant", rows: 1, columns: 1, values: &[1] })
                .is_none()
        );
    }
}
