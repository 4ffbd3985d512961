//! The simulator's own certificate authority and the server certificate under it.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

/// The authority over the simulated services' TLS certificates: made anew, or as a state file keeps it.
///
/// It has no `Debug`: it holds a key, even if only a simulator's.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsAuthority {
    pub(crate) certificate_pem: String,
    key_pem: String,
}

/// Why certificates could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The X.509 side.
    #[error("the simulator's certificates cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS side.
    #[error("the simulator's certificates cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

impl TlsAuthority {
    /// Makes an authority.
    ///
    /// # Errors
    /// A [`CertificateError`] when its key or certificate cannot be made.
    pub fn make() -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Cloister simulated KMS: proves protocol, not confidentiality");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Self { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Its certificate, for clients to trust, in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A fresh certificate for `names`, host names or IP addresses, and its key, both in PEM: for a server that is not the simulator's.
    ///
    /// # Errors
    /// A [`CertificateError`] when a name cannot stand in a certificate.
    pub fn issue(&self, names: &[String]) -> Result<(String, String), CertificateError> {
        let (certificate, key) = self.certify(names)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn certify(&self, names: &[String]) -> Result<(Certificate, KeyPair), CertificateError> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, KeyPair::from_pem(&self.key_pem)?)?;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(names)?;
        let common_name = names.iter().find(|name| name.parse::<IpAddr>().is_err());
        params.distinguished_name.push(DnType::CommonName, common_name.map_or("localhost", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok((params.signed_by(&key, &issuer)?, key))
    }

    /// A TLS server's configuration with a fresh certificate for `names`.
    pub(crate) fn server(&self, names: &[String]) -> Result<ServerConfig, CertificateError> {
        let (certificate, key) = self.certify(names)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, private)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
