//! The certificates of a document, from the pinned root to the leaf that signed it.
//!
//! webpki builds the path and checks its signatures; what webpki leaves alone is checked here: keyUsage, the root's own
//! validity and constraints, one curve throughout, and that the path is the bundle, in order, with nothing left over.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_SIG_ECDSA_WITH_SHA384, Oid};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::root::Root;

/// Bytes of an uncompressed point on P-384: 0x04, x, y.
const POINT: usize = 97;

/// anyExtendedKeyUsage, 2.5.29.37.0 (RFC 5280, section 4.2.1.12), the content of its DER.
///
/// AWS's certificates carry no extendedKeyUsage, and no purpose is registered for attestation. One that names purposes
/// was issued for something else, such as TLS: so only an absent extension, or "any", passes.
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

/// Which certificate of a document an error is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// The certificate of this index in `cabundle`, the root being 0.
    Bundle(usize),
    /// The leaf, `certificate`.
    Leaf,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle(0) => f.write_str("root certificate"),
            Self::Bundle(index) => write!(f, "CA certificate {index} below the root"),
            Self::Leaf => f.write_str("signing certificate"),
        }
    }
}

/// One certificate of a document, for showing to a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateSummary {
    /// Its subject's common name, empty when it has none.
    pub name: String,
    /// The first second at which it is valid.
    pub not_before: SystemTime,
    /// The last one.
    pub not_after: SystemTime,
    /// SHA-256 of its DER.
    pub fingerprint: [u8; 32],
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    fingerprint
}

pub(crate) fn summaries(document: &Document) -> Result<Vec<CertificateSummary>> {
    places(document).map(|(place, der)| Link::read(place, der)?.summary()).collect()
}

/// The last second at which the leaf is valid.
pub(crate) fn leaf_ends(document: &Document) -> Result<SystemTime> {
    Link::read(Place::Leaf, &document.certificate)?.time(|validity| validity.not_after)
}

/// Checks that `der` can be a root: a P-384 CA that signs certificates. Its validity is checked whenever it is used.
pub(crate) fn check_root(der: &[u8]) -> Result<()> {
    Link::read(Place::Bundle(0), der)?.check_issuer(0)
}

/// Proves that the document's leaf hangs from `root` at the time `at`, and returns the leaf's public key, a point on
/// P-384.
pub(crate) fn check(document: &Document, root: &Root, at: SystemTime) -> Result<Vec<u8>> {
    let [first, intermediates @ ..] = document.cabundle.as_slice() else {
        return Err(Error::BundleLength { certificates: 0 });
    };
    let (found, pinned) = (sha256(first), root.fingerprint());
    if found != pinned {
        return Err(Error::UnpinnedRoot { found, pinned });
    }
    let links = places(document).map(|(place, der)| Link::read(place, der)).collect::<Result<Vec<_>>>()?;
    check_links(&links, at)?;
    check_path(&document.certificate, intermediates, root, at)?;
    links.last().map(Link::point).ok_or(Error::BundleLength { certificates: 0 })
}

/// That every certificate was valid when the document says it was signed.
pub(crate) fn check_timestamp(document: &Document) -> Result<()> {
    let timestamp = document.timestamp;
    for (place, der) in places(document) {
        if Link::read(place, der)?.check_validity(timestamp).is_err() {
            return Err(Error::TimestampOutsideCertificate { place, timestamp });
        }
    }
    Ok(())
}

fn places(document: &Document) -> impl Iterator<Item = (Place, &[u8])> {
    let bundle = document.cabundle.iter().enumerate().map(|(index, der)| (Place::Bundle(index), der.as_slice()));
    bundle.chain([(Place::Leaf, document.certificate.as_slice())])
}

fn check_links(links: &[Link<'_>], at: SystemTime) -> Result<()> {
    let Some((leaf, issuers)) = links.split_last() else { return Err(Error::BundleLength { certificates: 0 }) };
    for (index, issuer) in issuers.iter().enumerate() {
        issuer.check_issuer(issuers.len() - 1 - index)?;
    }
    leaf.check_leaf()?;
    for pair in links.windows(2) {
        if let [above, below] = pair
            && above.certificate.subject().as_raw() != below.certificate.issuer().as_raw()
        {
            return Err(Error::BrokenChain { place: below.place });
        }
    }
    links.iter().try_for_each(|link| link.check_validity(at))
}

/// webpki's own judgement, independent of the checks above.
fn check_path(leaf: &[u8], intermediates: &[Vec<u8>], root: &Root, at: SystemTime) -> Result<()> {
    let refuse = |error: webpki::Error| Error::Path(error.to_string());
    let since_epoch = at.duration_since(UNIX_EPOCH).map_err(|_| Error::TimestampRange)?;
    let root = CertificateDer::from(root.der());
    let anchors = [webpki::anchor_from_trusted_cert(&root).map_err(refuse)?];
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).map_err(refuse)?;
    let intermediates: Vec<_> = intermediates.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let path = leaf
        .verify_for_usage(
            &[webpki::aws_lc_rs::ECDSA_P384_SHA384],
            &anchors,
            &intermediates,
            UnixTime::since_unix_epoch(since_epoch),
            KeyUsage::required_if_present(ANY_PURPOSE),
            None,
            None,
        )
        .map_err(refuse)?;
    let used = path.intermediate_certificates().rev().map(webpki::Cert::der);
    if used.eq(intermediates.iter().cloned()) {
        Ok(())
    } else {
        Err(Error::Path("the bundle holds a certificate that is not part of the path".into()))
    }
}

