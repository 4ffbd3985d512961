//! Why a document or a policy is refused: one variant per reason.

use std::time::{Duration, SystemTime};

use crate::chain::Place;
use crate::verify::rfc3339;

/// The result of reading or checking a document.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an attestation document is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Shape: see `is_malformed`.
    /// More bytes than a module can return.
    #[error("the attestation document has {bytes} bytes; none is longer than {limit}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// [`crate::limits::DOCUMENT`].
        limit: usize,
    },
    /// Not a COSE_Sign1 structure: an untagged array of four.
    #[error("this is no attestation document: it is not an untagged COSE_Sign1 array of four parts")]
    NotSign1,
    /// Not CBOR, cut short, or nested too deep.
    #[error("the attestation document's {part} is not valid CBOR, or is cut short")]
    NotCbor {
        /// `document` or `payload`.
        part: &'static str,
    },
    /// Bytes follow the end.
    #[error("the attestation document's {part} has bytes after its end")]
    TrailingBytes {
        /// `document` or `payload`.
        part: &'static str,
    },
    /// The same value could have been written shorter.
    #[error("the attestation document's {part} is not in the device's encoding (shortest form, definite lengths)")]
    NotCanonical {
        /// `document` or `payload`.
        part: &'static str,
    },
    /// Another protected header than `{1: -35}`.
    #[error("the attestation document's protected header is not exactly the algorithm ES384")]
    ProtectedHeader,
    /// Something in the header that no signature covers.
    #[error("the attestation document's unprotected header is not empty")]
    UnprotectedHeader,
    /// Not r and s of 48 bytes each.
    #[error("the attestation document's signature has {bytes} bytes instead of 96")]
    SignatureLength {
        /// Its length.
        bytes: usize,
    },
    /// One of the nine fields is absent.
    #[error("the attestation document lacks the field {field}")]
    MissingField {
        /// The field.
        field: &'static str,
    },
    /// A key that is none of the nine.
    #[error("the attestation document has a field besides the nine that there are")]
    UnknownField,
    /// A field twice.
    #[error("the attestation document has the field {field} twice")]
    DuplicateField {
        /// The field.
        field: &'static str,
    },
    /// A field of another CBOR type.
    #[error("the attestation document's {field} is of the wrong type")]
    WrongType {
        /// The field.
        field: &'static str,
    },
    /// A field too short or too long.
    #[error("the attestation document's {field} holds {bytes} bytes where {least} to {most} are allowed")]
    FieldSize {
        /// The field.
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// Least allowed.
        least: usize,
        /// Most allowed.
        most: usize,
    },
    /// A hash function other than SHA-384.
    #[error("the attestation document's digest is not SHA384")]
    UnknownDigest,
    /// A timestamp of zero, below it, or beyond the year 9999.
    #[error("the attestation document's timestamp is out of range")]
    TimestampRange,
    /// A PCR beyond 31, or one that is no number.
    #[error("the attestation document has a PCR that is not numbered 0 to 31")]
    PcrNumber,
    /// A PCR twice.
    #[error("the attestation document has PCR{index} twice")]
    DuplicatePcr {
        /// Its number.
        index: u16,
    },
    /// No certificate above the leaf, or too many.
    #[error("the attestation document's cabundle has {certificates} certificates where 1 to 6 are allowed")]
    BundleLength {
        /// How many.
        certificates: usize,
    },

    // The chain.
    /// The bundle starts with another root than the pinned one.
    #[error(
        "the attestation document's root certificate is not the pinned one: its SHA-256 is {}, pinned is {}",
        hex::encode(found),
        hex::encode(pinned)
    )]
    UnpinnedRoot {
        /// SHA-256 of `cabundle[0]`.
        found: [u8; 32],
        /// SHA-256 of the pinned root.
        pinned: [u8; 32],
    },
    /// A certificate that cannot be read.
    #[error("the {place} is not a valid X.509 certificate")]
    BadCertificate {
        /// Which.
        place: Place,
    },
    /// A key or signature that is not ECDSA on P-384 with SHA-384.
    #[error("the {place} is not ECDSA on P-384 with SHA-384 throughout")]
    NotP384 {
        /// Which.
        place: Place,
    },
    /// An issuer whose basicConstraints do not say CA, or a leaf whose do.
    #[error("the {place} has the wrong basicConstraints: issuers are CAs and the leaf is not")]
    BasicConstraints {
        /// Which.
        place: Place,
    },
    /// More CAs below a certificate than it permits.
    #[error("the {place} permits {allowed} CA certificates below it and has {found}")]
    PathLength {
        /// Which.
        place: Place,
        /// Its pathLenConstraint.
        allowed: u32,
        /// CA certificates between it and the leaf.
        found: u32,
    },
    /// An issuer that may not sign certificates, or a leaf that may not sign.
    #[error("the {place} lacks the keyUsage for what it did: issuers sign certificates, the leaf signs the document")]
    KeyUsage {
        /// Which.
        place: Place,
    },
    /// A certificate that names purposes, none of which is this.
    #[error("the {place} is restricted by extendedKeyUsage to other purposes")]
    ExtendedKeyUsage {
        /// Which.
        place: Place,
    },
    /// A certificate issued by another than the one before it.
    #[error("the {place} was not issued by the certificate above it")]
    BrokenChain {
        /// Which.
        place: Place,
    },
    /// Not valid yet at the time of verification.
    #[error("the {place} is not valid before {}; the time of verification is {}", rfc3339(*from), rfc3339(*at))]
    NotYetValid {
        /// Which.
        place: Place,
        /// Its notBefore.
        from: SystemTime,
        /// The time of verification.
        at: SystemTime,
    },
    /// No longer valid at the time of verification.
    #[error("the {place} expired at {}; the time of verification is {}", rfc3339(*until), rfc3339(*at))]
    Expired {
        /// Which.
        place: Place,
        /// Its notAfter.
        until: SystemTime,
        /// The time of verification.
        at: SystemTime,
    },
    /// webpki found no valid path to the pinned root; the text is its own.
    #[error("the certificates do not lead to the pinned root: {0}")]
    Path(String),
    /// The document's signature is not the leaf's.
    #[error("the attestation document's signature is wrong: it was altered, or signed with another key")]
    BadSignature,

    // What the document says.
    /// Signed at a time when one of its certificates was not valid.
    #[error("the attestation document is dated {}, when the {place} was not valid", rfc3339(*timestamp))]
    TimestampOutsideCertificate {
        /// Which.
        place: Place,
        /// The document's timestamp.
        timestamp: SystemTime,
    },
    /// Dated after the time of verification, by more than the skew that is allowed.
    #[error(
        "the attestation document is dated {} s after the time of verification; {} s are allowed: check the clock",
        ahead.as_secs(),
        limit.as_secs()
    )]
    FromTheFuture {
        /// By how much.
        ahead: Duration,
        /// How much is allowed.
        limit: Duration,
    },
    /// Any of PCR0, 1 and 2 is zero: the enclave's memory and console are open to its parent.
    #[error("PCR{index} is zero: the enclave runs in debug mode, where its parent can look inside")]
    DebugMode {
        /// The first of 0, 1, 2 that is zero.
        index: u16,
    },
    /// A PCR that must be there, and locked, is not.
    #[error("the attestation document has no PCR{index}: it is not locked, or was never measured")]
    MissingPcr {
        /// Its number.
        index: u16,
    },

    // What a policy asks.
    /// Older than the policy allows.
    #[error("the attestation document is {} s old; the policy allows {} s", age.as_secs(), limit.as_secs())]
    StaleDocument {
        /// Its age at the time of verification.
        age: Duration,
        /// The policy's `max_age_seconds`.
        limit: Duration,
    },
    /// A nonce was expected and there is none.
    #[error("the attestation document carries no nonce, so that it need not be an answer to this request")]
    NonceMissing,
    /// Another request's nonce.
    #[error("the attestation document carries another nonce: it answers another request")]
    NonceMismatch,
    /// No `user_data`, so nothing binds the enclave's keys.
    #[error("the attestation document carries no user_data, so that it vouches for no TLS key and no receipt key")]
    BindingMissing,
    /// `user_data` that is no [`crate::Binding`].
    #[error("the attestation document's user_data is not a binding of keys in version 1")]
    BindingMalformed,
    /// The TLS connection ends elsewhere.
    #[error("the attestation document vouches for another TLS key: this connection does not end in that enclave")]
    BindingMismatch,
    /// No `public_key`, which in a receipt's document is the key that signs receipts.
    #[error("the attestation document carries no public_key, so that it vouches for no receipt key")]
    NoReceiptKey,
    /// A `public_key` that `user_data` does not name as the key that signs receipts.
    #[error("the attestation document does not vouch for its public_key as one that signs receipts")]
    ReceiptKeyUnbound,
    /// The measurement is none that the policy accepts; told about the nearest entry.
    #[error(
        "PCR{index} is {}; the policy's nearest entry, \"{label}\", wants {}",
        hex::encode(found),
        hex::encode(expected)
    )]
    WrongPcr {
        /// The first PCR that differs.
        index: u16,
        /// The policy's value.
        expected: Vec<u8>,
        /// The document's value.
        found: Vec<u8>,
        /// The entry that fits best.
        label: String,
    },
    /// The measurement is accepted no longer.
    #[error("the policy accepted \"{label}\" until {}", rfc3339(*until))]
    NoLongerAccepted {
        /// The entry that fits.
        label: String,
        /// Its `until`.
        until: SystemTime,
    },
}

