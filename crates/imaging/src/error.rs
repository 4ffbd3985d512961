//! Why an image cannot be used. One variant per reason; a message says what to do about it.

use crate::{Laterality, View};

/// Why an image, or a request for one, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text names none of the four views.
    #[error("{0:?} is not a view: use L-CC, R-CC, L-MLO or R-MLO")]
    UnknownView(String),
    /// The file is longer than is allowed.
    #[error("the file has {bytes} bytes, more than the {limit} allowed")]
    FileTooLarge {
        /// The file's length.
        bytes: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// The image has more pixels, or a longer side, than is allowed.
    #[error("the image is {width} x {height}, more than the {pixels} pixels or the side of {side} allowed")]
    TooManyPixels {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// The most pixels allowed.
        pixels: usize,
        /// The longest side allowed.
        side: usize,
    },
    /// The bytes do not start as a PNG file does.
    #[error("this is not a PNG file: send each view as a greyscale PNG")]
    NotPng,
    /// The file ends before its pixels do.
    #[error("the PNG file is cut short: send it again, whole")]
    Truncated,
    /// The file starts as a PNG but breaks its rules, or its checksums.
    #[error(
        "the file breaks the PNG standard's rules, or its checksums do not match: send it again, or export the view anew"
    )]
    Damaged,
    /// The file says more about its image than is read.
    #[error("the PNG holds more beside its pixels than is read: export the view without metadata")]
    Metadata,
    /// The pixels are coloured.
    #[error("the PNG has colours: export the view as 8-bit or 16-bit greyscale")]
    Colour,
    /// The pixels are numbers of a palette.
    #[error("the PNG has a palette: export the view as 8-bit or 16-bit greyscale")]
    Palette,
    /// The pixels carry an opacity.
    #[error("the PNG has an alpha channel: export the view as 8-bit or 16-bit greyscale without one")]
    Alpha,
    /// Fewer grey levels than a mammogram needs.
    #[error("the PNG has {0} bits a pixel: export the view with 16 bits, or 8")]
    BitDepth(u8),
    /// Every pixel is 0.
    #[error("every pixel of the image is 0: nothing was exposed, or the export failed")]
    AllZero,
    /// A side is too short for any tissue to be told from specks.
    #[error("the image is {width} x {height} pixels, and each side needs {least}: send it at full resolution")]
    TooSmall {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// The shortest side that can hold a breast.
        least: usize,
    },
    /// What surrounds the breast is not 0.
    #[error(
        "the background is not 0: send the image for presentation, MONOCHROME2 (white tissue on black), with the \
         background set to exactly 0"
    )]
    NonZeroBackground,
    /// Lines run along the edges of the image, around the breast.
    #[error("the image has a frame around it: send it without borders")]
    Frame,
    /// No piece of tissue is thick enough to be a breast.
    #[error("no breast was found: nothing in the image is thicker than {0} pixels")]
    NoBreast(usize),
    /// The breast is a speck in its picture.
    #[error("the breast takes less than a hundredth of the picture: send it at full resolution, without wide margins")]
    LittleBreast,
    /// The breast has one grey and noise.
    #[error("the breast is of one grey: nothing was exposed, or the export failed")]
    Uniform,
    /// Much of the breast has the highest grey.
    #[error(
        "a fifth of the breast or more has the highest grey, so that nothing shows there: export the image without a window, or expose it anew"
    )]
    Saturated,
    /// Much of the breast is outside of the picture.
    #[error("the breast goes on outside of the picture, and a score would be of a part of it: send the whole view")]
    CutOff,
    /// A box, a grid or a cross lies on the breast.
    #[error("lines are drawn over the breast: send the image without annotations")]
    DrawnOver,
    /// The breast enters from the other edge than the view says.
    #[error(
        "the image looks like a {found} breast, but the view says {view}: check the view, or whether the export mirrored the image"
    )]
    WrongSide {
        /// The view that was asked for.
        view: View,
        /// The side that the image looks like.
        found: Laterality,
    },
    /// A network's window with an empty or enormous side.
    #[error("a network window of {height} x {width} is not usable: each side must be between 1 and {limit}")]
    NetworkWindow {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The longest side allowed.
        limit: usize,
    },
    /// A buffer that does not hold one crop.
    #[error("the buffer has {got} values, and a crop has {expected}")]
    BufferLength {
        /// The buffer's length.
        got: usize,
        /// Height times width of the network's window.
        expected: usize,
    },
    /// An image that no PNG file can hold.
    #[error("the image cannot be written as a PNG ({0})")]
    Encode(String),
}
