//! The certificate of the key that signs an image. Its DER is what PCR8 measures.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, Oid};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::error::{Error, Result};
use crate::limits;

/// Bytes of an uncompressed point on P-384: 0x04, x, y.
const POINT: usize = 97;
/// Base64 in PEM is broken after so many letters (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// A certificate with a key on P-384, the one curve whose signatures this crate makes and verifies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    der: Vec<u8>,
    subject: String,
    issuer: String,
    not_before: SystemTime,
    not_after: SystemTime,
    point: Vec<u8>,
}

impl Certificate {
    /// Reads the one certificate of a PEM file.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let refused = |reason| Error::Certificate(reason);
        if pem.len() > limits::PEM {
            return Err(refused("its file is too large"));
        }
        let mut certificates = CertificateDer::pem_slice_iter(pem);
        let der = certificates.next().and_then(Result::ok).ok_or(refused("there is none in PEM"))?;
        if certificates.next().is_some() {
            return Err(refused("there is more than one: give the signing one alone, without its issuers"));
        }
        Self::from_der(&der)
    }

    fn from_der(der: &[u8]) -> Result<Self> {
        let bad = || Error::Certificate("it is not an X.509 certificate");
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| bad())?;
        let key = certificate.public_key();
        let curve = key.algorithm.parameters.as_ref().and_then(|parameters| Oid::try_from(parameters).ok());
        let point = key.subject_public_key.data.as_ref();
        if !rest.is_empty() {
            return Err(bad());
        }
        if key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY
            || curve != Some(OID_NIST_EC_P384)
            || point.len() != POINT
        {
            return Err(Error::Certificate("its key is not on the curve P-384"));
        }
        let time = |time: ASN1Time| {
            let seconds = u64::try_from(time.timestamp()).ok();
            seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))).ok_or_else(bad)
        };
        Ok(Self {
            der: der.to_vec(),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: time(certificate.validity().not_before)?,
            not_after: time(certificate.validity().not_after)?,
            point: point.to_vec(),
        })
    }

    /// Its bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// In PEM, the form that an image holds.
    pub(crate) fn pem(&self) -> String {
        let base64 = BASE64.encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            let (line, behind) = rest.split_at(rest.len().min(PEM_LINE));
            pem.push_str(line);
            pem.push('\n');
            rest = behind;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// Whom it names. A stranger's text.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who signed it, by its own word. A stranger's text.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The first second at which it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// The last one.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Checks that it is valid at that time. An enclave does not start from an image whose certificate is not.
    ///
    /// # Errors
    /// [`Error::NotYetValid`], [`Error::Expired`].
    pub fn check_validity(&self, at: SystemTime) -> Result<()> {
        if at < self.not_before {
            return Err(Error::NotYetValid);
        }
        // Both ends are part of the validity, in whole seconds (RFC 5280, section 4.1.2.5).
        if at >= self.not_after + Duration::from_secs(1) { Err(Error::Expired) } else { Ok(()) }
    }

    /// Checks an ES384 signature, r and s, under its key.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &self.point).verify(message, signature).is_ok()
    }
}
