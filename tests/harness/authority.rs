//! A hospital's authority for its front ends, and the certificates that it gives them.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority for client certificates.
pub struct ClientAuthority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A client's certificate and its key, both in PEM.
#[derive(PartialEq, Eq)]
pub struct ClientPair {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Default for ClientAuthority {
    fn default() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "front ends");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }
}

impl ClientAuthority {
    /// Its certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate that is good today.
    pub fn issue(&self) -> ClientPair {
        let now = SystemTime::now();
        self.issue_for(now - DAY, now + DAY)
    }

    /// A certificate that was good until yesterday.
    pub fn issue_expired(&self) -> ClientPair {
        let now = SystemTime::now();
        self.issue_for(now - 2 * DAY, now - DAY)
    }

    fn issue_for(&self, from: SystemTime, to: SystemTime) -> ClientPair {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.not_before = from.into();
        params.not_after = to.into();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        ClientPair { certificate, key: key.serialize_pem() }
    }
}
