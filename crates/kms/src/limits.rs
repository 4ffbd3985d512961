//! Every bound that this crate puts on what it reads and waits for.

use std::time::Duration;

/// Longest `CiphertextForRecipient` and longest `CiphertextBlob`, in bytes: KMS's own limit on both (API reference, `Decrypt`).
pub const MAX_CIPHERTEXT_BYTES: usize = 6144;

/// Length of a modulus and so of a wrapped key under the enclave's RSA-2048 key, in bytes.
pub const RSA_BYTES: usize = 256;

/// Length of a subject key identifier in KMS's answers, in bytes.
pub const KEY_IDENTIFIER_BYTES: usize = 32;

/// Length of a data key, and of the AES-256 key that a CMS message carries, in bytes.
pub const KEY_BYTES: usize = 32;

/// Length of a SHA-384 digest, in bytes.
pub const DIGEST_BYTES: usize = 48;

/// Length of each of the two numbers of a signature on P-384, in bytes.
pub const COORDINATE_BYTES: usize = 48;

/// Length of such a signature, in bytes.
pub const SIGNATURE_BYTES: usize = 2 * COORDINATE_BYTES;

/// Length of an image's random name, in bytes: nobody meets another's by chance.
pub const IMAGE_NAME_BYTES: usize = 16;

/// Length of an AES block and so of a CBC initialisation vector, in bytes.
pub const BLOCK_BYTES: usize = 16;

/// Tries of one call, the first included: enough for a throttled moment, few enough that a boot fails within a minute.
pub const MAX_TRIES: u32 = 4;

/// Longest pause before the second try; it doubles with each further one.
pub const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Longest pause before any try.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Longest that one try may take, its connection included.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest text of another party in an error, in bytes: KMS's sentences are shorter.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Longest name of an error of KMS's, of a key or of an algorithm in an error, in bytes.
pub const MAX_CODE_BYTES: usize = 256;

/// Longest key policy that is read, in bytes: KMS accepts up to 32 KiB.
pub const MAX_POLICY_BYTES: usize = 32 * 1024;
