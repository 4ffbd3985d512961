//! The keys that are made in the enclave and never leave it.

use std::sync::Arc;

use cloister_attest::Binding;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, version};

/// Why the enclave's keys could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key or its certificate.
    #[error("the TLS key cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS with it.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A TLS key of this process alone, and what attestation documents say of it.
pub struct Identity {
    tls: Arc<ServerConfig>,
    user_data: Vec<u8>,
}

impl Identity {
    /// Makes a P-384 key and a certificate signed by itself: clients hold the key against the attestation document, and read
    /// nothing else in it.
    ///
    /// # Errors
    /// When the key cannot be made or used.
    pub fn generate() -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let certificate = CertificateParams::new(vec!["enclave.invalid".to_owned()])?.self_signed(&key)?;
        let user_data = Binding::of(&key.subject_public_key_info()).encode();
        let private = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|_| rustls::Error::General("the private key is not PKCS #8".to_owned()))?;
        let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session would show the client no key to verify.
        tls.send_tls13_tickets = 0;
        Ok(Self { tls: Arc::new(tls), user_data })
    }

    /// TLS 1.3 with this key.
    pub fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }

    /// The `user_data` of every document that speaks of this key.
    pub fn user_data(&self) -> &[u8] {
        &self.user_data
    }
}