/// What is checked of a document, by what it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Whether the bytes are an attestation document at all.
    Shape,
    /// Whether its certificates lead to the pinned root, and were valid.
    Chain,
    /// Whether its signature is the last certificate's.
    Signature,
    /// Whether it is dated from now: when its certificates were valid, not from the future, not too old.
    Time,
    /// Whether the enclave is closed to its parent.
    DebugMode,
    /// Whether it answers this request.
    Nonce,
    /// Whether it vouches for the keys that are in use.
    Keys,
    /// Whether the register of that number has a value that the policy accepts.
    Register(u16),
    /// Whether the policy still accepts what is measured.
    Until,
}

impl Error {
    /// What was checked when this was found.
    pub fn stage(&self) -> Stage {
        match self {
            Self::TooLarge { .. }
            | Self::NotSign1
            | Self::NotCbor { .. }
            | Self::TrailingBytes { .. }
            | Self::NotCanonical { .. }
            | Self::ProtectedHeader
            | Self::UnprotectedHeader
            | Self::SignatureLength { .. }
            | Self::MissingField { .. }
            | Self::UnknownField
            | Self::DuplicateField { .. }
            | Self::WrongType { .. }
            | Self::FieldSize { .. }
            | Self::UnknownDigest
            | Self::TimestampRange
            | Self::PcrNumber
            | Self::DuplicatePcr { .. }
            | Self::BundleLength { .. } => Stage::Shape,
            Self::UnpinnedRoot { .. }
            | Self::BadCertificate { .. }
            | Self::NotP384 { .. }
            | Self::BasicConstraints { .. }
            | Self::PathLength { .. }
            | Self::KeyUsage { .. }
            | Self::ExtendedKeyUsage { .. }
            | Self::BrokenChain { .. }
            | Self::NotYetValid { .. }
            | Self::Expired { .. }
            | Self::Path(_) => Stage::Chain,
            Self::BadSignature => Stage::Signature,
            Self::TimestampOutsideCertificate { .. } | Self::FromTheFuture { .. } | Self::StaleDocument { .. } => {
                Stage::Time
            }
            Self::DebugMode { .. } => Stage::DebugMode,
            Self::NonceMissing | Self::NonceMismatch => Stage::Nonce,
            Self::BindingMissing
            | Self::BindingMalformed
            | Self::BindingMismatch
            | Self::NoReceiptKey
            | Self::ReceiptKeyUnbound => Stage::Keys,
            Self::MissingPcr { index } | Self::WrongPcr { index, .. } => Stage::Register(*index),
            Self::NoLongerAccepted { .. } => Stage::Until,
        }
    }

