//! Every bound of the enclave, in one place.

use std::time::Duration;

/// The measured configuration is a page of text.
pub const MAX_CONFIGURATION_BYTES: u64 = 64 * 1024;

/// TLS connections at once. One costs some 100 KB, and front ends hold few.
pub const MAX_CONNECTIONS: usize = 256;

/// A TLS handshake, over the parent's relay.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The head of a connection's first request: whoever connects has something to ask.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The wait for the next request, and its head, on a connection that is kept open.
pub const CONNECTION_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What an idle connection has to say goodbye.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// What HTTP/1.1 buffers of one connection, the head of a request included.
pub const HTTP1_BUFFER_BYTES: usize = 64 * 1024;

/// HTTP/2 streams at once on one connection: an exam, and what a front end asks beside it.
pub const HTTP2_STREAMS: u32 = 16;

/// What HTTP/2 buffers of one stream before its handler takes it.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 512 * 1024;

/// What HTTP/2 buffers of one connection: all its streams together.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// The head of an HTTP/2 request: paths and headers are short here.
pub const HTTP2_HEAD_BYTES: u32 = 16 * 1024;

/// A connection's whole life: a client verifies again after that.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The body of a request, whole. An exam of 64 MB in that time needs 1 MB/s.
pub const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// No byte of a body for that long: the client has stalled.
pub const UPLOAD_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The slowest that a body may come in, measured over each [`RATE_WINDOW`]: slower clients would hold the budget from others.
pub const MIN_UPLOAD_BYTES_PER_SECOND: u64 = 128 * 1024;
/// See [`MIN_UPLOAD_BYTES_PER_SECOND`].
pub const RATE_WINDOW: Duration = Duration::from_secs(10);

/// One image's bytes. The largest detectors give 28 megapixels of 16 bits, 56 MB raw; with half of that background they compress to
/// less than this, and a typical view takes 4 MB.
pub const MAX_IMAGE_BYTES: usize = 40 * 1024 * 1024;

/// Four images, and the text between them.
pub const MAX_EXAM_BYTES: usize = 4 * MAX_IMAGE_BYTES + 64 * 1024;

/// What a multipart body may hold before a part, or between two, as the parser has to keep it: a part's head is one short line.
pub const MAX_PART_HEAD_BYTES: usize = 256 * 1024;

/// All bodies in memory at once, received and queued, counted as their bytes arrive, and where they come into memory that another one had, all of
/// that before, so that an exam whose images are of very different lengths can count as 64 MiB more than it has. Of such memory two files' is kept
/// beside it, 64 MiB at most. What they decode to has a budget of its own,
/// [`DECODED_BUDGET_BYTES`]; what connections buffer is bounded by [`MAX_CONNECTIONS`] and the windows above.
pub const UPLOAD_BUDGET_BYTES: usize = 192 * 1024 * 1024;

/// All decoded images at once: two of the largest (32 Mi pixels), or half a dozen usual ones. More wait. Beside it, the memory of two pictures
/// that are done is kept for the next ones, 64 MiB at most, and some to work in: 2 MB after usual ones, 40 MiB at most.
pub const DECODED_BUDGET_BYTES: usize = 512 * 1024 * 1024;

/// A decoded image's pixels (2, from 8 bits 3) and the breast cut out (2), each in memory that may be twice as large, because it was
/// another picture's.
pub const DECODED_BYTES_PER_PIXEL: usize = 8;

/// The part of it that is left once an image is prepared, while the next one of an exam is decoded: the breast cut out.
pub const PREPARED_BYTES_PER_PIXEL: usize = 2;

/// Crops of one image when the caller does not say: as many as the published pipeline takes.
pub const DEFAULT_CROPS: u32 = 10;

/// Crops of one image at most. Each costs a run of the network.
pub const MAX_CROPS: u32 = 32;

/// Images waiting for a processor, when the configuration does not say.
pub const DEFAULT_QUEUE: usize = 16;

/// What a configuration, or a parent that may, can ask for.
pub const QUEUE: std::ops::RangeInclusive<usize> = 1..=1024;

/// Processors that a configuration, or a parent that may, can ask for; 0, which is the default, means all.
pub const THREADS: std::ops::RangeInclusive<usize> = 0..=256;

/// What a full queue tells a client to wait, at least.
pub const RETRY_AFTER_SECONDS: u64 = 2;

/// What a refusal says of its reason, at most.
pub const MAX_DETAIL_BYTES: usize = 1024;

/// The sizes of answers, head and body together. A refusal fits into the first. The second is that of classifications: an exam's
/// answer takes some 11 KB, most of it the receipt's document, so that no number of digits brings one near a border. The third is that of
/// classifications with maps: an exam's four add 88 KB at most.
pub const ANSWER_BYTES: [usize; 3] = [4 * 1024, 32 * 1024, 128 * 1024];

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
pub const EVENT_REPEAT: Duration = Duration::from_secs(10);
/// See [`EVENT_REPEAT`].
pub const EVENT_RETRY: Duration = Duration::from_secs(1);

/// One reason, or one fact, that leaves. The parent keeps as much of it.
pub const MAX_WORDS_BYTES: usize = 1024;

/// Log records that wait for a parent that does not take them; more are dropped and counted.
pub const MAX_RECORDS: usize = 256;

/// Log records in one request; the parent takes more.
pub const MAX_RECORDS_AT_ONCE: usize = 16;

/// Facts of the boot that wait for a parent that does not take them. A boot has two.
pub const MAX_NOTICES: usize = 16;

/// What the parent wants to set: an object of a few numbers.
pub const MAX_SETTINGS_BYTES: usize = 4 * 1024;

