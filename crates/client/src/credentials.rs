//! What a front end shows of itself, where an enclave's measured configuration says who may ask.

use std::sync::Arc;

use http::HeaderValue;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::limits;

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// No certificate, or none that can be read.
    #[error("the client certificate is not a PEM file with a certificate in it, the client's own first: {0}")]
    Certificate(String),
    /// No private key, or none that can be read.
    #[error("the client certificate's key is not a PEM file with a private key in it: {0}")]
    Key(String),
    /// The one does not belong to the other.
    #[error("the client certificate and its key cannot be used together: {0}")]
    Pair(rustls::Error),
    /// The token is not one of RFC 6750.
    #[error("the token is not 1 to {} letters, digits and -._~+/=", limits::MAX_TOKEN_BYTES)]
    Token,
}

/// What a front end shows of itself. Either is enough for an enclave that takes it.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Shown in the handshake, before anything is verified: whoever is there learns what the certificate says, and nothing that it
    /// could use elsewhere.
    pub certificate: Option<ClientCertificate>,
    /// Sent with requests to a verified enclave, and never before.
    pub token: Option<Token>,
}

/// A client's certificates and the key of the first.
#[derive(Clone)]
pub struct ClientCertificate(Arc<CertifiedKey>);

impl ClientCertificate {
    /// Reads a chain, the client's own certificate first, and its private key (PKCS #8, PKCS #1 or SEC 1), both in PEM.
    ///
    /// # Errors
    /// [`CredentialError`], when there is none or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CredentialError> {
        let unreadable = |error: rustls::pki_types::pem::Error| CredentialError::Certificate(error.to_string());
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        if chain.is_empty() {
            return Err(CredentialError::Certificate("there is none".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| CredentialError::Key(error.to_string()))?;
        let key = any_supported_type(&Zeroizing::new(key)).map_err(|error| CredentialError::Key(error.to_string()))?;
        let pair = CertifiedKey::new(chain, key);
        pair.keys_match().map_err(CredentialError::Pair)?;
        Ok(Self(Arc::new(pair)))
    }

    pub(crate) fn pair(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
    }
}

/// A bearer token.
#[derive(Clone)]
pub struct Token(Arc<Zeroizing<String>>);

impl Token {
    /// Takes a token as it stands in a file, white space around it left out.
    ///
    /// # Errors
    /// [`CredentialError::Token`], when it could not stand in a header.
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        let token = text.trim_ascii();
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if !(1..=limits::MAX_TOKEN_BYTES).contains(&token.len()) || !token.bytes().all(known) {
            return Err(CredentialError::Token);
        }
        Ok(Self(Arc::new(Zeroizing::new(token.to_owned()))))
    }

    /// The `Authorization` header (RFC 6750, section 2.1), which does not show in anything's Debug.
    pub(crate) fn header(&self) -> Result<HeaderValue, http::Error> {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_token_is_one_word_of_the_header_and_stays_out_of_its_debug() {
        let header = Token::parse(" a-._~+/9==\n").unwrap().header().unwrap();
        assert_eq!(header, "Bearer a-._~+/9==");
        assert!(!format!("{header:?}").contains("9=="));
        let long = "x".repeat(limits::MAX_TOKEN_BYTES + 1);
        for text in ["", "\n", "two words", "a\r\nX-Other: b", "schl\u{fc}ssel", &long] {
            assert!(matches!(Token::parse(text), Err(CredentialError::Token)), "{text:?}");
        }
    }

    #[test]
    fn a_certificate_and_its_key_belong_together() {
        let keys = [(); 2].map(|()| KeyPair::generate().unwrap());
        let certificate = CertificateParams::default().self_signed(&keys[0]).unwrap().pem();
        let read =
            |certificate: &str, key: &str| ClientCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).err();
        let (own, other) = (keys[0].serialize_pem(), keys[1].serialize_pem());
        assert!(read(&certificate, &own).is_none());
        assert!(matches!(read(&certificate, &other), Some(CredentialError::Pair(_))));
        assert!(matches!(read(&own, &certificate), Some(CredentialError::Certificate(_))), "the files exchanged");
        assert!(matches!(read(&certificate, &certificate), Some(CredentialError::Key(_))));
        assert!(matches!(read("", &own), Some(CredentialError::Certificate(_))));
    }
}
