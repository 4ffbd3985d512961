//! Files of an older public workflow, read only, so that their owner can seal them anew: the wrapped key's length as four bytes, most
//! significant first; the key as KMS wrapped it; and a Fernet token (the Fernet specification, version 0x80) under that key: a time, an IV,
//! AES-128-CBC, and HMAC-SHA256 over all of it.
//!
//! That format says nothing of the model or of the KMS key, binds no encryption context, and opens by ordinary credentials.

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use zeroize::Zeroizing;

use crate::{DataKey, limits};

const LENGTH: usize = 4;
const VERSION: u8 = 0x80;
/// Version and time, then the IV.
const IV_START: usize = 1 + 8;
const IV: usize = 16;
const TAG: usize = 32;
/// The half of the key that signs comes first.
const HALF: usize = DataKey::BYTES / 2;

/// Why a file of the older workflow cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OlderError {
    /// Not such a file.
    #[error("this is not a file of the older workflow: a length in four bytes, a wrapped key, and a Fernet token")]
    NotOlder,
    /// It ends early.
    #[error("the file is cut short")]
    Truncated,
    /// The key does not vouch for it.
    #[error("the file is not authentic: it was altered, or this is not its key")]
    NotAuthentic,
}

type Result<T> = std::result::Result<T, OlderError>;

/// A file as it was read; nothing of it is vouched for yet.
#[derive(Debug)]
pub struct Older<'a> {
    wrapped_key: &'a [u8],
    token: &'a [u8],
}

impl<'a> Older<'a> {
    /// Takes a file apart.
    ///
    /// # Errors
    /// [`OlderError::NotOlder`] or [`OlderError::Truncated`].
    pub fn read(file: &'a [u8]) -> Result<Self> {
        let (length, rest) = file.split_first_chunk::<LENGTH>().ok_or(OlderError::Truncated)?;
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > limits::WRAPPED_KEY {
            return Err(OlderError::NotOlder);
        }
        let (wrapped_key, token) = rest.split_at_checked(length).ok_or(OlderError::Truncated)?;
        // 0x80 and the first bytes of a time of this age, in base64.
        if !token.starts_with(b"gAAA") {
            return Err(OlderError::NotOlder);
        }
        Ok(Self { wrapped_key, token })
    }

    /// What KMS opens.
    pub fn wrapped_key(&self) -> &'a [u8] {
        self.wrapped_key
    }

    /// The content, once the key has vouched for all of it.
    ///
    /// # Errors
    /// [`OlderError::NotOlder`] for what is no token, [`OlderError::NotAuthentic`] for one that this key did not make.
    pub fn open(&self, key: &DataKey) -> Result<Zeroizing<Vec<u8>>> {
        let token = URL_SAFE.decode(self.token.trim_ascii_end()).map_err(|_| OlderError::NotOlder)?;
        let mut token = Zeroizing::new(token);
        let signed =
            token.len().checked_sub(TAG).filter(|signed| *signed >= IV_START + IV).ok_or(OlderError::Truncated)?;
        if token.first() != Some(&VERSION) {
            return Err(OlderError::NotOlder);
        }
        let (signing, encryption) = key.bytes().split_at(HALF);
        let (message, tag) = token.split_at(signed);
        let refused = |_| OlderError::NotAuthentic;
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, signing), message, tag).map_err(refused)?;
        let iv: [u8; IV] = message[IV_START..IV_START + IV].try_into().map_err(|_| OlderError::Truncated)?;
        let cipher = UnboundCipherKey::new(&AES_128, encryption).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
        let iv = DecryptionContext::Iv128(FixedLength::from(iv));
        let sealed = &mut token[IV_START + IV..signed];
        let opened = cipher.and_then(|cipher| cipher.decrypt(sealed, iv)).map_err(refused)?;
        Ok(Zeroizing::new(opened.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The Fernet specification's own vector (its file verify.json).
    const SECRET: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str =
        "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    fn key() -> DataKey {
        DataKey::from_slice(&URL_SAFE.decode(SECRET).unwrap()).unwrap()
    }

    fn file(token: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 3][..], b"abc", token].concat()
    }

    #[test]
    fn the_specifications_token_opens() {
        let file = file(TOKEN.as_bytes());
        let older = Older::read(&file).unwrap();
        assert_eq!(older.wrapped_key(), b"abc");
        assert_eq!(older.open(&key()).unwrap().as_slice(), b"hello");
    }

    #[test]
    fn another_key_and_each_changed_byte_are_refused() {
        let whole = URL_SAFE.decode(TOKEN).unwrap();
        let sealed = file(TOKEN.as_bytes());
        let other = DataKey::new([7; DataKey::BYTES]);
        assert!(matches!(Older::read(&sealed).unwrap().open(&other), Err(OlderError::NotAuthentic)));
        for place in 1..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            let changed = file(URL_SAFE.encode(changed).as_bytes());
            let opened = Older::read(&changed).and_then(|older| older.open(&key()));
            assert!(opened.is_err(), "byte {place}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for wrong in [&b""[..], b"\0\0\0", b"\0\0\0\0gAAA", b"\xff\xff\xff\xffgAAA", b"\0\0\0\x05abc", &file(b"hello")]
        {
            assert!(Older::read(wrong).is_err(), "{wrong:?}");
        }
        for token in ["gAAAAA==", "gAAA!", &TOKEN[..40]] {
            assert!(Older::read(&file(token.as_bytes())).and_then(|older| older.open(&key())).is_err(), "{token}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Older::read(&bytes).and_then(|older| older.open(&key())).is_err());
            prop_assert!(Older::read(&file(&[b"gAAA", &bytes[..]].concat())).and_then(|older| older.open(&key())).is_err());
        }
    }
}
