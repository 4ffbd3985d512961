//! What a key is made of: 256 bits for encryption, or a pair on P-384 for signatures.

use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use aws_lc_rs::digest::{Digest, SHA384};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::exception::Exception;

pub(super) const SYMMETRIC_DEFAULT: &str = "SYMMETRIC_DEFAULT";

/// The kinds of keys that the simulator has.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Spec {
    #[default]
    #[serde(rename = "SYMMETRIC_DEFAULT")]
    Symmetric,
    #[serde(rename = "ECC_NIST_P384")]
    Signing,
}

impl Spec {
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Symmetric, Self::Signing].into_iter().find(|spec| spec.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Symmetric => SYMMETRIC_DEFAULT,
            Self::Signing => "ECC_NIST_P384",
        }
    }

    pub(super) fn usage(self) -> &'static str {
        match self {
            Self::Symmetric => "ENCRYPT_DECRYPT",
            Self::Signing => "SIGN_VERIFY",
        }
    }

    /// The field that lists what the key can do, in what KMS says of a key.
    pub(super) fn algorithms(self) -> &'static str {
        match self {
            Self::Symmetric => "EncryptionAlgorithms",
            Self::Signing => "SigningAlgorithms",
        }
    }

    /// The one algorithm of its keys.
    pub(super) fn algorithm(self) -> &'static str {
        match self {
            Self::Symmetric => SYMMETRIC_DEFAULT,
            Self::Signing => "ECDSA_SHA_384",
        }
    }
}

/// A key's secret part.
pub(crate) enum Material {
    Symmetric([u8; 32]),
    Signing { pair: EcdsaKeyPair, pkcs8: Vec<u8> },
}

impl Material {
    pub(super) fn generate(spec: Spec) -> Result<Self, Exception> {
        match spec {
            Spec::Symmetric => {
                let mut key = [0; 32];
                rand::fill(&mut key).map_err(|_| Exception::internal())?;
                Ok(Self::Symmetric(key))
            }
            Spec::Signing => {
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &SystemRandom::new());
                let pkcs8 = pkcs8.map_err(|_| Exception::internal())?.as_ref().to_vec();
                Self::signing(pkcs8).ok_or_else(Exception::internal)
            }
        }
    }

    fn signing(pkcs8: Vec<u8>) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &pkcs8).ok()?;
        Some(Self::Signing { pair, pkcs8 })
    }

    pub(super) fn from_base64(spec: Spec, text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        match spec {
            Spec::Symmetric => bytes.try_into().ok().map(Self::Symmetric),
            Spec::Signing => Self::signing(bytes),
        }
    }

    pub(super) fn to_base64(&self) -> String {
        match self {
            Self::Symmetric(key) => BASE64.encode(key),
            Self::Signing { pkcs8, .. } => BASE64.encode(pkcs8),
        }
    }

    pub(super) fn spec(&self) -> Spec {
        match self {
            Self::Symmetric(_) => Spec::Symmetric,
            Self::Signing { .. } => Spec::Signing,
        }
    }

    pub(super) fn cipher(&self) -> Result<RandomizedNonceKey, Exception> {
        let Self::Symmetric(key) = self else { return Err(self.other_usage()) };
        RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| Exception::internal())
    }

    /// The public half, as SubjectPublicKeyInfo in DER.
    pub(super) fn public_key(&self, arn: &str) -> Result<Vec<u8>, Exception> {
        let Self::Signing { pair, .. } = self else {
            return Err(Exception::unsupported(format!("{arn} is a symmetric key, which has no public part")));
        };
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| Exception::internal())?;
        Ok(der.as_ref().to_vec())
    }

    /// Signs a SHA-384 digest; the signature is in DER.
    pub(super) fn sign(&self, digest: &[u8]) -> Result<Vec<u8>, Exception> {
        let Self::Signing { pair, .. } = self else { return Err(self.other_usage()) };
        let digest = Digest::import_less_safe(digest, &SHA384)
            .map_err(|_| Exception::validation("Digest is invalid length for algorithm ECDSA_SHA_384."))?;
        Ok(pair.sign_digest(&digest).map_err(|_| Exception::internal())?.as_ref().to_vec())
    }

    pub(super) fn other_usage(&self) -> Exception {
        let (spec, usage) = (self.spec().name(), self.spec().usage());
        Exception::new("InvalidKeyUsageException", format!("A key of spec {spec} is for {usage} only."))
    }
}
