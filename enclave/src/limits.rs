//! Every bound of the enclave, in one place.

use std::time::Duration;

/// The measured configuration is a page of text.
pub const MAX_CONFIGURATION_BYTES: u64 = 64 * 1024;

/// TLS connections at once. One costs some 100 KB, and front ends hold few.
pub const MAX_CONNECTIONS: usize = 256;

/// A TLS handshake, over the parent's relay.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The head of a request, and the wait for the next request on a connection that is kept open.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection's whole life: a client verifies again after that.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The body of a request, whole. An exam of 64 MB in that time needs 1 MB/s.
pub const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// No byte of a body for that long: the client has stalled.
pub const UPLOAD_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// One image's bytes: the largest detectors give 17 megapixels of 16 bits, which compress to less than this.
pub const MAX_IMAGE_BYTES: usize = 40 * 1024 * 1024;

/// Four images, and the text between them.
pub const MAX_EXAM_BYTES: usize = 4 * MAX_IMAGE_BYTES + 64 * 1024;

/// All bodies in memory at once, received and queued. It bounds the enclave's memory whatever the clients do.
pub const UPLOAD_BUDGET_BYTES: usize = 192 * 1024 * 1024;

/// Crops of one image when the caller does not say: as many as the published pipeline takes.
pub const DEFAULT_CROPS: u32 = 10;

/// Crops of one image at most. Each costs a run of the network.
pub const MAX_CROPS: u32 = 32;

/// Images waiting for a processor, when the configuration does not say.
pub const DEFAULT_QUEUE: usize = 16;

/// The most that a configuration may ask for.
pub const MAX_QUEUE: usize = 1024;

/// Processors, when the configuration does not say: all. The most that a configuration may ask for:
pub const MAX_THREADS: usize = 256;

/// What a full queue tells a client to wait, at least.
pub const RETRY_AFTER_SECONDS: u64 = 2;

/// A client's nonce, in bytes: 16 are fresh enough, 512 are what the security module takes.
pub const NONCE_BYTES: std::ops::RangeInclusive<usize> = 16..=512;

/// The most attestation documents that are signed at once: the security module is one device.
pub const MAX_CONCURRENT_ATTESTATIONS: usize = 4;

/// Reaching the parent's control endpoint.
pub const PARENT_TIMEOUT: Duration = Duration::from_secs(10);

/// One answer of the parent's control endpoint.
pub const PARENT_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Credentials are a few hundred bytes; session tokens have been seen up to 4 KB.
pub const MAX_CREDENTIALS_BYTES: usize = 32 * 1024;

/// The sealed model is fetched in ranges, each of which can be asked for again.
pub const MODEL_BLOCK_BYTES: u64 = 4 * 1024 * 1024;

/// A sealed model. The published network's four files together are under 50 MB.
pub const MAX_MODEL_BYTES: u64 = 1024 * 1024 * 1024;

/// Tries for one block of the model, and for one set of credentials.
pub const PARENT_TRIES: u32 = 5;

/// Between the boot's tries to get its model: doubling from the first to the last.
pub const FIRST_RETRY: Duration = Duration::from_millis(250);
/// See [`FIRST_RETRY`].
pub const LAST_RETRY: Duration = Duration::from_secs(30);

/// Events that wait for a parent that does not take them; more are dropped and counted.
pub const MAX_EVENTS: usize = 256;

/// How often the last event is told again to a parent that took it, and to one that did not.
pub const EVENT_REPEAT: Duration = Duration::from_secs(30);
/// See [`EVENT_REPEAT`].
pub const EVENT_RETRY: Duration = Duration::from_secs(1);

/// What is still read, and thrown away, of a refused request's body, so that its sender comes to read the refusal: as long as
/// bytes keep coming, for that long in all.
pub const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);
/// See [`DISCARD_TIMEOUT`].
pub const DISCARD_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Ending: how long open requests may take.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
