//! From an image to what its crops are cut from: the window around the breast, the mirror, the best centre.

use std::borrow::Cow;

use ndarray::{Array2, s};

use crate::{
    Angle, Error, Finding, Laterality, Measures, View,
    crops::{self, CropPlan, Noise},
    limits,
    mask::{self, Piece},
    memory::{self, Picture},
    quality, render,
};

/// How many pixels of rim are eroded from the mask, and given back to its largest piece: what is thinner is not a breast.
const EROSION: u8 = 100;

/// How many pixels of background are kept around the breast, where there are as many.
const MARGIN: usize = 50;

/// A rectangle of an image, ends excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub top: usize,
    /// One past the last row.
    pub bottom: usize,
    /// First column.
    pub left: usize,
    /// One past the last column.
    pub right: usize,
}

/// An image that was cropped to its breast, turned so that the breast points right, and centred for one network.
///
/// Holds a copy of the cropped pixels (two bytes each), so that the image itself may be dropped. Shared between threads, each
/// of which renders crops of its own.
pub struct Prepared {
    /// The view that the image was taken as.
    pub view: View,
    /// Where the breast is, in the image as it was given.
    pub window: Window,
    /// Where the network's window is centred, `(y, x)` in the crop after mirroring. May lie outside of the crop.
    pub best_center: (i64, i64),
    /// Columns between the crop and the edge that the breast enters from.
    pub distance_from_starting_side: usize,
    /// What a person should look at before they believe a score, in the order of their codes.
    pub findings: Vec<Finding>,
    network: (usize, usize),
    pixels: Picture,
}

/// Crops `image` to its breast and finds the best centre for a network whose window is `network` (height, width) pixels.
///
/// # Errors
/// An image that is all zero, smaller than a breast, without a zero background or with a frame; one in which nothing is thick
/// enough to be a breast, or in which the breast enters from the other side than `view` says; one that no score should be given for
/// ([`Measures::judge`]); an unusable network window.
pub fn prepare(image: &Array2<u16>, view: View, network: (usize, usize)) -> Result<Prepared, Error> {
    let sides = 1..=limits::MAX_NETWORK_SIDE;
    if !sides.contains(&network.0) || !sides.contains(&network.1) {
        return Err(Error::NetworkWindow { height: network.0, width: network.1, limit: limits::MAX_NETWORK_SIDE });
    }
    let image = standard(image);
    let Found { piece, outline, measures } = find(&image, view)?;
    let findings = measures.judge(view)?;
    let crop = Crop::around(&piece, outline, image.dim(), view.laterality());
    let pixels = crop.cut(&image, view.laterality());
    let best_center = match view.angle() {
        Angle::Cc => center_cc(&pixels, crop.rightmost_x, network),
        Angle::Mlo => center_mlo(&pixels, crop.bottommost_y, crop.rightmost_x, network),
    };
    let distance_from_starting_side = crop.distance_from_starting_side;
    Ok(Prepared { view, window: crop.window, best_center, distance_from_starting_side, findings, network, pixels })
}

/// Measures how fit `image` is for a score, and judges nothing: [`Measures::judge`] does.
///
/// # Errors
/// As [`prepare`], but for the network's window and for what the measures come to.
pub fn measure(image: &Array2<u16>, view: View) -> Result<Measures, Error> {
    Ok(find(&standard(image), view)?.measures)
}

/// Rows as slices need an image that lies row after row in memory.
fn standard(image: &Array2<u16>) -> Cow<'_, Array2<u16>> {
    if image.is_standard_layout() { Cow::Borrowed(image) } else { Cow::Owned(image.as_standard_layout().into_owned()) }
}

/// The breast, and what was measured of its picture.
struct Found {
    piece: Piece,
    outline: Window,
    measures: Measures,
}

fn find(image: &Array2<u16>, view: View) -> Result<Found, Error> {
    let (height, width) = image.dim();
    let bounds = quality::bounds(image)?;
    let least = 2 * usize::from(EROSION) + 1;
    if height.min(width) < least {
        return Err(Error::TooSmall { width, height, least });
    }
    quality::check_background(image, view.laterality())?;
    let piece = mask::largest_piece(image, bounds, EROSION).ok_or(Error::NoBreast(least - 1))?;
    let outline = piece.dilated_bounds(EROSION.into());
    quality::check_side(&piece, outline, width, view)?;
    let measures = Measures::of(image, &piece, outline, EROSION.into(), view);
    Ok(Found { piece, outline, measures })
}

