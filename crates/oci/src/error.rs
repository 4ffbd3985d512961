//! What can go wrong, in words that a person can act on.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::digest::Digest;
use crate::limits;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Somebody else's error.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why an image was not published, received or believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No digest.
    #[error("{text:?} is no digest: {problem}")]
    BadDigest {
        /// What was read.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No reference.
    #[error("{text:?} names no image: {problem}")]
    BadReference {
        /// What was read.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No repository.
    #[error("{text:?} is no repository: lower-case letters, digits, and single . _ / or - between them")]
    BadRepository {
        /// What was read.
        text: String,
    },
    /// No tag.
    #[error("{text:?} is no tag: at most 128 letters, digits, and _ . -, the last two not in front")]
    BadTag {
        /// What was read.
        text: String,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder or archive that is no image layout.
    #[error("{} is no OCI image layout: {problem}", path.display())]
    NotALayout {
        /// Where.
        path: PathBuf,
        /// What is missing or wrong.
        problem: String,
    },
    /// A manifest or an index that cannot be used.
    #[error("the {what} cannot be used: {problem}")]
    BadManifest {
        /// Which of the two.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// More than one to choose from.
    #[error("there are several {what}: {}; say which", there.join(", "))]
    Ambiguous {
        /// Of what.
        what: &'static str,
        /// Their names, the first of them.
        there: Vec<String>,
    },
    /// A layout without the image that was asked for.
    #[error("the layout has no image {wanted}; it has {}", list(there))]
    NoImage {
        /// The tag or digest.
        wanted: String,
        /// What there is, the first of it.
        there: Vec<String>,
    },
    /// An index without an image for our machines.
    #[error("the index has no image for linux/amd64; it has {}", list(there))]
    NoPlatform {
        /// What there is, the first of it.
        there: Vec<String>,
    },
    /// A blob that a manifest names is not there.
    #[error("blob {digest} is missing from {place}: the image there is not whole")]
    BlobMissing {
        /// Which.
        digest: Digest,
        /// The layout's path, or the registry with the repository.
        place: String,
    },
    /// Bytes that are not what their digest says.
    #[error("{what} has digest {found}, not {expected}")]
    DigestMismatch {
        /// What was read or reported, and where.
        what: String,
        /// The digest asked for.
        expected: Digest,
        /// The digest that it has.
        found: Digest,
    },
    /// Bytes that are fewer or more than said.
    #[error("{what} has {found} bytes, not {expected}")]
    SizeMismatch {
        /// What was read.
        what: String,
        /// Bytes that were said.
        expected: u64,
        /// Bytes that there are, or at least.
        found: u64,
    },
    /// More than is taken.
    #[error("{what} is larger than {limit} bytes, which is the limit")]
    TooLarge {
        /// What.
        what: String,
        /// The limit.
        limit: u64,
    },

    /// No connection to the registry.
    #[error("{host} cannot be reached: {source}")]
    Unreachable {
        /// The registry.
        host: String,
        /// Why.
        source: Source,
    },
    /// The registry's certificate is not believed.
    #[error(
        "{host} is not believed: {source}; if its certificate is of your own authority, give that authority's certificate in PEM"
    )]
    NotTrusted {
        /// The registry.
        host: String,
        /// TLS's reason.
        source: Source,
    },
    /// TLS cannot be set up, or the roots cannot be read.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// A registry that would be spoken to without TLS.
    #[error("plain HTTP to {host} is refused: it is only for registries of this machine, and only where asked for")]
    Plain {
        /// The registry.
        host: String,
    },
    /// The connection broke, or fell silent.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// The registry.
        host: String,
        /// How.
        reason: String,
    },
    /// Nobody gives user and password, or they could not be had.
    #[error("no credentials for {host}: {source}")]
    Credentials {
        /// The registry.
        host: String,
        /// Why.
        source: Source,
    },
    /// The registry refuses who asks.
    #[error("{host} does not allow this: {detail}")]
    NotAuthorised {
        /// The registry.
        host: String,
        /// Its words.
        detail: String,
    },
    /// The registry calls the token expired, also the one fetched anew.
    #[error(
        "{host} calls the authorization token expired, and a new one as well: {detail}; is this machine's clock right?"
    )]
    Expired {
        /// The registry.
        host: String,
        /// Its words.
        detail: String,
    },
    /// There is no such repository.
    #[error("{host} has no repository {repository}; create it first")]
    RepositoryUnknown {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
    },
    /// No such image in the registry.
    #[error("{host}/{repository} has no image {reference}")]
    ImageUnknown {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// The tag or digest.
        reference: String,
    },
    /// The tag is another image's, and the caller wants it left.
    #[error("tag {tag} of {repository} is already {found}: choose another tag, or say that it may be moved")]
    TagTaken {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
        /// Whose it is.
        found: Digest,
    },
    /// The tag is another image's, and the registry does not let it be moved.
    #[error(
        "tag {tag} of {repository} is another image's and cannot be moved, because the repository's tags are immutable: {detail}"
    )]
    TagImmutable {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
        /// The registry's words.
        detail: String,
    },
    /// The registry lacks blobs of a manifest that it was given.
    #[error("{host} refuses the manifest, because blobs of it are missing there: {detail}; push again")]
    ManifestIncomplete {
        /// The registry.
        host: String,
        /// Its words.
        detail: String,
    },
    /// The registry wants less of us.
    #[error("{host} is asked too much of{}", pause(retry_after))]
    Throttled {
        /// The registry.
        host: String,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// The registry fails.
    #[error("{host} fails with {status}: {detail}")]
    Unavailable {
        /// The registry.
        host: String,
        /// The HTTP status.
        status: u16,
        /// Its words.
        detail: String,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// The registry says no in another way.
    #[error("{host} answers {status} to {request}: {detail}")]
    Refused {
        /// The registry.
        host: String,
        /// What was asked.
        request: String,
        /// The HTTP status.
        status: u16,
        /// Its words.
        detail: String,
    },
    /// An answer that breaks the protocol.
    #[error("{host} is not understood: {problem}")]
    Protocol {
        /// The registry.
        host: String,
        /// What is wrong.
        problem: String,
    },

    /// The image has no such file.
    #[error("the image has no file {path}")]
    NoFile {
        /// The path inside of the image.
        path: String,
    },
    /// The file is there but is not taken out.
    #[error("{path} is not taken out of the image: {reason}")]
    NotAFile {
        /// The path inside of the image.
        path: String,
        /// Why not.
        reason: &'static str,
    },
    /// A layer or an archive that is not unpacked.
    #[error("{what} cannot be unpacked: {problem}")]
    BadArchive {
        /// Which.
        what: String,
        /// Why not.
        problem: String,
    },
    /// Not the artifact that was expected.
    #[error("this is not the artifact that is expected: {problem}")]
    NotTheArtifact {
        /// In what it differs.
        problem: String,
    },
    /// A key that cannot be used.
    #[error("the {what} key cannot be used: {problem}")]
    BadKey {
        /// Public or private.
        what: &'static str,
        /// Why not.
        problem: &'static str,
    },
    /// The signer did not sign.
    #[error("no signature was made: {0}")]
    Signing(Source),
    /// No signature of this key for this image.
    #[error("none of {count} signatures is this key's for {image}: {reasons}")]
    NotSigned {
        /// The image.
        image: Digest,
        /// How many were looked at.
        count: usize,
        /// Why each was not it.
        reasons: String,
    },
}

impl Error {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::file_error(path, source)
    }

    /// An error of this crate that went through [`io::Error`] comes back as itself.
    pub(crate) fn file_error(path: PathBuf, source: io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(error) => error,
            Err(source) => Self::File { path, source },
        }
    }

    pub(crate) fn archive(what: &str, source: io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(error) => error,
            Err(source) => Self::BadArchive { what: what.to_owned(), problem: excerpt(&source.to_string()) },
        }
    }

    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

/// As much of foreign text as fits into a message, without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(limits::DETAIL).collect();
    if text.chars().nth(limits::DETAIL).is_some() {
        short.push('…');
    }
    short
}

fn list(there: &[String]) -> String {
    if there.is_empty() { "none".to_owned() } else { there.join(", ") }
}

fn pause(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |after| format!("; it says to come back in {} s", after.as_secs()))
}
