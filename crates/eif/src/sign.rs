//! The signature section: a COSE_Sign1 over PCR0 (RFC 9052, section 4.2), and the certificate of the key that made it.
//!
//! The section is AWS's: an array of one map with `signing_certificate` (PEM) and `signature`, both as arrays of numbers. Bytes that
//! would be written otherwise are refused, and none are given to coset, which follows nested headers without a bound.

use std::io;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use ciborium::Value;
use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder, iana};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::error::{Error, Result};
use crate::limits;
use crate::measure::sha384;

/// The section's one element.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    signing_certificate: Vec<u8>,
    signature: Vec<u8>,
}

/// What is signed: the number of a register, always 0, and its value.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Register {
    register_index: i32,
    register_value: Vec<u8>,
}

/// What a key is to sign: PCR0 of an image, under a certificate.
pub struct Statement {
    certificate: Certificate,
    cose: CoseSign1,
}

impl Statement {
    /// States that an image measures to this PCR0.
    ///
    /// # Errors
    /// [`Error::Encoding`].
    pub fn new(certificate: Certificate, pcr0: &[u8; limits::PCR]) -> Result<Self> {
        let register = Register { register_index: 0, register_value: pcr0.to_vec() };
        Ok(Self { certificate, cose: envelope(cbor(&register)?) })
    }

    /// The bytes that are signed.
    pub fn message(&self) -> Vec<u8> {
        self.cose.tbs_data(&[])
    }

    /// SHA-384 of them, for a key that signs digests.
    pub fn digest(&self) -> [u8; limits::PCR] {
        sha384(&self.message())
    }

    /// Takes the signature, as r and s of 48 bytes each, if it was made by the certificate's key.
    ///
    /// # Errors
    /// [`Error::OtherKey`].
    pub fn signed(self, signature: &[u8; limits::ECDSA]) -> Result<Signature> {
        if !self.certificate.verify(&self.message(), signature) {
            return Err(Error::OtherKey);
        }
        Ok(Signature { certificate: self.certificate, cose: CoseSign1 { signature: signature.to_vec(), ..self.cose } })
    }
}

/// A private key on P-384, from a file.
pub struct KeyFile(EcdsaKeyPair);

impl KeyFile {
    /// Reads a key in PEM, as PKCS #8 or SEC 1.
    ///
    /// # Errors
    /// [`Error::PrivateKey`].
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| Error::PrivateKey)?;
        EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, key.secret_der())
            .map(Self)
            .map_err(|_| Error::PrivateKey)
    }

    /// Signs a statement.
    ///
    /// # Errors
    /// [`Error::OtherKey`] when the statement's certificate is another key's.
    pub fn sign(&self, statement: Statement) -> Result<Signature> {
        let signature = self.0.sign(&SystemRandom::new(), &statement.message()).map_err(|_| Error::PrivateKey)?;
        let signature = signature.as_ref().try_into().map_err(|_| Error::PrivateKey)?;
        statement.signed(signature)
    }
}

/// A signature with its certificate. Read from an image, it proves nothing before [`Signature::verify`].
#[derive(Clone, Debug)]
pub struct Signature {
    certificate: Certificate,
    cose: CoseSign1,
}

impl Signature {
    /// The certificate that came with it. PCR8 says which one it is; nobody else vouches for it.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Checks that the certificate's key signed this PCR0. The certificate's validity is another question:
    /// [`Certificate::check_validity`].
    ///
    /// # Errors
    /// [`Error::SignedOther`], [`Error::BadSignature`].
    pub fn verify(&self, pcr0: &[u8; limits::PCR]) -> Result<()> {
        let stated = Statement::new(self.certificate.clone(), pcr0)?;
        if self.cose.payload != stated.cose.payload {
            return Err(Error::SignedOther);
        }
        if self.certificate.verify(&stated.message(), &self.cose.signature) { Ok(()) } else { Err(Error::BadSignature) }
    }

    /// The section's bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        section(self.certificate.pem().into_bytes(), self.cose.clone())
    }

    /// Reads the section.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > limits::SIGNATURE {
            return Err(Error::SignatureSection("it is too large"));
        }
        let Ok([signed]) = read::<[Signed; 1]>(bytes) else {
            return Err(Error::SignatureSection("it is not one certificate with one signature"));
        };
        let certificate = Certificate::from_pem(&signed.signing_certificate)?;
        let cose =
            read_envelope(&signed.signature).ok_or(Error::SignatureSection("its signature is not ES384 of PCR0"))?;
        if section(signed.signing_certificate, cose.clone())? != bytes {
            return Err(Error::SignatureSection("it is written otherwise than AWS's tools write it"));
        }
        Ok(Self { certificate, cose })
    }
}

/// A COSE_Sign1 whose protected header names ES384 and nothing else, still without a signature.
fn envelope(payload: Vec<u8>) -> CoseSign1 {
    let protected = HeaderBuilder::new().algorithm(iana::Algorithm::ES384).build();
    CoseSign1Builder::new().protected(protected).payload(payload).build()
}

fn read_envelope(bytes: &[u8]) -> Option<CoseSign1> {
    let [_, _, Value::Bytes(payload), Value::Bytes(signature)] = read::<[Value; 4]>(bytes).ok()? else { return None };
    let register: Register = read(&payload).ok()?;
    if register.register_index != 0 || register.register_value.len() != limits::PCR || signature.len() != limits::ECDSA
    {
        return None;
    }
    // Headers are compared rather than read: the caller writes the section again.
    Some(CoseSign1 { signature, ..envelope(payload) })
}

fn section(signing_certificate: Vec<u8>, cose: CoseSign1) -> Result<Vec<u8>> {
    let signature = cose.to_vec().map_err(|error| Error::Encoding(error.to_string()))?;
    cbor(&[Signed { signing_certificate, signature }])
}

fn cbor(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| Error::Encoding(error.to_string()))?;
    Ok(bytes)
}

fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, ciborium::de::Error<io::Error>> {
    ciborium::de::from_reader_with_recursion_limit(bytes, limits::CBOR_DEPTH)
}
