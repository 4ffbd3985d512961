//! Every limit of a receipt, with its reason.

/// Most bytes of a receipt: the document, and four views and two breasts of 64 labels with names as long as they may be, and as many
/// findings as there may be.
pub const RECEIPT: usize = 48 * 1024;

/// Most bytes of the document that vouches for the key: the security module's response buffer (0x3000).
pub const DOCUMENT: usize = 0x3000;

/// Bytes of an ES384 signature: r and s of 48 bytes each (RFC 9053, section 2.1).
pub const SIGNATURE: usize = 96;

/// Deepest nesting of the CBOR: the scores' map, in a view's map, in the array of views, in the payload's map.
pub(crate) const CBOR_DEPTH: usize = 4;

/// Fewest bytes of a nonce: 128 bits, so that nobody can have asked for all of them before.
pub const LEAST_NONCE: usize = 16;

/// Most bytes of a nonce: longer ones make it no fresher.
pub const NONCE: usize = 64;

/// Bytes of a model's digest: SHA-384.
pub const MODEL_DIGEST: usize = 48;

/// Bytes of an input's digest: SHA-256.
pub const INPUT_DIGEST: usize = 32;

/// Most bytes of a model's name or of a label: what a package's manifest may say.
pub const NAME: usize = 64;

/// Most bytes of the software's version, the preprocessing's revision and the kernels' description: the last one lists a
/// processor's instruction sets.
pub const TEXT: usize = 256;

/// Most labels that a model scores: what a package's manifest may say.
pub const LABELS: usize = 64;

/// Most crops that one image is averaged over: what a classifier runs.
pub const CROPS: u32 = 64;

/// Most rows or columns of an image: what an enclave decodes.
pub const SIDE: u32 = 12_000;

/// Most findings of an image, and of an exam: more than there are codes for either.
pub const FINDINGS: usize = 16;

/// Most bytes of a finding's code: a few words and hyphens.
pub const FINDING: usize = 32;

/// Longest SOP Instance UID, in characters (DICOM PS3.5, section 9.1).
pub const UID: usize = 64;

/// Latest time: the last millisecond that RFC 3339 can write (year 9999).
pub const LATEST_TIME_MS: u64 = 253_402_300_799_999;
