//! The keys that are made in the enclave and never leave it, and their rotation.

use std::sync::Arc;
use std::time::Duration;

use cloister_attest::Binding;
use cloister_nsm::Nsm;
use cloister_receipt::Receipt;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::NoClientAuth;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ServerConfig, version};
use tokio::sync::watch;

use crate::disclose::{Record, log};
use crate::receipts::{self, Signer};

/// Why the enclave's keys could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key or its certificate.
    #[error("the TLS key cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS with it.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The receipt key.
    #[error("the receipt key cannot be made: {0}")]
    Receipts(#[from] receipts::Error),
}

/// A TLS key and a receipt key of this process alone, and what attestation documents say of them. A connection has one identity from its
/// first byte to its last.
pub struct Identity {
    tls: Arc<ServerConfig>,
    receipts: Signer,
    binding: Binding,
}

impl Identity {
    /// Makes a P-384 key and a certificate signed by itself: clients hold the key against the attestation document, and read
    /// nothing else in it. `clients` judges their certificates, where any are asked for.
    ///
    /// # Errors
    /// When the key cannot be made or used.
    pub fn generate(clients: Option<Arc<dyn ClientCertVerifier>>) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let certificate = CertificateParams::new(vec!["enclave.invalid".to_owned()])?.self_signed(&key)?;
        let receipts = Signer::generate()?;
        let binding = Binding::of(&key.subject_public_key_info()).with_receipt(receipts.public_key_der());
        let private = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|_| rustls::Error::General("the private key is not PKCS #8".to_owned()))?;
        let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&version::TLS13])?
            .with_client_cert_verifier(clients.unwrap_or_else(|| Arc::new(NoClientAuth)))
            .with_single_cert(vec![certificate.der().clone()], private)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session would show the client no key to verify.
        tls.send_tls13_tickets = 0;
        Ok(Self { tls: Arc::new(tls), receipts, binding })
    }

    /// TLS 1.3 with this key.
    pub fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }

    /// The `user_data` of every document that speaks of these keys.
    pub fn user_data(&self) -> Vec<u8> {
        self.binding.encode()
    }

    /// Dates a receipt and signs it with this identity's key.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn sign(&self, nsm: &dyn Nsm, receipt: Receipt) -> Result<Vec<u8>, receipts::Error> {
        self.receipts.sign(nsm, &self.binding, receipt)
    }
}

/// The identity that new connections get, replaced on a schedule. Connections that there are keep theirs, so that nothing which was
/// verified about them changes.
pub struct Rotation {
    current: watch::Sender<Arc<Identity>>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Rotation {
    /// Makes the first identity.
    ///
    /// # Errors
    /// As [`Identity::generate`].
    pub fn begin(clients: Option<Arc<dyn ClientCertVerifier>>) -> Result<Self, Error> {
        let first = Arc::new(Identity::generate(clients.clone())?);
        Ok(Self { current: watch::Sender::new(first), clients })
    }

    /// The identity for a connection that begins now.
    pub fn current(&self) -> Arc<Identity> {
        Arc::clone(&self.current.borrow())
    }

    /// Replaces the identity after each `period`; never returns. Where no new one can be made, the old one serves on.
    pub async fn run(&self, period: Duration) {
        loop {
            tokio::time::sleep(period).await;
            match Identity::generate(self.clients.clone()) {
                Ok(next) => {
                    self.current.send_replace(Arc::new(next));
                }
                Err(_) => log(Record::KeysNotReplaced),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_keeps_its_keys_while_new_ones_get_others() {
        let keys = Rotation::begin(None).unwrap();
        let before = keys.current();
        let period = Duration::from_millis(200);
        assert!(tokio::time::timeout(period / 4, keys.run(period)).await.is_err());
        assert!(Arc::ptr_eq(&before, &keys.current()), "too early");
        assert!(tokio::time::timeout(period * 3, keys.run(period)).await.is_err());
        assert_ne!(before.user_data(), keys.current().user_data());
    }
}