/// The window around the breast and what is measured in it.
struct Crop {
    window: Window,
    distance_from_starting_side: usize,
    /// The breast's lowest row, in the window.
    bottommost_y: i64,
    /// How far the breast reaches from the chest, below the window's upper third: a column of the mirrored window, or its width.
    rightmost_x: i64,
}

impl Crop {
    fn around(piece: &Piece, outline: Window, (height, width): (usize, usize), laterality: Laterality) -> Self {
        let mut window = Window {
            top: outline.top.saturating_sub(MARGIN),
            bottom: (outline.bottom + MARGIN).min(height),
            ..outline
        };
        let distance_from_starting_side = match laterality {
            Laterality::Left => {
                window.right = (window.right + MARGIN).min(width);
                outline.left
            }
            Laterality::Right => {
                window.left = window.left.saturating_sub(MARGIN);
                width - outline.right
            }
        };
        let lower = window.top + (window.bottom - window.top) / 3;
        let (first, last) = piece.dilated_columns(EROSION.into(), lower).unwrap_or((window.left, window.left));
        let rightmost_x = match laterality {
            Laterality::Left => last - window.left,
            // One more than the mirrored column: the published pipeline counts it so.
            Laterality::Right => window.right - first,
        };
        let bottommost_y = outline.bottom - 1 - window.top;
        Self { window, distance_from_starting_side, bottommost_y: bottommost_y as i64, rightmost_x: rightmost_x as i64 }
    }

    /// The window's pixels, a right breast's mirrored.
    fn cut(&self, image: &Array2<u16>, laterality: Laterality) -> Picture {
        let Window { top, bottom, left, right } = self.window;
        let size = (bottom - top, right - left);
        let mut pixels = memory::greys(size.0 * size.1);
        for (y, to) in (top..bottom).zip(pixels.chunks_exact_mut(size.1)) {
            to.copy_from_slice(&quality::row(image, y)[left..right]);
            if laterality == Laterality::Right {
                to.reverse();
            }
        }
        Array2::from_shape_vec(size, pixels).unwrap_or_default().into()
    }
}

/// The centre of an MLO view: the network's window ends at the breast's lowest row and at its furthest column.
fn center_mlo(pixels: &Array2<u16>, bottommost_y: i64, rightmost_x: i64, (h, w): (usize, usize)) -> (i64, i64) {
    let from = pixels.ncols().saturating_sub(w);
    let lowest = (0..pixels.nrows()).rev().find(|&y| pixels.slice(s![y, from..]).iter().any(|&pixel| pixel != 0));
    let bottommost_y = lowest.map_or(bottommost_y, |lowest| bottommost_y.min(lowest as i64));
    (bottommost_y - (h / 2) as i64 - 1, rightmost_x - (w / 2) as i64 - 1)
}

/// The centre of a CC view: the network's window ends at the breast's furthest column, at the height where it holds most tissue.
fn center_cc(pixels: &Array2<u16>, rightmost_x: i64, (h, w): (usize, usize)) -> (i64, i64) {
    let (height, width) = pixels.dim();
    let x = rightmost_x - (w / 2) as i64 - 1;
    let middle = height / 2;
    if height <= h {
        return (middle as i64, x);
    }
    let left = (x - (w / 2) as i64).clamp(0, width as i64) as usize;
    let right = (left + w).min(width);
    let tissue = |y: usize| quality::count_lit(&quality::row(pixels, y)[left..right]);
    let rows: Vec<usize> = (0..height).map(tissue).collect();
    let mut inside: usize = rows[..h].iter().sum();
    let mut best = (inside, h / 2);
    for top in 1..=height - h {
        inside = inside + rows[top + h - 1] - rows[top - 1];
        let y = top + h / 2;
        if inside > best.0 || (inside == best.0 && y.abs_diff(middle) < best.1.abs_diff(middle)) {
            best = (inside, y);
        }
    }
    (best.1 as i64, x)
}

impl Prepared {
    /// The network's window: height, width.
    pub fn network(&self) -> (usize, usize) {
        self.network
    }

    /// The size of the crop that windows are cut from: height, width.
    pub fn crop_size(&self) -> (usize, usize) {
        self.pixels.dim()
    }

