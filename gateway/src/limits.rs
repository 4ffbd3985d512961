//! Every bound of the gateway, with its reason.

use std::time::Duration;

/// One file: what an enclave takes of one image (its own bound of the same name).
pub const MAX_IMAGE_BYTES: u64 = 40 * 1024 * 1024;

/// Files of one exam: the four views.
pub const MAX_FILES: usize = 4;

/// The body of one exam: four files, and the text between them.
pub const MAX_EXAM_BYTES: u64 = 4 * MAX_IMAGE_BYTES + 64 * 1024;

/// The body of one STOW-RS request. A PACS sends a study at once, whose other images are refused one by one.
pub const MAX_STOW_BYTES: u64 = 1024 * 1024 * 1024;

/// Instances of one STOW-RS request.
pub const MAX_STOW_INSTANCES: usize = 64;

/// An exam's label: an accession number has 16 characters, file names some more.
pub const MAX_LABEL_CHARACTERS: usize = 128;

/// A patient's name in the work list: three groups of 64 characters (PS3.5, 6.2), and what is between them.
pub const MAX_SHOWN_CHARACTERS: usize = 256;

/// Exams that are received at once. Each takes a file handle and a buffer, and no memory for images.
pub const MAX_UPLOADS: usize = 16;

/// Files whose attributes are read at once: each is in memory for it, and inflated where it is deflated.
pub const MAX_READING: usize = 2;

/// The whole body of an upload: an exam of 160 MB over a hospital's wireless network.
pub const UPLOAD_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// No byte of an upload for that long: whoever sends has stalled.
pub const UPLOAD_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes on disk of all exams together, unless configured otherwise: some hundred exams of the largest files.
pub const DEFAULT_SPOOL_BYTES: u64 = 20 * 1024 * 1024 * 1024;

/// Exams that wait for an enclave, unless configured otherwise: a screening centre's day.
pub const DEFAULT_QUEUED: u64 = 500;

/// When to ask again where there is no room.
pub const RETRY_AFTER_SECONDS: u64 = 30;

/// Requests of one user in a minute, unless configured otherwise. A page asks for some twenty to show an exam.
pub const DEFAULT_REQUESTS_PER_MINUTE: u32 = 600;

/// Users whose rates and failures are remembered; past that, the longest quiet are forgotten.
pub const MAX_REMEMBERED: usize = 4096;

/// Connections at once: browsers hold up to six each.
pub const MAX_CONNECTIONS: usize = 512;

/// A TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The head of a request, on a connection that is kept open.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What HTTP/1.1 buffers of a connection, a request's head included.
pub const HTTP1_BUFFER_BYTES: usize = 64 * 1024;

/// HTTP/2 streams at once on one connection.
pub const HTTP2_STREAMS: u32 = 64;

/// What HTTP/2 buffers of one stream before its handler takes it: this is how far ahead of the disk a browser can be.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 512 * 1024;

/// What HTTP/2 buffers of one connection: all its streams together.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// After the order to end, how long connections may take to finish.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A request's JSON: a name and a password.
pub const MAX_JSON_BYTES: usize = 16 * 1024;

/// A receipt that is to be checked; none is longer than 48 KiB.
pub const MAX_RECEIPT_BYTES: usize = 64 * 1024;

/// Streams of events at once, of all users.
pub const MAX_STREAMS: usize = 256;

/// Streams of events at once of one user: some tabs.
pub const MAX_STREAMS_OF_ONE: usize = 16;

/// Between two comments on a quiet stream of events, so that what is between does not take it for dead.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// Changes that a slow reader of events may be behind; past that it is told to read the list again.
pub const EVENTS_BEHIND: usize = 256;

/// Exams in one page of the work list.
pub const MAX_PAGE: u32 = 200;

/// Exams in one page of the work list, where the request does not say.
pub const DEFAULT_PAGE: u32 = 50;

/// A search's text.
pub const MAX_SEARCH_CHARACTERS: usize = 64;

/// Between two checks of an enclave that nothing was sent to.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Between two tries to find an enclave that is not verified, while exams wait.
pub const RECHECK_INTERVAL: Duration = Duration::from_secs(3);

/// A look for work that nobody announced: tries whose time has come.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Enclaves of one gateway.
pub const MAX_ENCLAVES: usize = 32;

