//! Mammograms of nobody: drawn from a seed, for demonstrations and tests.

use ndarray::Array2;

use crate::View;

/// What a synthetic mammogram looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// How many masses are drawn into the glandular tissue.
    pub masses: u32,
    /// How many clusters of calcifications are drawn.
    pub calcifications: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { width: 2560, height: 3328, masses: 0, calcifications: 0 }
    }
}

/// Draws one view. The same seed, view and options give the same pixels on every machine.
pub fn generate(_seed: u64, _view: View, options: Options) -> Array2<u16> {
    Array2::zeros((options.height, options.width))
}

/// A 16-bit greyscale PNG of an image.
///
/// # Errors
/// An image without pixels.
pub fn encode_png(_image: &Array2<u16>) -> Result<Vec<u8>, crate::Error> {
    Ok(Vec::new())
}
