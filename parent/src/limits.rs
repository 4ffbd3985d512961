//! Every bound of the parent's process, in one place.

use std::time::Duration;

/// Clients relayed at once, unless told otherwise. The enclave takes as many TLS connections.
pub const MAX_RELAYED: usize = 256;

/// Connections past [`MAX_RELAYED`] are accepted only to be closed and counted; this many of them at once.
pub const REFUSALS_AT_ONCE: usize = 64;

/// Reaching the enclave for a client, unless told otherwise. A vsock connection takes under a millisecond, or never comes.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A relayed connection on which no byte moves is cut after this, unless told otherwise. Longer than an exam takes on a slow
/// machine, during which the client only waits.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Once the enclave or the client has ended its side, a relayed connection on which no byte moves is cut after this. The enclave
/// hangs up on clients that say nothing; a client that ignores it would keep its place among [`MAX_RELAYED`] otherwise.
pub const HALF_CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// After SIGTERM, how long relayed connections may take to end, unless told otherwise. Under the 30 seconds that Kubernetes
/// leaves between SIGTERM and SIGKILL.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// What relayed bytes are held in, for each direction of each connection. Linux carries a vsock packet of up to 64 KiB.
pub const RELAY_BUFFER_BYTES: usize = 64 * 1024;

/// HTTP connections to the control endpoint at once, of one enclave; it needs few.
pub const MAX_CONTROL_CONNECTIONS: usize = 16;

/// HTTP connections to the pod's endpoint at once: probes and a scraper.
pub const MAX_POD_CONNECTIONS: usize = 16;

/// The head of a request, and the wait for the next one on a connection that is kept open.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What hyper holds of one connection, the head of a request among it.
pub const REQUEST_HEAD_BYTES: usize = 16 * 1024;

/// The whole life of an HTTP connection: the largest model in that time needs 2 MB/s.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// After the relay has drained, how long HTTP connections may take to end.
pub const HTTP_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// One read of the sealed model, and so the memory that handing it out takes.
pub const MODEL_READ_BYTES: usize = 128 * 1024;

/// The body of one `POST /v1/events`.
pub const MAX_EVENTS_BYTES: usize = 64 * 1024;

/// That body's arrival, whole.
pub const EVENTS_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Events in one body. The enclave sends one.
pub const MAX_EVENTS_AT_ONCE: usize = 16;

/// An event's detail, in bytes; what is longer is cut.
pub const MAX_DETAIL_BYTES: usize = 1024;

/// Events that may come in one burst. A boot has fewer.
pub const EVENT_BURST: u32 = 32;

/// One more event may come after each of these: a boot that is tried again and again says so every 30 seconds.
pub const EVENT_INTERVAL: Duration = Duration::from_millis(500);

/// Getting credentials from the default chain. The enclave waits for 30 seconds.
pub const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(20);

/// Credentials are fetched anew this long before they expire. AWS's own endpoints have new ones at least as early.
pub const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);

/// Between two tries to fetch credentials anew while those at hand still hold.
pub const REFRESH_RETRY: Duration = Duration::from_secs(10);

/// Credentials without an end (environment, profile file) are read again after this.
pub const RECHECK_AFTER: Duration = Duration::from_secs(5 * 60);

/// How long an answer about the enclave's port holds, so that probes do not become the enclave's load.
pub const READINESS_CACHE: Duration = Duration::from_secs(1);

/// Reaching the enclave for a probe: Kubernetes gives a probe one second.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(800);

/// Lines about refused connections are at least this far apart; those between are counted.
pub const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What a client that comes too early is told to wait.
pub const RETRY_AFTER_SECONDS: u64 = 2;

/// The list of enclaves is a page of text.
pub const MAX_LIST_BYTES: u64 = 64 * 1024;

/// Enclaves at once: one, two in a hand-over, and room for those that still drain.
pub const MAX_ENCLAVES: usize = 8;

/// An enclave's name, and a setting's text.
pub const MAX_NAME_BYTES: usize = 64;

/// Settings of one enclave, and the length of a setting's name: what an enclave would read at most.
pub const MAX_SETTINGS: usize = 32;
/// See [`MAX_SETTINGS`].
pub const MAX_SETTING_BYTES: usize = 32;

/// How often it is looked whether an enclave has drained.
pub const DRAIN_CHECK: Duration = Duration::from_secs(1);

/// An enclave that drains is taken for ended when it did not answer as often as this, one look after another: a busy machine can miss
/// one.
pub const DRAIN_MISSES: u32 = 3;

/// An enclave that drains and has said nothing for so long is looked for. It tells of itself every 10 seconds.
pub const DRAIN_SILENCE: Duration = Duration::from_secs(25);

/// How long an enclave that drains is kept although nobody is connected to it. One that was asked to end does so within seconds.
pub const DRAIN_LONGEST: Duration = Duration::from_secs(15 * 60);

/// Sources of credentials are asked at most this often: whatever the enclave says of those that it has, and however often they failed.
pub const RENEWAL_INTERVAL: Duration = Duration::from_secs(3);

/// The body of one `POST /v1/logs`, its records, and how fast they may come: a burst, then one each interval.
pub const MAX_LOGS_BYTES: usize = 64 * 1024;
/// See [`MAX_LOGS_BYTES`].
pub const MAX_RECORDS_AT_ONCE: usize = 64;
/// See [`MAX_LOGS_BYTES`].
pub const RECORD_BURST: u32 = 512;
/// See [`MAX_LOGS_BYTES`].
pub const RECORD_INTERVAL: Duration = Duration::from_millis(20);

/// Members of one record besides its time, level and event.
pub const MAX_RECORD_MEMBERS: usize = 16;
