//! The module's limits, from AWS's documentation of the device and of the attestation document.

/// PCRs of a module, numbered from 0.
pub const PCRS: u16 = 32;

/// The PCRs below this one are the platform's: locked since boot, and part of every document.
pub const PLATFORM_PCRS: u16 = 16;

/// Bytes of one PCR: SHA-384.
pub const PCR_BYTES: usize = 48;

/// Most bytes of a document's `public_key`.
pub const PUBLIC_KEY: usize = 1024;

/// Most bytes of a document's `user_data`.
pub const USER_DATA: usize = 512;

/// Most bytes of a document's `nonce`.
pub const NONCE: usize = 512;

/// Most bytes of one request in CBOR; what does not fit is refused before it reaches the device.
pub const REQUEST: usize = 0x1000;

/// Most bytes of one response in CBOR, and so of an attestation document.
pub const RESPONSE: usize = 0x3000;

/// Bytes that one call of `get_random` returns.
pub const RANDOM: usize = 256;
