//! The data key.

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// An AES-256 key that seals one file. Wiped from memory when dropped; never shown.
///
/// Get a fresh one for each file, as KMS's GenerateDataKey does. The random part of the nonce makes two files under one
/// key survivable, not right.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; Self::BYTES]>);

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

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}
