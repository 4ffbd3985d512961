//! What a package or a checkpoint may cost before it is refused. Both come from outside, so everything is bounded before it is
//! allocated.

/// Longest `manifest.toml`, in bytes. Real ones take two or three kilobytes.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 10;

/// Longest network file, in bytes: ten times the largest image classifiers in use, and still half of a small enclave.
pub const MAX_NETWORK_BYTES: u64 = 512 << 20;

/// Most bytes in all files of a package.
pub const MAX_PACKAGE_BYTES: u64 = 1 << 30;

/// Most files in a package: a network for each of the four views, the manifest, and room for variants.
pub const MAX_FILES: usize = 16;

/// Longest file name, in bytes. A tar header without extensions has room for 100.
pub const MAX_FILE_NAME_BYTES: usize = 100;

/// Longest text in a manifest's field, in bytes.
pub const MAX_TEXT_BYTES: usize = 4096;

/// Longest model name or label, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Most operators in a network: a converted screening network has 120, the deepest image classifiers in use a few thousand.
pub const MAX_OPERATORS: usize = 1 << 14;

/// Most multiplications of a network for one input: seventy times the published screening network's 14.8 thousand million, and minutes on
/// one core.
pub const MAX_MULTIPLICATIONS: u64 = 1 << 40;

/// Most bytes of a network's intermediate results that are needed at once: ten times the published screening network's.
pub const MAX_BYTES_AT_A_TIME: u64 = 2 << 30;

/// Most scores in a network's output, of which a manifest may choose its labels.
pub const MAX_OUTPUTS: usize = 4096;

/// Most labels that a model may score.
pub const MAX_LABELS: usize = 64;

/// Most bytes that a model's labels and their scores may take in an exam's answer. An enclave pads such answers to 32 KiB, of which the rest
/// takes some 11: with that much more no score's digits move an answer over the border, where its size would tell them.
pub const MAX_LABELS_ANSWER_BYTES: usize = 16 << 10;

/// What so many labels of so many letters in all take in an exam's answer at most. Each is there for two breasts and four views, and once more
/// in the receipt, in base64, which is a third longer: 14 times in all, with 36 bytes for each of the six scores' digits and signs.
pub(crate) const fn answer_bytes(labels: usize, letters: usize) -> usize {
    14 * letters + 216 * labels
}

/// Most known answers: each costs a run of its network at every start.
pub const MAX_KNOWN_ANSWERS: usize = 16;

/// Most crops that one image may be averaged over.
pub const MAX_CROPS: u32 = 64;

/// Most threads that a classifier starts.
pub const MAX_THREADS: usize = 256;

/// Longest checkpoint, in bytes.
pub const MAX_CHECKPOINT_BYTES: u64 = 2 << 30;

/// Longest pickle in a checkpoint, in bytes. It names tensors; their numbers lie elsewhere.
pub const MAX_PICKLE_BYTES: usize = 16 << 20;

/// Most values that a pickle may make, on its stack, in its memo and inside of one another.
pub const MAX_PICKLE_VALUES: usize = 1 << 20;

/// Most tensors in a checkpoint.
pub const MAX_TENSORS: usize = 1 << 16;

/// Most dimensions of a tensor.
pub const MAX_DIMENSIONS: usize = 8;

/// Most numbers in a tensor.
pub const MAX_TENSOR_VALUES: usize = 1 << 28;

/// Most entries in a zip checkpoint.
pub const MAX_ZIP_ENTRIES: usize = 1 << 16;

/// Most filters in one layer of a network that is converted.
pub const MAX_FILTERS: usize = 4096;

/// Cells along the longer side of a map: more than twice as many as the published network's last picture has across an image. An exam's four
/// maps take 64 KiB at most.
pub const MAP_SIDE: usize = 128;

/// Most numbers of a picture that maps are made from, 16 MB. The published network's has a third of a million.
pub const MAX_PICTURE_NUMBERS: usize = 4 << 20;

/// Most cells of such a picture, of which one number each is kept for each crop: 33 MB for [`MAX_CROPS`].
pub const MAX_PICTURE_CELLS: usize = 1 << 16;

/// Most numbers of the layers between that picture's mean and the scores, 16 MB, which are kept beside the network for maps: the published
/// network's are 67 thousand.
pub const MAX_HEAD_NUMBERS: usize = 4 << 20;

/// Most numbers that an operator may make from constants alone where it can make more of few: tract computes such a value, and keeps it, when it
/// reads the network. Shapes, grids and masks of classifiers are far below.
pub const MAX_CONSTANT_NUMBERS: usize = 1 << 20;
