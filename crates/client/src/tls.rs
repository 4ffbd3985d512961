//! TLS whose peer is known by its key alone: the handshake's signature is checked, names and authorities are not.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, version};
use webpki::EndEntityCert;

use crate::{ClientCertificate, Error};

/// The name in the handshake. It identifies nothing, and every front end sends the same.
pub(crate) const SERVER_NAME: &str = "enclave.invalid";

/// Shows the client's certificate to a server that asks for one.
pub(crate) fn config(certificate: Option<&ClientCertificate>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(KeyOnly { provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match certificate {
        Some(certificate) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certificate.pair()))),
        None => builder.with_no_client_auth(),
    };
    // A resumed session shows no certificate of its own, and so no key to hold against the document.
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7), in DER, of the key that signed the handshake. The reader is the one that
/// the handshake's signature was checked with, so that both speak of the same key.
pub(crate) fn public_key(certificates: Option<&[CertificateDer<'_>]>) -> Result<Vec<u8>, Error> {
    let first = certificates.and_then(<[_]>::first).ok_or(Error::Certificate)?;
    let certificate = EndEntityCert::try_from(first).map_err(|_| Error::Certificate)?;
    Ok(certificate.subject_public_key_info().to_vec())
}

/// Takes any certificate, because the attestation document vouches for its key afterwards, but only from a peer that
/// proves possession of that key.
#[derive(Debug)]
struct KeyOnly {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for KeyOnly {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
