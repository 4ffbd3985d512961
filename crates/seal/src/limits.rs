//! Every limit of the format, with its reason.

/// Most bytes of the encoded header: the parts below, and what CBOR adds.
pub const HEADER: usize = 24 * 1024;

/// Most bytes of the key's ARN: what KMS takes as a KeyId.
pub const KEY_ARN: usize = 2048;

/// Most bytes of the wrapped key: KMS's limit of a CiphertextBlob.
pub const WRAPPED_KEY: usize = 6144;

/// Most bytes of all names and values of the encryption context together: KMS's limit.
pub const CONTEXT: usize = 8192;

/// Most entries of the encryption context.
pub const CONTEXT_ENTRIES: usize = 64;

/// Bytes of a result's salt: 256 bits, so that two results never share a key.
pub const SALT: usize = 32;

/// Smallest chunk, so that 16 bytes of tag do not outweigh the content.
pub const SMALLEST_CHUNK: u32 = 64;

/// Largest chunk: what a reader must hold in memory before it may release a byte.
pub const LARGEST_CHUNK: u32 = 4 * 1024 * 1024;

/// A chunk for most uses: large enough that the cipher's speed decides, small enough to be nothing in memory.
pub const DEFAULT_CHUNK: u32 = 64 * 1024;

/// Most chunks of a file. In default chunks that is a tebibyte; the counter in the nonce would allow 2^32, which is
/// also the number of invocations that NIST SP 800-38D (section 8.3) permits under one key.
pub const CHUNKS: u32 = 1 << 24;