/// One certificate, read.
struct Link<'a> {
    place: Place,
    certificate: X509Certificate<'a>,
    der: &'a [u8],
}

impl<'a> Link<'a> {
    /// Reads a certificate and checks what holds for all: nothing after it, P-384 with SHA-384, no other purpose.
    fn read(place: Place, der: &'a [u8]) -> Result<Self> {
        let bad = Error::BadCertificate { place };
        let Ok((rest, certificate)) = X509Certificate::from_der(der) else { return Err(bad) };
        if !rest.is_empty() {
            return Err(bad);
        }
        let link = Self { place, certificate, der };
        let key = link.certificate.public_key();
        let curve = key.algorithm.parameters.as_ref().and_then(|parameters| Oid::try_from(parameters).ok());
        let p384 = key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
            && curve == Some(OID_NIST_EC_P384)
            && key.subject_public_key.data.len() == POINT
            && link.certificate.signature_algorithm.algorithm == OID_SIG_ECDSA_WITH_SHA384;
        if !p384 {
            return Err(Error::NotP384 { place });
        }
        let purposes = link.certificate.extended_key_usage().map_err(|_| Error::BadCertificate { place })?;
        if purposes.is_some_and(|purposes| !purposes.value.any) {
            return Err(Error::ExtendedKeyUsage { place });
        }
        Ok(link)
    }

    fn point(&self) -> Vec<u8> {
        self.certificate.public_key().subject_public_key.data.to_vec()
    }

    fn check_issuer(&self, cas_below: usize) -> Result<()> {
        let place = self.place;
        let constraints = self.certificate.basic_constraints().map_err(|_| Error::BadCertificate { place })?;
        let constraints = constraints.filter(|constraints| constraints.value.ca);
        let constraints = constraints.ok_or(Error::BasicConstraints { place })?;
        let found = u32::try_from(cas_below).unwrap_or(u32::MAX);
        match constraints.value.path_len_constraint {
            Some(allowed) if found > allowed => return Err(Error::PathLength { place, allowed, found }),
            _ => {}
        }
        let usage = self.certificate.key_usage().map_err(|_| Error::BadCertificate { place })?;
        if usage.is_some_and(|usage| usage.value.key_cert_sign()) { Ok(()) } else { Err(Error::KeyUsage { place }) }
    }

    fn check_leaf(&self) -> Result<()> {
        let place = self.place;
        let constraints = self.certificate.basic_constraints().map_err(|_| Error::BadCertificate { place })?;
        if constraints.is_none_or(|constraints| constraints.value.ca) {
            return Err(Error::BasicConstraints { place });
        }
        let usage = self.certificate.key_usage().map_err(|_| Error::BadCertificate { place })?;
        if usage.is_some_and(|usage| usage.value.digital_signature()) { Ok(()) } else { Err(Error::KeyUsage { place }) }
    }

    /// Both ends are part of the validity, in whole seconds (RFC 5280, section 4.1.2.5).
    fn check_validity(&self, at: SystemTime) -> Result<()> {
        let place = self.place;
        let (from, until) = (self.time(|v| v.not_before)?, self.time(|v| v.not_after)?);
        if at < from {
            return Err(Error::NotYetValid { place, from, at });
        }
        if at >= until + Duration::from_secs(1) {
            return Err(Error::Expired { place, until, at });
        }
        Ok(())
    }

    fn time(&self, which: impl Fn(&x509_parser::certificate::Validity) -> ASN1Time) -> Result<SystemTime> {
        let seconds = u64::try_from(which(self.certificate.validity()).timestamp()).ok();
        let time = seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        time.ok_or(Error::BadCertificate { place: self.place })
    }

    fn summary(&self) -> Result<CertificateSummary> {
        let name = self.certificate.subject().iter_common_name().next();
        Ok(CertificateSummary {
            name: name.and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned(),
            not_before: self.time(|v| v.not_before)?,
            not_after: self.time(|v| v.not_after)?,
            fingerprint: sha256(self.der),
        })
    }
}