/// Tries to have an exam answered over connections that broke, or by enclaves that were busy, before it fails.
pub const MAX_ATTEMPTS: u32 = 20;

/// The first wait before another try; each next one is twice as long.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// The longest wait before another try.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// The users' file.
pub const MAX_USERS_BYTES: u64 = 1024 * 1024;

/// The configuration, the policy and other files of text.
pub const MAX_TEXT_BYTES: u64 = 1024 * 1024;

/// A password: argon2 takes any length, and a person types fewer.
pub const MAX_PASSWORD_BYTES: usize = 256;

/// A user's name.
pub const MAX_NAME_BYTES: usize = 128;

/// A provider's own name for a user (OpenID Connect Core 1.0, section 2: `sub` is no longer).
pub const MAX_SUBJECT_CHARACTERS: usize = 255;

/// Passwords that are hashed at once: each takes 19 MiB and a core.
pub const MAX_HASHING: usize = 2;

/// Sessions at once.
pub const MAX_SESSIONS: usize = 2048;

/// A session's life without a request, unless configured otherwise: a reading room's shift with breaks.
pub const DEFAULT_SESSION_IDLE: Duration = Duration::from_secs(60 * 60);

/// A session's whole life.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Passwords that may be wrong before a name, or an address, has to wait.
pub const MAX_FAILURES: u32 = 5;

/// How long they are counted, and the wait.
pub const FAILURES_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Refused sign-ins that the audit log has in a minute; the metrics count all. People's mistakes are fewer, and a year of guesses at this
/// rate is 16 GB at most.
pub const REFUSALS_TOLD_PER_MINUTE: u32 = 60;

/// How long a machine's password is remembered (as a digest under a key of this process), so that not each request is hashed.
pub const BASIC_REMEMBERED: Duration = Duration::from_secs(5 * 60);

/// Sign-ins by OIDC that were begun and not ended.
pub const MAX_PENDING: usize = 1024;

/// The time for one of them at the provider.
pub const PENDING_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// An answer of the provider: discovery, keys, tokens.
pub const MAX_PROVIDER_BYTES: usize = 256 * 1024;

/// How long the provider's keys are used before they are asked for again.
pub const KEYS_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The least time between two requests for the provider's keys, so that tokens with made-up key names cause none.
pub const KEYS_PAUSE: Duration = Duration::from_secs(30);

/// How far the provider's clock may be from this one, in seconds.
pub const TOKEN_LEEWAY_SECONDS: u64 = 60;

/// A bearer token.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// To a connection with a PACS or a provider, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// From a request to the answer's last byte, of a PACS or a provider.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A PACS's answer to one instance.
pub const MAX_PACS_ANSWER_BYTES: usize = 256 * 1024;

/// Between two looks at the watched folder, the bucket and exams that wait for their last view.
pub const INTAKE_INTERVAL: Duration = Duration::from_secs(1);

/// A file of the watched folder that has not changed for that long is whole, unless it says otherwise.
pub const DEFAULT_SETTLED: Duration = Duration::from_secs(2);

/// A file that breaks off is given that long to become whole before it is refused.
pub const BROKEN_PATIENCE: Duration = Duration::from_secs(60);

/// Files that one look at the watched folder takes up.
pub const MAX_LOOK: usize = 1000;

/// Objects that one look at the bucket takes up.
pub const MAX_OBJECTS: usize = 1000;

/// Without another image for that long, a study is taken to be complete, unless configured otherwise.
pub const DEFAULT_QUIET: Duration = Duration::from_secs(60);

/// How long images are kept where nothing is delivered but to the page, unless configured otherwise, in hours.
pub const DEFAULT_IMAGE_HOURS: u64 = 24;

/// How long exams stay in the work list, unless configured otherwise, in days.
pub const DEFAULT_EXAM_DAYS: u64 = 365;

/// Between two looks for what retention deletes.
pub const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// The largest line of an audit log: no event has a kilobyte.
pub const MAX_AUDIT_LINE_BYTES: usize = 64 * 1024;

/// Between two lines of the log that name the audit log's head.
pub const HEAD_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// An object of the bucket, in memory: one file.
pub const MAX_OBJECT_BYTES: usize = 40 * 1024 * 1024;
