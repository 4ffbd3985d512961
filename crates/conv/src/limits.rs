//! What is too much.

/// Memory of all weights that programs share, and of one computation on one thread: a dozen times what the screening network takes at its full
/// size.
pub const MAX_BYTES: u64 = 1 << 30;

/// Channels, rows and columns of a picture: a dozen times a mammogram's, and so few that nothing counted in them overflows.
pub const MAX_SIDE: usize = 1 << 16;

/// Numbers of a picture. See [`MAX_SIDE`].
pub const MAX_NUMBERS: usize = 1 << 30;

/// Nodes of a graph: forty times the screening network's. Analysing them takes the square of their number.
pub const MAX_NODES: usize = 4096;

/// Steps that flow into each other: twice what is in the cache at once, and no deeper than a stack allows.
pub(crate) const MAX_GROUP_STEPS: usize = 64;

/// Weights that are read once for each few rows have to stay in a processor's cache, next to the rows: steps whose weights are together
/// larger than this are computed one after another, each for the whole picture.
pub(crate) const STREAMED_WEIGHT_BYTES: usize = 2560 * 1024;

/// A step with larger weights is computed for the whole picture, because they do not stay in a processor's own cache.
pub(crate) const WHOLE_WEIGHT_BYTES: usize = 1024 * 1024;

/// What is transformed at a time stays in a processor's second cache: tiles and their sums, if those are no fewer than [`LEAST_TILES`]; of layers with
/// large weights, whose sums do not stay there, some rows of the tiles.
pub(crate) const TRANSFORMED_BYTES: usize = 768 * 1024;

/// The least number of tiles transformed at a time: below it, weights are read too often.
pub(crate) const LEAST_TILES: usize = 64;

/// Tiles transformed at a time where weights are larger than [`WHOLE_WEIGHT_BYTES`]: with half as many, reading them again takes a seventh of a
/// layer's time, and twice as many gain nothing.
pub(crate) const TILES_OF_LARGE_WEIGHTS: usize = 96;

/// Parts that one picture is cut into, one for each thread.
pub const MAX_PARTS: usize = 64;

/// Inputs with fewer channels than this are taken as they come: blocks would be mostly padding.
pub(crate) const PLANAR_CHANNELS: usize = 8;

/// With fewer channels, the transformations of tiles cost more than they save.
pub(crate) const WINOGRAD_CHANNELS: usize = 8;
