//! The root certificate that a verifier pins.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::chain;
use crate::error::PolicyError;
use crate::limits;

/// AWS's root, as published in <https://aws-nitro-enclaves.amazonaws.com/AWS_NitroEnclaves_Root-G1.zip>.
const AMAZON: &[u8] = include_bytes!("aws-nitro-root-g1.der");

/// How a policy file names AWS's root.
const AMAZON_NAME: &str = "amazon";

/// A root certificate, pinned: a document's bundle must start with exactly this one, compared by the SHA-256 of its
/// DER.
#[derive(Clone, Eq, PartialEq)]
pub struct Root {
    der: Cow<'static, [u8]>,
}

impl Root {
    /// The AWS Nitro Enclaves root G1, valid from 2019 to 2049.
    pub fn amazon() -> Self {
        Self { der: Cow::Borrowed(AMAZON) }
    }

    /// A root of one's own, from one `CERTIFICATE` block of PEM: a simulator's. It must be a P-384 CA certificate.
    pub fn from_pem(pem: &str) -> Result<Self, PolicyError> {
        if pem.len() > limits::POLICY {
            return Err(PolicyError::TooLarge { bytes: pem.len(), limit: limits::POLICY });
        }
        let mut blocks = CertificateDer::pem_slice_iter(pem.as_bytes());
        let der = match blocks.next() {
            Some(Ok(der)) => der,
            Some(Err(_)) | None => return Err(PolicyError::RootNotPem),
        };
        if blocks.next().is_some() {
            return Err(PolicyError::SeveralRoots);
        }
        chain::check_root(&der).map_err(|error| PolicyError::UnusableRoot(Box::new(error)))?;
        Ok(Self { der: Cow::Owned(der.to_vec()) })
    }

    /// A root as a policy file says it: `amazon`, or a certificate in PEM.
    pub fn from_text(text: &str) -> Result<Self, PolicyError> {
        match text {
            AMAZON_NAME => Ok(Self::amazon()),
            #[cfg(feature = "emulator")]
            crate::emulator::NAME => Ok(Self::emulator()),
            pem => Self::from_pem(pem),
        }
    }

    /// What [`Root::from_text`] reads: a name, or PEM.
    pub fn to_text(&self) -> Cow<'static, str> {
        if self.is_amazon() {
            return AMAZON_NAME.into();
        }
        #[cfg(feature = "emulator")]
        if self.is_emulator() {
            return crate::emulator::NAME.into();
        }
        self.to_pem().into()
    }

    /// What stands in a root's place where nobody signs.
    #[cfg(feature = "emulator")]
    pub(crate) fn of_nobody(name: &'static [u8]) -> Self {
        Self { der: Cow::Borrowed(name) }
    }

    /// The certificate as one PEM block.
    pub fn to_pem(&self) -> String {
        const LINE: usize = 64;
        let text = base64::engine::general_purpose::STANDARD.encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(LINE));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// SHA-256 of the certificate's DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        chain::sha256(&self.der)
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether this is AWS's root, so that what hangs from it is hardware and not a simulation.
    pub fn is_amazon(&self) -> bool {
        *self.der == *AMAZON
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({})", hex::encode(self.fingerprint()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_root_has_the_fingerprint_that_aws_publishes() {
        let published = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";
        assert_eq!(hex::encode(Root::amazon().fingerprint()), published);
    }

    #[test]
    fn a_root_survives_the_way_through_pem() {
        let root = Root::from_pem(&Root::amazon().to_pem()).unwrap();
        assert_eq!(root, Root::amazon());
        assert!(root.is_amazon());
    }

    #[test]
    fn pem_without_exactly_one_certificate_is_refused() {
        assert!(matches!(Root::from_pem("amazon"), Err(PolicyError::RootNotPem)));
        let twice = Root::amazon().to_pem().repeat(2);
        assert!(matches!(Root::from_pem(&twice), Err(PolicyError::SeveralRoots)));
        let noise = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(Root::from_pem(noise), Err(PolicyError::UnusableRoot(_))));
    }
}
