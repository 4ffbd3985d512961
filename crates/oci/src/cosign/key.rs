//! Keys: whose signatures are believed, and who makes them.

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, SHA384, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};

use crate::error::{Error, Result, Source};
use crate::limits;

/// A curve and a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// What cosign makes and expects if not told otherwise.
    P256Sha256,
    /// What cosign makes with a P-384 key from a file, and expects of one.
    P384Sha256,
    /// What KMS makes with a P-384 key.
    P384Sha384,
}

/// What a key is to sign.
#[derive(Clone, Debug)]
pub struct Statement {
    message: Vec<u8>,
    scheme: Scheme,
}

impl Statement {
    pub(super) fn new(message: Vec<u8>, scheme: Scheme) -> Self {
        Self { message, scheme }
    }

    /// The bytes.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Their hash, of 32 or 48 bytes, for a key that signs digests (KMS: `MessageType` `DIGEST`).
    pub fn digest(&self) -> Vec<u8> {
        let hash = match self.scheme {
            Scheme::P256Sha256 | Scheme::P384Sha256 => &SHA256,
            Scheme::P384Sha384 => &SHA384,
        };
        digest(hash, &self.message).as_ref().to_vec()
    }
}

/// Who holds a private key.
#[async_trait]
pub trait Signer: Send + Sync {
    /// How it signs.
    fn scheme(&self) -> Scheme;

    /// The key that verifies.
    fn public_key(&self) -> &PublicKey;

    /// The signature, in DER as KMS gives it.
    async fn sign(&self, statement: &Statement) -> Result<Vec<u8>, Source>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
}

/// A public key on P-256 or P-384.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    curve: Curve,
    /// Uncompressed.
    point: Vec<u8>,
}

/// What stands before the point in a SubjectPublicKeyInfo (RFC 5480): everything else about the key is its curve.
const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P384_PREFIX: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00,
];

impl PublicKey {
    /// Reads a key in PEM (`BEGIN PUBLIC KEY`), as `cosign.pub` is and as openssl writes it.
    ///
    /// # Errors
    /// [`Error::BadKey`].
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let bad = |problem| Error::BadKey { what: "public", problem };
        if pem.len() > limits::PEM {
            return Err(bad("it is longer than 16 KiB"));
        }
        let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| bad("it is no PUBLIC KEY in PEM"))?;
        Self::from_der(&key)
    }

    /// Reads a key in DER, as KMS gives it.
    ///
    /// # Errors
    /// [`Error::BadKey`].
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let (curve, point) = match (der.strip_prefix(P256_PREFIX), der.strip_prefix(P384_PREFIX)) {
            (Some(point), _) if point.len() == 65 => (Curve::P256, point),
            (_, Some(point)) if point.len() == 97 => (Curve::P384, point),
            _ => return Err(Error::BadKey { what: "public", problem: "it is not a point on P-256 or P-384" }),
        };
        Self::of(curve, point)
    }

    fn of(curve: Curve, point: &[u8]) -> Result<Self> {
        let algorithm = match curve {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1,
            Curve::P384 => &ECDSA_P384_SHA384_ASN1,
        };
        aws_lc_rs::signature::ParsedPublicKey::new(algorithm, point)
            .map_err(|_| Error::BadKey { what: "public", problem: "its point is not on its curve" })?;
        Ok(Self { curve, point: point.to_vec() })
    }

    /// The scheme in which the signature, in DER, is this key's over the message.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Option<Scheme> {
        let schemes = match self.curve {
            Curve::P256 => &[Scheme::P256Sha256][..],
            Curve::P384 => &[Scheme::P384Sha384, Scheme::P384Sha256],
        };
        let verifies = |scheme: &&Scheme| {
            let algorithm = match scheme {
                Scheme::P256Sha256 => &ECDSA_P256_SHA256_ASN1,
                Scheme::P384Sha256 => &ECDSA_P384_SHA256_ASN1,
                Scheme::P384Sha384 => &ECDSA_P384_SHA384_ASN1,
            };
            UnparsedPublicKey::new(algorithm, &self.point).verify(message, signature).is_ok()
        };
        schemes.iter().find(verifies).copied()
    }
}

/// A private key from a file. On P-256 it signs over SHA-256, on P-384 over SHA-384.
pub struct KeyFile {
    key: EcdsaKeyPair,
    public: PublicKey,
    scheme: Scheme,
}

impl KeyFile {
    /// Reads a key in PEM, as PKCS #8 or SEC 1. cosign's own encrypted keys are refused.
    ///
    /// # Errors
    /// [`Error::BadKey`].
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let bad = |problem| Error::BadKey { what: "private", problem };
        if pem.len() > limits::PEM {
            return Err(bad("it is longer than 16 KiB"));
        }
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| bad("it is no PRIVATE KEY in PEM, or encrypted"))?;
        let known = [
            (&ECDSA_P256_SHA256_ASN1_SIGNING, Curve::P256, Scheme::P256Sha256),
            (&ECDSA_P384_SHA384_ASN1_SIGNING, Curve::P384, Scheme::P384Sha384),
        ];
        for (algorithm, curve, scheme) in known {
            if let Ok(key) = EcdsaKeyPair::from_private_key_der(algorithm, der.secret_der()) {
                let public = PublicKey::of(curve, key.public_key().as_ref())?;
                return Ok(Self { key, public, scheme });
            }
        }
        Err(bad("it is not on P-256 or P-384"))
    }
}

#[async_trait]
impl Signer for KeyFile {
    fn scheme(&self) -> Scheme {
        self.scheme
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    async fn sign(&self, statement: &Statement) -> Result<Vec<u8>, Source> {
        let signature = self.key.sign(&SystemRandom::new(), statement.message());
        Ok(signature.map_err(|_| "the key does not sign")?.as_ref().to_vec())
    }
}
