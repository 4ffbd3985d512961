//! What an image may cost before it is refused. The bytes come from outside, so everything is bounded before it is allocated.

/// Longest file, in bytes. The largest full-field detectors give 28 million 16-bit pixels, 56 MB if nothing compresses; a
/// typical view takes 4 MB.
pub const MAX_FILE_BYTES: usize = 64 << 20;

/// Most pixels in an image: 32 Mi, a little more than the largest full-field detectors give (4728 x 5928).
pub const MAX_PIXELS: usize = 32 << 20;

/// Longest side of an image, in pixels: twice the largest detector's, so that strips of one row are refused early.
pub const MAX_SIDE: usize = 12_000;

/// What the PNG library may allocate for itself: a few rows, its window, and chunks that it insists on reading. Where a second thread inflates, it
/// reads those that were within this before the image's data once more, and half a megabyte three times is what goes between the two.
pub(crate) const MAX_PNG_SCRATCH_BYTES: usize = 8 << 20;

/// Largest side of a network's window, in pixels. The published ones are 2974 x 1748 and 2677 x 1942.
pub const MAX_NETWORK_SIDE: usize = 8192;

/// The largest memory that is kept for other pictures: of 16 Mi pixels, which most have fewer than. Larger ones would hold much for little.
pub(crate) const LARGEST_SPARE_BYTES: usize = 32 << 20;

/// How many such memories are kept: a picture being prepared has one, and what was cut out of the one before another. As many of files: one that
/// is decoded, and one on its way in.
pub(crate) const MAX_SPARE: usize = 2;

/// How many pieces of a file are kept: as many as one file is inflated in. Of two that are decoded at once, the other's are had anew.
pub(crate) const MAX_SPARE_PIECES: usize = 3;

/// For how many crops rendered at once memory is kept, 180 kB each with the published windows: of enclaves, few have more processors.
pub(crate) const MAX_SPARE_CROPS: usize = 32;

/// The largest such memory: four lines of the largest window, and one more to scale.
pub(crate) const LARGEST_SPARE_LINE_BYTES: usize = 256 << 10;

/// The largest memory to work in that is kept. A piece takes half a megabyte, a band of the widest picture 4.3 MB.
pub(crate) const LARGEST_SPARE_WORK_BYTES: usize = 8 << 20;