    /// Plans `count` windows. Cheap and sequential: the draws of one crop follow those of the one before it.
    ///
    /// [`Noise::None`] gives `count` times the same window.
    pub fn crops(&self, count: u32, noise: Noise) -> Vec<CropPlan> {
        crops::plan(self, count, noise)
    }

    /// Cuts one planned window, scales it to the network's size and normalises it to mean 0 and deviation 1: `[y, x]` of
    /// [`Prepared::network`].
    pub fn render(&self, plan: &CropPlan) -> Array2<f32> {
        let mut crop = Array2::zeros(self.network);
        if let Some(buffer) = crop.as_slice_mut() {
            render::render(&self.pixels, plan, self.network, buffer);
        }
        crop
    }

    /// Like [`Prepared::render`], into a buffer that is used again: row after row, height times width values.
    ///
    /// # Errors
    /// A buffer of another length.
    pub fn render_into(&self, plan: &CropPlan, buffer: &mut [f32]) -> Result<(), Error> {
        let expected = self.network.0 * self.network.1;
        if buffer.len() != expected {
            return Err(Error::BufferLength { got: buffer.len(), expected });
        }
        render::render(&self.pixels, plan, self.network, buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Prepared {
        /// A crop of zeros, for tests of what depends on its size alone.
        pub(crate) fn blank(
            view: View,
            size: (usize, usize),
            best_center: (i64, i64),
            network: (usize, usize),
        ) -> Self {
            let window = Window { top: 0, bottom: size.0, left: 0, right: size.1 };
            let pixels = Array2::zeros(size).into();
            Self { view, window, best_center, distance_from_starting_side: 0, findings: Vec::new(), network, pixels }
        }
    }

    /// The centre of a CC view as it is described: every candidate counted afresh.
    fn counted_center(pixels: &Array2<u16>, rightmost_x: i64, (h, w): (usize, usize)) -> (i64, i64) {
        let (height, width) = pixels.dim();
        let (height, width, h, w) = (height as i64, width as i64, h as i64, w as i64);
        let x = rightmost_x - w / 2 - 1;
        let candidates: Vec<i64> = (h / 2..=height - (h - h / 2)).collect();
        if candidates.len() <= 1 {
            return (height / 2, x);
        }
        let tissue = |y: i64| {
            let (top, left) = ((y - h / 2).max(0), (x - w / 2).max(0));
            let (bottom, right) = ((top + h).min(height), (left + w).min(width));
            let inside = |&(at, pixel): &((usize, usize), &u16)| {
                (top..bottom).contains(&(at.0 as i64)) && (left..right).contains(&(at.1 as i64)) && *pixel != 0
            };
            pixels.indexed_iter().filter(inside).count()
        };
        let best =
            candidates.iter().rev().max_by_key(|&&y| (tissue(y), -((y - height / 2).pow(2) + (x - width / 2).pow(2))));
        (*best.unwrap(), x)
    }

    fn sparse_pixels() -> impl Strategy<Value = Array2<u16>> {
        (1usize..24, 1usize..16, 0u16..4).prop_flat_map(|(height, width, values)| {
            prop::collection::vec(0..=values, height * width)
                .prop_map(move |pixels| Array2::from_shape_vec((height, width), pixels).unwrap())
        })
    }

    proptest! {
        #[test]
        fn the_running_count_finds_the_centre_that_counting_afresh_finds(
            pixels in sparse_pixels(),
            place in 0.0..=1.0f64,
            network in (1usize..20, 1usize..20),
        ) {
            let rightmost_x = (place * pixels.ncols() as f64) as i64;
            prop_assert_eq!(center_cc(&pixels, rightmost_x, network), counted_center(&pixels, rightmost_x, network));
        }
    }

    #[test]
    fn an_oblique_views_centre_stands_on_the_lowest_tissue_that_the_network_reaches() {
        let mut pixels = Array2::<u16>::zeros((50, 30));
        pixels[(45, 2)] = 1;
        pixels[(33, 25)] = 1;
        assert_eq!(
            center_mlo(&pixels, 40, 28, (20, 10)),
            (33 - 10 - 1, 28 - 5 - 1),
            "row 45 is left of the last 10 columns"
        );
        assert_eq!(
            center_mlo(&pixels, 40, 28, (20, 40)),
            (40 - 10 - 1, 28 - 20 - 1),
            "the breast's own lowest row is higher"
        );
    }
}