/// The name of a setting that is said again when it is refused. True ones are one word.
pub const MAX_SETTING_NAME_BYTES: usize = 32;

/// What is still read, and thrown away, of a refused request's body, so that its sender comes to read the refusal: as long as
/// bytes keep coming, for that long in all.
pub const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);
/// See [`DISCARD_TIMEOUT`].
pub const DISCARD_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// See [`DISCARD_TIMEOUT`]. An exam of usual images, whole.
pub const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// How often the histograms of the metrics are folded together, so that they do not grow while nobody reads them.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Ending: how long open requests may take.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The time that the last event has to reach the parent.
pub const LAST_EVENT_TIMEOUT: Duration = Duration::from_millis(500);

/// A TLS key and a receipt key, when the configuration does not say: a day, so that what one key signed is little.
pub const DEFAULT_KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The least and the most that a configuration may ask for.
pub const MIN_KEY_LIFETIME: Duration = Duration::from_secs(1);
/// See [`MIN_KEY_LIFETIME`].
pub const MAX_KEY_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How far the enclave's clock and the security module's may be apart. Beyond it receipts would be dated wrongly, and KMS
/// refuses requests that are signed further from its own time.
pub const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5 * 60);

/// Between two comparisons of the clocks.
pub const MIN_CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// See [`MIN_CLOCK_CHECK_INTERVAL`]; the default too.
pub const MAX_CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Certificates that a client may show: its own, and the authorities between it and one that is listed. Looking for a path among many
/// costs tens of milliseconds, for which nobody would have been asked who they are.
pub const MAX_CLIENT_CERTIFICATES: usize = 5;

/// Bearer tokens in a configuration: each is compared with every request's.
pub const MAX_TOKENS: usize = 256;

/// What a token's holder may be called.
pub const MAX_TOKEN_NAME_BYTES: usize = 64;

/// A bearer token: ours have 43 characters, other generators' up to some hundred. What is longer is not hashed.
pub const MAX_TOKEN_BYTES: usize = 512;

/// Clients whose rate of requests is remembered at once. Tokens are fewer; certificates can be as many as their authority likes.
pub const MAX_CLIENTS: usize = 1024;

/// The document that vouches for a receipt key is asked for anew after that: AWS's certificates for it live three hours.
pub const MAX_VOUCHER_AGE: Duration = Duration::from_secs(60 * 60);

/// And when its certificate has less than that left: more than two clocks that are both right can be apart.
pub const MIN_VOUCHER_LIFE_LEFT: Duration = Duration::from_secs(15 * 60);

/// The nonce of a request for a classification, in bytes: as fresh as a document's, and no longer than a receipt takes.
pub const REQUEST_NONCE_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// How long nobody must have been connected before an enclave that drains ends: a client that the parent let through before it knew of a
/// better enclave arrives within milliseconds.
pub const DRAIN_SETTLE: Duration = Duration::from_secs(2);

/// Keys of sealed images that are asked for at once: each costs an RSA key, an attestation document and a call of KMS. More wait.
pub const MAX_CONCURRENT_RELEASES: usize = 4;

/// Sealed images that wait for their keys or are asking for them, and the bytes of their memory: half of what may be in memory, so that plain images find
/// room however slow KMS is. More are refused at once.
pub const MAX_SEALED_WAITING: usize = 12;
/// See [`MAX_SEALED_WAITING`].
pub const SEALED_WAITING_BYTES: usize = UPLOAD_BUDGET_BYTES / 2;

/// The key of a sealed image, the wait for its turn included: long enough for a first try that KMS does not answer
/// ([`cloister_kms::limits::CALL_TIMEOUT`]) and a second that it does.
pub const DATA_KEY_TIMEOUT: Duration = Duration::from_secs(15);

/// The parent's CID on AWS (`VMADDR_CID_PARENT`), when the kernel's command line names no other.
pub const AWS_PARENT_CID: u32 = 3;

/// The kernel's command line; x86's own limit is half of that.
pub const MAX_COMMAND_LINE_BYTES: u64 = 4 * 1024;

/// The parent's port that waits for the heartbeat (nitro-cli's).
pub const HEARTBEAT_PORT: u32 = 9000;

/// One heartbeat, and how many are tried with what between: the parent waits for it since before the machine was started, so that a
/// few seconds are ample.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);
/// See [`HEARTBEAT_TIMEOUT`].
pub const HEARTBEAT_TRIES: u32 = 5;
/// See [`HEARTBEAT_TIMEOUT`].
pub const HEARTBEAT_PAUSE: Duration = Duration::from_millis(500);

/// What the kernel's generator is seeded with: two answers of the security module, sixteen times the generator's state of 256 bits.
pub const SEED_BYTES: usize = 512;

/// How long the security module's device may take to appear after `/dev` is mounted: its driver may still be starting.
pub const DEVICE_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
pub const DEVICE_LOOK: Duration = Duration::from_millis(20);

/// A parent that nothing reached for that long is gone, when the configuration does not say: a pod restarts its parent within seconds,
/// and backs off by at most some tens of them while it can still be mended by itself.
pub const DEFAULT_PARENT_GONE: Duration = Duration::from_secs(60);
/// The least and the most that a configuration may ask for.
pub const MIN_PARENT_GONE: Duration = Duration::from_secs(2);
/// See [`MIN_PARENT_GONE`].
pub const MAX_PARENT_GONE: Duration = Duration::from_secs(60 * 60);

/// How many times longer a parent may take that was never there: it starts after the enclave, and may have to fetch the model first.
pub const PARENT_FIRST_TIMES: u32 = 5;