    /// Whether the bytes are no attestation document at all, rather than one that is not trusted.
    pub fn is_malformed(&self) -> bool {
        self.stage() == Stage::Shape
    }
}

/// Why a policy, or a root of one's own, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Too long to be a policy or a root.
    #[error("the file has {bytes} bytes; none is longer than {limit}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// [`crate::limits::POLICY`].
        limit: usize,
    },
    /// Not TOML, or a key that there is not, with the line.
    #[error("the policy cannot be read: {0}")]
    Toml(String),
    /// A version that this program does not know.
    #[error("the policy is of version {0}; this program reads version 1")]
    Version(u32),
    /// `root` is neither `amazon` nor a certificate.
    #[error("the root is neither \"amazon\" nor a certificate in PEM")]
    RootNotPem,
    /// More than one certificate.
    #[error("the root holds more than one certificate; pin one")]
    SeveralRoots,
    /// A certificate that cannot be a root.
    #[error("the root cannot be used: {0}")]
    UnusableRoot(#[source] Box<Error>),
    /// An age of zero, or beyond the lifetime of the certificates.
    #[error("max_age_seconds is {0}; 1 to 10800 are allowed, the lifetime of the signing certificate")]
    MaxAge(u64),
    /// A skew that hides a wrong clock.
    #[error("skew_seconds is {0}; 0 to 300 are allowed, and a clock that is further off needs mending")]
    Skew(u64),
    /// Nothing accepted, or too much.
    #[error("the policy has {0} [[accept]] entries where 1 to 64 are allowed")]
    Entries(usize),
    /// A label that is empty, too long, or used twice.
    #[error("the label {0:?} is empty, longer than 128 bytes or used twice")]
    Label(String),
    /// An `until` that is no date.
    #[error("entry {label:?}: until is not a date like 2027-01-01T00:00:00Z")]
    Until {
        /// The entry.
        label: String,
    },
    /// A key of `pcrs` that is no PCR.
    #[error("entry {label:?}: {key:?} is not a PCR; they are numbered 0 to 31")]
    PcrNumber {
        /// The entry.
        label: String,
        /// The key.
        key: String,
    },
    /// A value that is not 48 bytes in hex.
    #[error("entry {label:?}: PCR{index} is not 96 hexadecimal digits")]
    PcrValue {
        /// The entry.
        label: String,
        /// The PCR.
        index: u16,
    },
    /// An argument that is no PCR's value.
    #[error("{0:?} is not INDEX=HEX: a number from 0 to 31, and 96 hexadecimal digits")]
    PcrArgument(String),
    /// An entry that does not pin the image.
    #[error("entry {label:?} does not pin PCR{index}: 0, 1 and 2 together are the image")]
    Unpinned {
        /// The entry.
        label: String,
        /// The first of 0, 1, 2 that is absent.
        index: u16,
    },
    /// An entry that would accept debug mode.
    #[error("entry {label:?} pins PCR{index} to zero, which is debug mode and always refused")]
    DebugMode {
        /// The entry.
        label: String,
        /// The first of 0, 1, 2 that is zero.
        index: u16,
    },
}
