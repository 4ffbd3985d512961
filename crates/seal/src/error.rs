//! Why a file cannot be sealed or opened: one variant per reason.

use std::io;

use crate::header::Purpose;
use crate::limits;

/// The result of sealing or opening.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file below cannot be read or written.
    #[error("the sealed file cannot be read or written: {0}")]
    Io(#[source] io::Error),
    /// Not a sealed file.
    #[error("this is not a sealed file")]
    NotSealed,
    /// A format that this program does not know.
    #[error("the sealed file is of version {0}; this program reads version 1")]
    Version(u8),
    /// The header is not the one encoding of its content, or not that of a header.
    #[error("the sealed file's header is malformed")]
    Header,
    /// A part of the header beyond its limit.
    #[error("the sealed file's {part} is {size}; {least} to {most} are allowed")]
    Limit {
        /// Which part.
        part: &'static str,
        /// Its size.
        size: usize,
        /// Least allowed.
        least: usize,
        /// Most allowed.
        most: usize,
    },
    /// Sealed for something else.
    #[error("the file was sealed as a {found}, and a {expected} is expected")]
    Purpose {
        /// What the caller wants.
        expected: Purpose,
        /// What the header says.
        found: Purpose,
    },
    /// The file ends early: within the header, within a tag, or after a chunk that is good and not the last.
    #[error("the sealed file is cut short")]
    Truncated,
    /// A chunk that the key does not vouch for. In a file's last chunk it may also be that it was cut short.
    #[error(
        "chunk {chunk} of the sealed file is not authentic: it, its order or the header was altered, the end is missing, or \
         this is not its key"
    )]
    NotAuthentic {
        /// Counted from 0.
        chunk: u32,
    },
    /// A chunk that is good and the last, and bytes after it.
    #[error("the sealed file has bytes after its last chunk")]
    TrailingBytes,
    /// An empty last chunk behind others, which no sealer writes.
    #[error("the sealed file ends in an empty chunk behind others")]
    EmptyLastChunk,
    /// More content than [`limits::CHUNKS`] chunks hold.
    #[error("the content is longer than {} chunks", limits::CHUNKS)]
    TooLong,
    /// An earlier error ended this stream.
    #[error("the sealed stream failed earlier")]
    Failed,
    /// Not 32 bytes.
    #[error("a data key has 32 bytes; this one has {0}")]
    KeyLength(usize),
    /// The cipher or the random generator failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl Error {
    /// The error of this crate inside an [`io::Error`] that [`crate::Opener`] or [`crate::Sealer`] returned.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

impl From<io::Error> for Error {
    /// Takes an error of this crate back out of an [`io::Error`].
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(inner) => inner,
            Err(error) => Self::Io(error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            Error::Truncated => Self::new(io::ErrorKind::UnexpectedEof, error),
            error => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}
