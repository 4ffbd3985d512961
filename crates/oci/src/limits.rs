//! Every limit of this crate, with its reason.

use std::time::Duration;

/// Most bytes of a manifest, an index or `index.json`. Registries take no more (distribution-spec 1.1, "Pushing Manifests").
pub const MANIFEST: u64 = 4 * 1024 * 1024;

/// Most blobs of one image. Overlay file systems stop near 128 layers.
pub const BLOBS: usize = 256;

/// Most bytes of a blob where nobody says less: ours has some hundred megabytes, and ECR takes 52 000 MiB.
pub const BLOB: u64 = 16 << 30;

/// Most bytes of all blobs of an image that is pulled, where nobody says less.
pub const IMAGE: u64 = 32 << 30;

/// Most entries of an `oci-archive`: some images' blobs and a few files beside them.
pub const ARCHIVE_ENTRIES: usize = 4096;

/// Most bytes of all files in an `oci-archive`.
pub const ARCHIVE: u64 = 32 << 30;

/// Most entries of one layer. A Debian image with compilers has some hundred thousand.
pub const LAYER_ENTRIES: usize = 1_000_000;

/// Most bytes that one layer unpacks to, where nobody says less.
pub const LAYER: u64 = 32 << 30;

/// Most bytes of a file that is taken out of an image, where nobody says less.
pub const FILE: u64 = 4 << 30;

/// Most bytes of a tar entry's long name or extended header. Linux takes paths of 4096.
pub const TAR_EXTENSION: u64 = 64 * 1024;

/// Longest path inside of an image: Linux's `PATH_MAX`.
pub const PATH: usize = 4096;

/// Most bytes of an artifact's file where nobody says less: measurements and policies have a few kilobytes.
pub const ARTIFACT: u64 = 64 * 1024 * 1024;

/// Most bytes of one signed payload; cosign's have 300.
pub const PAYLOAD: u64 = 64 * 1024;

/// Most signatures that are looked at for one image.
pub const SIGNATURES: usize = 64;

/// Most bytes of a key in PEM, text around it included.
pub const PEM: usize = 16 * 1024;

/// Longest repository with its host: the rule of distribution-spec, "Pulling manifests".
pub const REPOSITORY: usize = 255;

/// Longest tag (distribution-spec).
pub const TAG: usize = 128;

/// Most bytes of an answer that is no blob: errors, tokens, lists of tags.
pub const ANSWER: u64 = MANIFEST;

/// Most bytes of an answer's head.
pub const ANSWER_HEAD: usize = 64 * 1024;

/// Most characters of a registry's own words that an error repeats.
pub const DETAIL: usize = 500;

/// Most redirects of one blob: registries send to their store once.
pub const REDIRECTS: usize = 5;

/// How often one request asks for other credentials before it gives up.
pub const RENEWALS: usize = 1;

/// To a TLS connection, name look-up and handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest silence of a peer: no byte taken, none given. Registries check whole blobs before they answer an upload.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Longest time for the body of an answer that is no blob.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Tries of one operation, the first included.
pub const TRIES: u32 = 7;

/// The first pause between two tries; each next one may be twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause that we choose ourselves.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Most time that the pauses of one operation take together. A registry that asks for more is told no.
pub const PAUSES: Duration = Duration::from_secs(180);

/// Bytes that are read, hashed and sent at a time.
pub(crate) const CHUNK: usize = 64 * 1024;
