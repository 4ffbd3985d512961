//! The data key.

use aws_lc_rs::aead::{AES_256_GCM, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA384, KeyType, Salt};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::limits;

/// What a result's key is for, as HKDF's `info` (RFC 5869, section 2.3).
const RESULT_INFO: &[u8] = b"cloister sealed result, version 1";

/// An AES-256 key that seals one model or image, and under keys derived from it any number of results of that image. Wiped from memory
/// when dropped; never shown.
///
/// Get a fresh one for each model and each image, as KMS's GenerateDataKey does. The random part of the nonce makes two such files under
/// one key survivable, not right.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; Self::BYTES]>);

/// As long as a key.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        DataKey::BYTES
    }
}

impl DataKey {
    /// Bytes of a key.
    pub const BYTES: usize = 32;

    /// Takes a key.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Takes a key from a slice, which must have 32 bytes. The caller wipes the slice.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let mut key = Zeroizing::new([0; Self::BYTES]);
        if bytes.len() != Self::BYTES {
            return Err(Error::KeyLength(bytes.len()));
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The key of one file: this one, or where the file has a salt, one of its own.
    pub(crate) fn of_file(&self, salt: Option<&[u8; limits::SALT]>) -> Result<UnboundKey> {
        let Some(salt) = salt else {
            return UnboundKey::new(&AES_256_GCM, self.0.as_slice()).map_err(|_| Error::Crypto);
        };
        let extracted = Salt::new(HKDF_SHA384, salt).extract(self.0.as_slice());
        // By hand, because the library's own way leaves a copy of the key behind.
        let mut key = Zeroizing::new([0; Self::BYTES]);
        let expanded = extracted.expand(&[RESULT_INFO], Length);
        expanded.and_then(|okm| okm.fill(key.as_mut_slice())).map_err(|_| Error::Crypto)?;
        UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| Error::Crypto)
    }
}
