//! Every limit of this crate, with its reason.

/// Most bytes of an image, which is held in memory as a whole. Ours has 25 MB; images that nitro-cli makes of large containers have
/// some hundreds.
pub const IMAGE: usize = 1 << 30;

/// Most sections: the places in the header's table.
pub const SECTIONS: usize = 32;

/// Most bytes of a command line: Linux on x86 cuts off what does not fit into 2048 with the zero at its end.
pub const COMMAND_LINE: usize = 2047;

/// Most bytes of the metadata, which hold a description of a container image where nitro-cli made them.
pub const METADATA: usize = 1 << 20;

/// Most bytes of the signature section: a certificate and a signature, two bytes for most of theirs.
pub const SIGNATURE: usize = 32 * 1024;

/// Most bytes of a certificate or a private key in PEM, text around it included.
pub const PEM: usize = 16 * 1024;

/// Bytes of an ES384 signature: r and s of 48 bytes each (RFC 9053, section 2.1).
pub const ECDSA: usize = 96;

/// Deepest nesting of the signature section's CBOR: an array of maps of arrays.
pub(crate) const CBOR_DEPTH: usize = 4;

/// Bytes of a measurement: SHA-384.
pub const PCR: usize = 48;

/// Most bytes of the measured configuration: what the enclave reads of it.
pub const CONFIGURATION: usize = 64 * 1024;

/// Most bytes of a name or a version in the metadata: one line of a listing.
pub const NAME: usize = 255;

/// Most bytes of the init program, so that an image can be unpacked in the memory of a small enclave.
pub const INIT: usize = 256 << 20;

/// Most program headers of the init program: a static one has about ten.
pub(crate) const PROGRAM_HEADERS: usize = 64;

/// Most bytes that a ramdisk is unpacked to for its listing. It is streamed, so that this bounds time and not memory.
pub const UNPACKED: u64 = 4 << 30;

/// Most files of a ramdisk in a listing.
pub const FILES: usize = 1 << 17;

/// Most bytes of one path in a ramdisk: Linux's own limit.
pub const PATH: usize = 4096;

/// Most bytes of all paths in a ramdisk's listing, which is held in memory.
pub const PATHS: usize = 16 << 20;
