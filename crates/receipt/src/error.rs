//! Why a receipt is refused, or cannot be made: one variant per reason.

use crate::limits;

/// The result of making or reading a receipt.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a receipt is refused, or cannot be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More bytes than a receipt can have.
    #[error("the receipt has {bytes} bytes; none is longer than {}", limits::RECEIPT)]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not a COSE_Sign1 with tag 18: something else, or cut short.
    #[error("this is no receipt: it is not a tagged COSE_Sign1 in CBOR, or is cut short")]
    NotReceipt,
    /// Another protected header than the one that every receipt has.
    #[error("the receipt's protected header is not exactly the algorithm ES384 and the content type of a receipt")]
    ProtectedHeader,
    /// Another unprotected header than one document.
    #[error(
        "the receipt's unprotected header is not exactly one attestation document of at most {} bytes",
        limits::DOCUMENT
    )]
    UnprotectedHeader,
    /// Not r and s of 48 bytes each.
    #[error("the receipt's signature has {bytes} bytes instead of {}", limits::SIGNATURE)]
    SignatureLength {
        /// Its length.
        bytes: usize,
    },
    /// The same receipt could have been written otherwise, or bytes follow it.
    #[error("the receipt is not in deterministic encoding, or has bytes after its end")]
    NotDeterministic,
    /// The payload is no map with names for keys, each once.
    #[error("the receipt's payload is not a CBOR map of named fields")]
    Payload,
    /// A version that this program does not know.
    #[error("the receipt is of version {0}; this program reads version 1")]
    Version(u64),
    /// A field that must be there.
    #[error("the receipt lacks the field {0}")]
    MissingField(&'static str),
    /// A field that there is not.
    #[error("the receipt has a field that version 1 does not know")]
    UnknownField,
    /// A field that says what it cannot.
    #[error("the receipt's {field} is not {wanted}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it can be.
        wanted: &'static str,
    },
    /// A public key that is not the SubjectPublicKeyInfo of a point on P-384.
    #[error("the key that is vouched for is not a P-384 public key, so that it can have signed no receipt")]
    PublicKey,
    /// Signed by another key, or altered.
    #[error("the receipt's signature is wrong: it or its document was altered, or another key signed it")]
    BadSignature,
    /// The library could not make a key or a signature.
    #[error("the cryptographic library failed")]
    Crypto,
}
