//! Every limit of this crate, with its reason.

use std::time::Duration;

/// Most bytes of a document: the device's response buffer (0x3000), in which it is delivered.
pub const DOCUMENT: usize = 0x3000;

/// Deepest nesting of a document's CBOR: an array or map of values in the payload's map.
pub(crate) const CBOR_DEPTH: usize = 4;

/// Bytes of an ES384 signature: r and s of 48 bytes each (RFC 9053, section 2.1).
pub const SIGNATURE: usize = 96;

/// Most bytes of `module_id`: the device's are 39, `i-` and `enc` with an instance's and an enclave's number.
pub const MODULE_ID: usize = 256;

/// PCRs are numbered 0 to 31.
pub const PCRS: u16 = 32;

/// Bytes of a PCR: SHA-384.
pub const PCR: usize = 48;

/// Most bytes of one certificate, from AWS's specification of the document.
pub const CERTIFICATE: usize = 1024;

/// Most certificates of `cabundle`: AWS sends four, the root first. There is room for two more levels.
pub const BUNDLE: usize = 6;

/// Most bytes of `public_key`, from AWS's specification.
pub const PUBLIC_KEY: usize = 1024;

/// Most bytes of `user_data`, from AWS's specification.
pub const USER_DATA: usize = 512;

/// Most bytes of `nonce`, from AWS's specification.
pub const NONCE: usize = 512;

/// Latest timestamp: the last millisecond that RFC 3339 can write (year 9999).
pub const LATEST_TIMESTAMP_MS: u64 = 253_402_300_799_999;

/// How far a document's timestamp may lie ahead of the verifier's clock when the policy says nothing: hospital clocks
/// follow NTP, some of them badly.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Longest `skew_seconds` of a policy: past five minutes a clock is wrong, and dates nothing that one can rely on.
pub const MAX_SKEW: Duration = Duration::from_secs(300);

/// Oldest a document may be when the policy says nothing: a nonce makes a document fresh, this bounds the ones without.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(300);

/// Longest `max_age_seconds` of a policy: the lifetime of the certificate that signs documents.
pub const MAX_AGE: Duration = Duration::from_secs(3 * 60 * 60);

/// Most bytes of a policy file.
pub const POLICY: usize = 64 * 1024;

/// Most `[[accept]]` entries of a policy: releases in use at the same time are few.
pub const ACCEPTED: usize = 64;

/// Most bytes of a label in a policy.
pub const LABEL: usize = 128;
