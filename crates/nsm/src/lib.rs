//! The Nitro Security Module: the trait that the enclave speaks to, and the device behind it.
//!
//! What it is not: a verifier. An attestation document leaves here as bytes; `cloister-attest` reads and checks it.

mod device;
mod error;
pub mod limits;

use std::collections::BTreeSet;

pub use device::{DEVICE_PATH, Device};
pub use error::Error;

/// What a call to the module answers.
pub type Result<T> = std::result::Result<T, Error>;

/// The calls of a Nitro Security Module, as its `ioctl` offers them.
///
/// Calls block, for milliseconds on the device: an async caller uses a blocking thread.
pub trait Nsm: Send + Sync {
    /// The module's version, id, and which PCRs are locked.
    fn describe(&self) -> Result<Description>;

    /// The value of PCR `index` (0 to 31), and whether it is locked.
    fn describe_pcr(&self, index: u16) -> Result<Pcr>;

    /// Fresh entropy from the hypervisor: up to [`limits::RANDOM`] bytes a call, never none.
    fn get_random(&self) -> Result<Vec<u8>>;

    /// Replaces PCR `index` by `SHA384(old value || data)` and returns the new value (48 bytes).
    /// A locked PCR answers [`Error::ReadOnlyIndex`].
    fn extend(&self, index: u16, data: &[u8]) -> Result<Vec<u8>>;

    /// Locks PCR `index` until the enclave ends: only then does it appear in attestation documents.
    fn lock(&self, index: u16) -> Result<()>;

    /// Locks the PCRs `0..count`; those that are locked already stay so.
    fn lock_range(&self, count: u16) -> Result<()>;

    /// A signed attestation document (COSE_Sign1 bytes) over the locked PCRs and what the request carries.
    fn attest(&self, request: &AttestRequest) -> Result<Vec<u8>>;
}

/// What an attestation document shall carry besides the PCRs. All three are optional and the caller's own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AttestRequest {
    /// A public key for whoever answers to encrypt to, for AWS KMS an RSA SubjectPublicKeyInfo in DER. Up to
    /// [`limits::PUBLIC_KEY`] bytes.
    pub public_key: Option<Vec<u8>>,
    /// Anything else to be vouched for. Up to [`limits::USER_DATA`] bytes.
    pub user_data: Option<Vec<u8>>,
    /// The verifier's nonce. Up to [`limits::NONCE`] bytes.
    pub nonce: Option<Vec<u8>>,
}

/// One platform configuration register.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pcr {
    /// Whether it can no longer be extended.
    pub locked: bool,
    /// Its value: a SHA-384 digest of 48 bytes, all zero when nothing was measured into it.
    pub value: Vec<u8>,
}

/// What the module says about itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Description {
    /// Version of its interface: major, minor, patch. Only a change of the first one breaks callers.
    pub version: (u16, u16, u16),
    /// Its name, `i-<instance>-enc<enclave>` on AWS.
    pub module_id: String,
    /// How many PCRs it has.
    pub max_pcrs: u16,
    /// The PCRs that are locked.
    pub locked_pcrs: BTreeSet<u16>,
    /// The hash of its PCRs: `SHA384` on every module so far.
    pub digest: Digest,
}

/// A module's hash function.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Digest {
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}
