//! Every bound of the client, in one place.

use std::time::Duration;

/// Reaching the parent's relay: a host that does not answer by then is down.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The TLS handshake through the relay.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Asking for an attestation document: the security module signs in milliseconds, a busy enclave answers within seconds.
pub const ATTESTATION_TIMEOUT: Duration = Duration::from_secs(20);

/// A classification, queueing included: four views of ten crops take tens of seconds on two cores.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Metrics: the enclave writes down what it has at hand, however busy it is.
pub const METRICS_TIMEOUT: Duration = Duration::from_secs(20);

/// Metrics are a few kilobytes: their labels come from closed lists.
pub const MAX_METRICS_BYTES: usize = 256 * 1024;

/// An attestation document is under 5 KB; the device's own answer is bounded by 12 288 bytes.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024;

/// An answer holds numbers, names and small maps, never pixels. The largest that is usual has 128 KiB.
pub const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// What is kept of each of a refusal's sentences. Ours are shorter.
pub const MAX_REFUSAL_CHARACTERS: usize = 500;

/// The client's nonce: as long as the digests around it, half of what the security module takes.
pub const NONCE_BYTES: usize = 32;

/// A bearer token: what an enclave takes.
pub const MAX_TOKEN_BYTES: usize = 512;

/// How far an enclave's clock may be from its security module's, by its own rule. A receipt may be that much further from the client's clock
/// than the policy's skew allows a document to be.
pub const ENCLAVE_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5 * 60);

/// How much of an upload is handed to TLS at once.
pub const UPLOAD_CHUNK_BYTES: usize = 64 * 1024;
