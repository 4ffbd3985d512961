//! KMS's limits (API reference and developer guide, "Resource quotas"), and the simulator's own on what it reads.

use std::time::Duration;

/// Longest plaintext that `Encrypt` takes, in bytes.
pub(crate) const MAX_PLAINTEXT: usize = 4096;
/// Longest ciphertext blob, in bytes.
pub(crate) const MAX_CIPHERTEXT: usize = 6144;
/// Longest data key, in bytes.
pub(crate) const MAX_DATA_KEY: usize = 1024;
/// Longest key policy, in bytes.
pub(crate) const MAX_POLICY: usize = 32 * 1024;
/// Longest attestation document that a `Recipient` may carry, in bytes.
pub(crate) const MAX_ATTESTATION_DOCUMENT: usize = 262_144;
/// Longest encryption context, keys and values together, in bytes.
pub(crate) const MAX_CONTEXT: usize = 8192;
/// Longest key description, in bytes.
pub(crate) const MAX_DESCRIPTION: usize = 8192;
/// How far a signature's time may be from the clock (IAM user guide, "Signature Version 4", 5 minutes).
pub(crate) const MAX_SKEW: Duration = Duration::from_secs(300);
/// Keys that one simulator holds.
pub(crate) const MAX_KEYS: usize = 10_000;
