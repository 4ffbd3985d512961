//! The key that signs receipts, and the public keys that they are verified under.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};

use crate::error::{Error, Result};
use crate::limits;

/// What stands before the 97 bytes of an uncompressed point in a SubjectPublicKeyInfo: id-ecPublicKey on secp384r1 (RFC 5480).
const SPKI_HEAD: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00,
];

/// Bytes of an uncompressed point on P-384: 0x04, x, y.
const POINT: usize = 97;

/// A P-384 key that signs receipts. It is made in this process, never leaves it, and is never shown.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    public_key_der: Vec<u8>,
}

impl SigningKey {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// [`Error::Crypto`].
    pub fn generate() -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(|_| Error::Crypto)?;
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| Error::Crypto)?;
        let public_key_der = der.as_ref().to_vec();
        Ok(Self { pair, public_key_der })
    }

    /// The public key as SubjectPublicKeyInfo in DER, 120 bytes: what an attestation document vouches for.
    pub fn public_key_der(&self) -> &[u8] {
        &self.public_key_der
    }

    /// ES384: r and s, 48 bytes each.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| Error::Crypto)?;
        if signature.as_ref().len() == limits::SIGNATURE { Ok(signature.as_ref().to_vec()) } else { Err(Error::Crypto) }
    }
}

/// Checks an ES384 signature under a key in the one form that [`SigningKey::public_key_der`] has.
pub(crate) fn verify(public_key_der: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    let point = public_key_der.strip_prefix(&SPKI_HEAD).filter(|point| point.len() == POINT);
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point.ok_or(Error::PublicKey)?)
        .verify(message, signature)
        .map_err(|_| Error::BadSignature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_has_the_form_that_is_verified_under() {
        let key = SigningKey::generate().unwrap();
        assert_eq!(key.public_key_der().len(), 120);
        assert_eq!(verify(key.public_key_der(), b"it", &key.sign(b"it").unwrap()), Ok(()));
    }

    #[test]
    fn a_key_of_another_form_is_refused() {
        let key = SigningKey::generate().unwrap();
        let (der, signature) = (key.public_key_der(), key.sign(b"it").unwrap());
        let longer = [der, &[0]].concat();
        for other in [&[][..], &der[SPKI_HEAD.len()..], &der[..119], &longer, &[0; 120]] {
            assert_eq!(verify(other, b"it", &signature), Err(Error::PublicKey));
        }
    }

    #[test]
    fn a_point_beside_the_curve_verifies_nothing() {
        let key = SigningKey::generate().unwrap();
        let mut der = key.public_key_der().to_vec();
        der[119] ^= 1;
        assert_eq!(verify(&der, b"it", &key.sign(b"it").unwrap()), Err(Error::BadSignature));
    }
}
