//! What a file may cost before it is refused. Every length and every count in a DICOM file is a stranger's claim.

/// Most data elements and items that are walked over. A mammogram has a few hundred; vendors' private sequences bring thousands.
pub(crate) const MAX_ELEMENTS: usize = 65_536;

/// Most values that are kept. A file has some forty that are read; only lists of view modifiers could be longer.
pub(crate) const MAX_KEPT: usize = 512;

/// Deepest nesting of sequences. Nothing in the IODs that are read nests deeper than five; the walk is iterative, so that this bounds
/// a few bytes a level, and no stack.
pub(crate) const MAX_DEPTH: usize = 32;

/// Longest value of an element that is read, in bytes. The longest legal one is a short text of 1024 characters (PS3.5, 6.2); pixels
/// are not values in this sense.
pub(crate) const MAX_VALUE_BYTES: usize = 4096;

/// Most fragments of encapsulated pixels. Writers that split at 64 KiB make a thousand of the longest file.
pub(crate) const MAX_FRAGMENTS: usize = 8192;

/// Most marker segments before the first sample of a JPEG. Real ones have fewer than ten.
pub(crate) const MAX_JPEG_SEGMENTS: usize = 256;

/// Most tile-parts of a JPEG 2000 codestream, each of which costs its decoder a few kilobytes. Mammograms have one to a few dozen.
pub(crate) const MAX_TILE_PARTS: usize = 1024;

/// Most quality layers of a JPEG 2000 codestream: its decoder keeps 24 bytes for each layer of each code-block.
pub(crate) const MAX_LAYERS: u16 = 32;

/// Most wavelet decompositions of a JPEG 2000 codestream. Five are usual, and ten halve 12,000 pixels to eleven.
pub(crate) const MAX_DECOMPOSITIONS: u8 = 10;

/// Smallest code-block of a JPEG 2000 codestream, in samples: 16 x 16. Usual are 64 x 64; 4 x 4 would cost the decoder more for its
/// bookkeeping than for pixels.
pub(crate) const MIN_CODE_BLOCK_SAMPLES: u32 = 256;

/// Smallest precinct of a JPEG 2000 codestream, as the power of two of each side. 7 or 8 is usual.
pub(crate) const MIN_PRECINCT_EXPONENT: u8 = 5;

/// Most bit-planes of a JPEG 2000 sub-band (ISO/IEC 15444-1, E.1): 16 bits a sample, the wavelet's gain, and two guard bits, with some to
/// spare. Each costs time whether or not a byte of the file stands for it.
pub(crate) const MAX_BIT_PLANES: u8 = 24;

/// From this magnification on (PS3.3, C.8.11.5, Estimated Radiographic Magnification Factor) a view counts as magnified. Contact views
/// say 1.0 to 1.1; magnification stands give 1.5 to 2.
pub(crate) const MAGNIFIED: f64 = 1.3;
