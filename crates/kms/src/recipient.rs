//! The RSA key pair that KMS answers to.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use zeroize::Zeroizing;

use crate::limits::{KEY_BYTES, RSA_BYTES};

/// An RSA-2048 key pair made for one key release: its public half goes into the attestation document, and KMS wraps its answer
/// to it (`RSAES_OAEP_SHA_256`).
///
/// The private half never leaves this type, which has no `Debug`; AWS-LC wipes it when it is dropped.
pub struct RecipientKey {
    private: OaepPrivateDecryptingKey,
    spki_der: Vec<u8>,
}

impl RecipientKey {
    /// Makes a fresh key pair from the process's random source.
    ///
    /// # Errors
    /// [`KeyGenerationFailed`] when AWS-LC cannot make one.
    pub fn generate() -> Result<Self, KeyGenerationFailed> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| KeyGenerationFailed)?;
        let spki_der = private.public_key().as_der().map_err(|_| KeyGenerationFailed)?.as_ref().to_vec();
        let private = OaepPrivateDecryptingKey::new(private).map_err(|_| KeyGenerationFailed)?;
        Ok(Self { private, spki_der })
    }

    /// The public key as SubjectPublicKeyInfo in DER (RFC 5280, 4.1.2.7): what the document's `public_key` holds.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// Unwraps an AES-256 key (RSAES-OAEP with SHA-256, MGF1 with SHA-256 and an empty label). None when it does not unwrap to
    /// exactly 32 bytes: the reasons are not told apart, so that nothing can be learnt from which it was.
    pub(crate) fn unwrap_key(&self, wrapped: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
        let mut buffer = Zeroizing::new([0; RSA_BYTES]);
        let unwrapped = self.private.decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, buffer.as_mut_slice(), None).ok()?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if unwrapped.len() != KEY_BYTES {
            return None;
        }
        key.copy_from_slice(unwrapped);
        Some(key)
    }
}

/// AWS-LC could not make an RSA key pair.
#[derive(Debug, thiserror::Error)]
#[error("no RSA key pair could be made: AWS-LC refused, which it does when the system has no entropy")]
pub struct KeyGenerationFailed;
