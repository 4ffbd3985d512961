//! The authorities of client certificates: what TLS asks a client for, and what its certificate is worth once it asks for something.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use serde::Deserialize;
use webpki::EndEntityCert;

use crate::limits;

/// Why a text names no authorities.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not PEM (RFC 7468).
    #[error("the authorities are not PEM: {0}")]
    Pem(String),
    /// A key, most likely the authority's own, which has no place in an image.
    #[error("the authorities hold something else than certificates; a private key does not belong into an image")]
    NotCertificates,
    /// A certificate that cannot be read.
    #[error("an authority's certificate cannot be read: {0}")]
    Certificate(#[from] rustls::Error),
    /// No certificate at all.
    #[error("there is no authority, so no client certificate could ever be taken")]
    Empty,
}

/// Why a client's certificate says nothing of who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Its time is over.
    #[error("has expired")]
    Expired,
    /// Its time has not begun.
    #[error("is not valid yet")]
    NotYetValid,
    /// None of the authorities signed it, or what it stands under.
    #[error("is of no authority that this enclave's configuration names")]
    OtherAuthority,
    /// It is a server's, for example (RFC 5280, section 4.2.1.12).
    #[error("is not for clients")]
    OtherPurpose,
    /// Anything else.
    #[error("cannot be used")]
    Unusable,
}

/// The authorities that the measured configuration names.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Authorities(Arc<dyn ClientCertVerifier>);

impl TryFrom<String> for Authorities {
    type Error = Error;

    fn try_from(pem: String) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
            match section.map_err(|error| Error::Pem(error.to_string()))? {
                (SectionKind::Certificate, der) => roots.add(CertificateDer::from(der))?,
                _ => return Err(Error::NotCertificates),
            }
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
            .build()
            .map(Self)
            .map_err(|_| Error::Empty)
    }
}

impl Authorities {
    /// What TLS asks of a client: any certificate, or none, and proof that it holds the certificate's key. A handshake that failed
    /// over a certificate would keep its client from verifying the enclave, and from reading why it is refused.
    pub fn handshake(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Possession(Arc::clone(&self.0)))
    }

    /// Whose certificate a handshake showed, at the time `now`: the SHA-256 of its SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7),
    /// so that a client whose certificate is renewed stays the same.
    ///
    /// # Errors
    /// [`Distrust`], when the certificate says nothing.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<[u8; 32], Distrust> {
        if chain.len() > limits::MAX_CLIENT_CERTIFICATES {
            return Err(Distrust::Unusable);
        }
        let (own, others) = chain.split_first().ok_or(Distrust::Unusable)?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| Distrust::Unusable)?;
        self.0.verify_client_cert(own, others, UnixTime::since_unix_epoch(since)).map_err(|error| distrust(&error))?;
        let certificate = EndEntityCert::try_from(own).map_err(|_| Distrust::Unusable)?;
        let key = digest(&SHA256, &certificate.subject_public_key_info());
        key.as_ref().try_into().map_err(|_| Distrust::Unusable)
    }
}

fn distrust(error: &rustls::Error) -> Distrust {
    let rustls::Error::InvalidCertificate(error) = error else { return Distrust::Unusable };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrust::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Distrust::NotYetValid,
        // A foreign authority may have the name of a true one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::OtherAuthority,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Distrust::OtherPurpose,
        _ => Distrust::Unusable,
    }
}

/// Takes each certificate whose key its client proves to hold, and leaves to [`Authorities::judge`] what it is worth.
#[derive(Debug)]
struct Possession(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    struct Authority {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    fn authority() -> Authority {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "The hospital's front ends");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    impl Authority {
        fn issue(&self, key: &KeyPair, purpose: ExtendedKeyUsagePurpose) -> CertificateDer<'static> {
            let mut params = CertificateParams::default();
            params.not_before = (SystemTime::now() - DAY).into();
            params.not_after = (SystemTime::now() + DAY).into();
            params.extended_key_usages = vec![purpose];
            params.signed_by(key, &self.issuer).unwrap().der().clone()
        }
    }

    fn parsed(pem: &str) -> Result<Authorities, Error> {
        pem.to_owned().try_into()
    }

    #[test]
    fn a_text_without_certificates_names_no_authorities() {
        assert!(matches!(parsed(""), Err(Error::Empty)));
        assert!(matches!(parsed("no PEM at all"), Err(Error::Empty)));
        let pem = authority().pem;
        assert!(matches!(parsed(&pem[..pem.len() / 2]), Err(Error::Pem(_))));
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(parsed(garbage), Err(Error::Certificate(_))));
        assert!(parsed(&pem.repeat(2)).is_ok());
    }

    #[test]
    fn an_authority_s_private_key_is_kept_out_of_the_image() {
        let authority = authority();
        let both = authority.pem.clone() + &authority.issuer.key().serialize_pem();
        assert!(matches!(parsed(&both), Err(Error::NotCertificates)));
    }

    #[test]
    fn a_client_is_known_by_its_key_whatever_certificate_it_has_at_the_time() {
        let authority = authority();
        let authorities = parsed(&authority.pem).unwrap();
        let keys = [(); 2].map(|()| KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap());
        let judged = |key| {
            let certificate = authority.issue(key, ExtendedKeyUsagePurpose::ClientAuth);
            authorities.judge(&[certificate], SystemTime::now()).unwrap()
        };
        assert_eq!(judged(&keys[0]), judged(&keys[0]));
        assert_ne!(judged(&keys[0]), judged(&keys[1]));
    }

    #[test]
    fn a_certificate_out_of_its_time_of_another_authority_or_for_servers_says_nothing() {
        let (authority, foreign) = (authority(), authority());
        let authorities = parsed(&authority.pem).unwrap();
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let now = SystemTime::now();
        let own = [authority.issue(&key, ExtendedKeyUsagePurpose::ClientAuth)];
        assert_eq!(authorities.judge(&own, now + 2 * DAY), Err(Distrust::Expired));
        assert_eq!(authorities.judge(&own, now - 2 * DAY), Err(Distrust::NotYetValid));
        let servers = authority.issue(&key, ExtendedKeyUsagePurpose::ServerAuth);
        assert_eq!(authorities.judge(&[servers], now), Err(Distrust::OtherPurpose));
        // Another authority under the same name.
        let foreign = foreign.issue(&key, ExtendedKeyUsagePurpose::ClientAuth);
        assert_eq!(authorities.judge(&[foreign], now), Err(Distrust::OtherAuthority));
        assert_eq!(authorities.judge(&[CertificateDer::from(vec![0x30])], now), Err(Distrust::Unusable));
        assert_eq!(authorities.judge(&[], now), Err(Distrust::Unusable));
        // The right one, before more than anybody needs.
        let many = vec![own[0].clone(); limits::MAX_CLIENT_CERTIFICATES + 1];
        assert!(authorities.judge(&many[..limits::MAX_CLIENT_CERTIFICATES], now).is_ok());
        assert_eq!(authorities.judge(&many, now), Err(Distrust::Unusable));
    }
}
