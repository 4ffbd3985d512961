//! Why a gateway does not start, or cannot go on.

use std::path::{Path, PathBuf};

use cloister_transport::Address;

/// Why a gateway does not start, or what it runs into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of the gateway's own cannot be used.
    #[error("{path} cannot be used: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is longer than any of its kind.
    #[error("{path} is longer than {limit} bytes, which no file of its kind is")]
    TooLong {
        /// Which.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// A configuration that cannot be read.
    #[error("the configuration cannot be read: {0}")]
    Configuration(String),
    /// A configuration that asks for what there is not.
    #[error("the configuration does not fit: {0}")]
    Unfit(&'static str),
    /// The policy cannot be used.
    #[error("the policy cannot be used: {0}")]
    Policy(#[from] cloister_attest::PolicyError),
    /// Credentials for enclaves that cannot be used.
    #[error("the credentials for enclaves cannot be used: {0}")]
    Credentials(#[from] cloister_client::CredentialError),
    /// No sign-in, and a place that others reach.
    #[error(
        "nobody would have to sign in at {0}, which others may reach: set [access], or listen on loopback (127.0.0.1 or ::1)"
    )]
    Open(Address),
    /// Passwords or tokens would cross the network in the clear.
    #[error(
        "passwords would cross the network in the clear at {0}: set [tls], or [tls] elsewhere = true behind a proxy that has it"
    )]
    Clear(Address),
    /// The TLS certificate or its key cannot be used.
    #[error("the TLS certificate and key cannot be used: {0}")]
    Tls(String),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] cloister_transport::Error),
    /// The work list cannot be used.
    #[error("the work list cannot be used: {0}")]
    Worklist(#[from] rusqlite::Error),
    /// A work list of a later program.
    #[error("the work list is of version {0}, and this program knows version {known}: use the later program", known = crate::worklist::VERSION)]
    WorklistVersion(i64),
    /// Another gateway has the folder.
    #[error("another gateway uses {0}: each needs a folder of its own")]
    Taken(PathBuf),
    /// The audit log has been changed.
    #[error("the audit log {path} is not what it was: {problem}")]
    Audit {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: crate::audit::Broken,
    },
    /// The audit log ends in half a line that could not be cut off: what came behind it would not be read.
    #[error(
        "the audit log {0} ends in half a line, which could not be cut off: make room on its disk, and start again"
    )]
    AuditTorn(PathBuf),
    /// The users' file cannot be used.
    #[error("the users' file cannot be used: {0}")]
    Users(String),
    /// The OIDC provider cannot be used.
    #[error("the OIDC provider cannot be used: {0}")]
    Provider(String),
    /// The system's random generator failed.
    #[error("the system gave no random bytes")]
    Random,
    /// A thread that was to do something ended.
    #[error("a worker ended unexpectedly")]
    Worker,
    /// What a stored exam says cannot be read: a program of another version wrote it.
    #[error("an exam in the work list cannot be read: {0}")]
    Stored(&'static str),
    /// The bucket does not answer, or not with what it should.
    #[error("the bucket cannot be read: {0}")]
    Bucket(String),
    /// A metrics recorder was there already.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
}

impl Error {
    /// Wraps what the system said about a file.
    pub(crate) fn file(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { path, source }
    }

    /// The same without a path: files and folders that others put down may be named after patients.
    pub(crate) fn nameless(&self) -> String {
        match self {
            Self::File { source, .. } => source.kind().to_string(),
            other => other.to_string(),
        }
    }

    /// Whether whoever wrote the configuration has to mend it, rather than the machine.
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            Self::Configuration(_)
                | Self::Unfit(_)
                | Self::Policy(_)
                | Self::Credentials(_)
                | Self::Open(_)
                | Self::Clear(_)
                | Self::Tls(_)
                | Self::Users(_)
                | Self::TooLong { .. }
        )
    }
}
