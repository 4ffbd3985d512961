//! What an image must be before anything is computed from it. Each check refuses only what is clearly wrong: a breast may be
//! large, touch any edge, or lie apart from the one it enters from.

use cloister_conv::{Wide, wide};
use ndarray::{Array2, s};

use crate::{Error, Laterality, View, Window, mask::Piece};

/// How far from an edge a frame's line may run, as a part of the side: one in 20.
const BAND: usize = 20;

/// The share of a line that a frame, or a background, fills: four in five. A breast that fills the picture to its corners
/// stays below.
const FILLED: (usize, usize) = (4, 5);

/// How much more tissue lies in the half away from the chest before a breast is taken for the other one: five to four.
const HEAVIER: (usize, usize) = (5, 4);

/// The part of the width within which a breast counts as touching an edge: one in 100.
const TOUCHING: usize = 100;

/// The smallest rectangle that holds all non-zero pixels.
pub(crate) fn bounds(image: &Array2<u16>) -> Result<Window, Error> {
    let mut columns = vec![0u16; image.ncols()];
    let mut rows = None;
    for y in 0..image.nrows() {
        if wide(Join { columns: &mut columns, row: row(image, y) }) != 0 {
            rows = Some((rows.map_or(y, |(top, _)| top), y + 1));
        }
    }
    let left = columns.iter().position(|&column| column != 0);
    let right = columns.iter().rposition(|&column| column != 0);
    match (rows, left, right) {
        (Some((top, bottom)), Some(left), Some(right)) => Ok(Window { top, bottom, left, right: right + 1 }),
        _ => Err(Error::AllZero),
    }
}

/// Adds the bits of a row to those of its columns, for those of all its pixels.
struct Join<'a> {
    columns: &'a mut [u16],
    row: &'a [u16],
}

impl Wide for Join<'_> {
    type Output = u16;

    #[inline(always)]
    fn run(self) -> u16 {
        let mut any = 0;
        for (column, pixel) in self.columns.iter_mut().zip(self.row) {
            *column |= pixel;
            any |= pixel;
        }
        any
    }
}

/// A row of an image in standard layout, as a slice: over views' own iterators loops take one number at a time.
pub(crate) fn row(image: &Array2<u16>, y: usize) -> &[u16] {
    image.row(y).to_slice().unwrap_or_default()
}

/// How many are not 0. Counted in as many bits as a pixel has, so that as many pixels are counted at once as fit into a register.
pub(crate) fn count_lit(pixels: &[u16]) -> usize {
    // No chunk has so many that their number wraps around.
    pixels.chunks(u16::MAX.into()).map(|chunk| usize::from(wide(Lit(chunk)))).sum()
}

/// How many of a chunk's pixels are not 0.
struct Lit<'a>(&'a [u16]);

impl Wide for Lit<'_> {
    type Output = u16;

    #[inline(always)]
    fn run(self) -> u16 {
        let mut count = 0u16;
        for pixel in self.0 {
            count = count.wrapping_add(u16::from(*pixel != 0));
        }
        count
    }
}

/// Refuses an image whose top, bottom and far sides (the one away from the chest) are each filled along a line near the edge:
/// a background that is not 0 fills them, and so does a frame.
pub(crate) fn check_background(image: &Array2<u16>, laterality: Laterality) -> Result<(), Error> {
    let (height, width) = image.dim();
    let (rows, columns) = (height.div_ceil(BAND), width.div_ceil(BAND));
    let far = match laterality {
        Laterality::Left => width - columns..width,
        Laterality::Right => 0..columns,
    };
    let enclosed = (0..rows).any(|y| is_filled(row(image, y)))
        && (height - rows..height).any(|y| is_filled(row(image, y)))
        && any_column_filled(image, far);
    if !enclosed {
        return Ok(());
    }
    let quarter = width.div_ceil(4);
    let apart = match laterality {
        Laterality::Left => image.slice(s![.., width - quarter..]),
        Laterality::Right => image.slice(s![.., ..quarter]),
    };
    let filled = apart.iter().filter(|&&pixel| pixel != 0).count();
    Err(if 2 * filled >= apart.len() { Error::NonZeroBackground } else { Error::Frame })
}

fn is_filled(line: &[u16]) -> bool {
    count_lit(line) * FILLED.1 >= line.len() * FILLED.0
}

fn any_column_filled(image: &Array2<u16>, columns: std::ops::Range<usize>) -> bool {
    let mut filled = vec![0u32; columns.len()];
    for y in 0..image.nrows() {
        for (filled, pixel) in filled.iter_mut().zip(&row(image, y)[columns.clone()]) {
            *filled = filled.wrapping_add(u32::from(*pixel != 0));
        }
    }
    filled.into_iter().any(|filled| filled as usize * FILLED.1 >= image.nrows() * FILLED.0)
}

/// Refuses a breast that clearly enters from the edge away from the chest.
///
/// Most of its tissue must lie in that half of the image. Then it is the other breast if it touches that edge and not its own;
/// or if it lies nearer to that edge, and tapers towards its own. An image with a wide empty strip at the chest stays usable.
///
/// `outline` is the piece's bounding box after dilation.
pub(crate) fn check_side(piece: &Piece, outline: Window, width: usize, view: View) -> Result<(), Error> {
    let laterality = view.laterality();
    let near_and_far = |left: usize, right: usize| match laterality {
        Laterality::Left => (left, right),
        Laterality::Right => (right, left),
    };
    let split = |middle: usize| {
        let left: usize = piece.rows.iter().map(|&(start, end)| end.min(middle).saturating_sub(start)).sum();
        let right: usize = piece.rows.iter().map(|&(start, end)| end.saturating_sub(start.max(middle))).sum();
        near_and_far(left, right)
    };
    let (near_half, far_half) = split(width / 2);
    let (near_base, far_base) = split(outline.left.midpoint(outline.right));
    let (near_gap, far_gap) = near_and_far(outline.left, width.saturating_sub(outline.right));
    let touching = width / TOUCHING;
    let enters_there = far_gap <= touching && near_gap > touching;
    let tapers_here = far_gap <= near_gap && far_base > near_base;
    if far_half * HEAVIER.1 > near_half * HEAVIER.0 && (enters_there || tapers_here) {
        return Err(Error::WrongSide { view, found: laterality.opposite() });
    }
    Ok(())
}
