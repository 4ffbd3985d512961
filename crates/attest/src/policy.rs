//! Which enclaves to accept: measurements, age, nonce, and the keys that the document vouches for.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::binding::Binding;
use crate::document::Document;
use crate::error::{Error, PolicyError, Result};
use crate::limits;
use crate::root::Root;
use crate::verify::{self, IMAGE_PCRS, Verified};

/// A policy: a pinned root, a maximum age, and the measurements of which one must match. It has a file of its own in
/// TOML:
///
/// ```toml
/// version = 1
/// root = "amazon"            # or a certificate in PEM: a simulator's
/// max_age_seconds = 300      # the default; at most 10800
///
/// [[accept]]                 # any one of these
/// label = "release 1.0"
/// until = "2027-01-01T00:00:00Z"   # optional: refused from then on
/// [accept.pcrs]              # 0, 1 and 2 at least; each 96 hexadecimal digits
/// 0 = "…"
/// 1 = "…"
/// 2 = "…"
/// 16 = "…"                   # the model: SHA384(0^48 || digest of the package)
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    root: Root,
    max_age: Duration,
    accept: Vec<Measurement>,
}

/// One accepted enclave: the PCRs that it must have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Measurement {
    /// What a person calls it, up to [`limits::LABEL`] bytes, unique in its policy.
    pub label: String,
    /// From when on it is refused.
    pub until: Option<SystemTime>,
    /// The values by PCR number; 0, 1 and 2 at least.
    pub pcrs: BTreeMap<u16, [u8; limits::PCR]>,
}

/// What the verifier knows about the moment that a document is checked in.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The nonce that the document was asked for with. `None` leaves the nonce unchecked, so that freshness rests on
    /// the maximum age alone.
    pub nonce: Option<&'a [u8]>,
    /// The time that the document is verified for: the verifier's clock.
    pub at: SystemTime,
    /// The key of the TLS connection, as SubjectPublicKeyInfo in DER. `None` leaves `user_data` unchecked.
    pub tls_public_key: Option<&'a [u8]>,
}

/// That a policy accepted a document, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// The label of the entry that matched.
    pub label: String,
}

impl Policy {
    /// Makes a policy, with the checks that a file undergoes.
    pub fn new(root: Root, max_age: Duration, accept: Vec<Measurement>) -> std::result::Result<Self, PolicyError> {
        if !(Duration::from_secs(1)..=limits::MAX_AGE).contains(&max_age) {
            return Err(PolicyError::MaxAge(max_age.as_secs()));
        }
        if !(1..=limits::ACCEPTED).contains(&accept.len()) {
            return Err(PolicyError::Entries(accept.len()));
        }
        for (position, entry) in accept.iter().enumerate() {
            let twice = accept.iter().take(position).any(|other| other.label == entry.label);
            if twice || !(1..=limits::LABEL).contains(&entry.label.len()) {
                return Err(PolicyError::Label(entry.label.clone()));
            }
            entry.check()?;
        }
        Ok(Self { root, max_age, accept })
    }

    /// The pinned root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// How old a document may be.
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The accepted measurements, in the file's order.
    pub fn accept(&self) -> &[Measurement] {
        &self.accept
    }

    /// Verifies a document under the policy's root and checks it, both as of `expected.at`.
    pub fn verify(&self, document: &[u8], expected: &Expected<'_>) -> Result<(Verified, Accepted)> {
        let verified = verify::verify(document, &self.root, expected.at)?;
        let accepted = self.check(&verified, expected)?;
        Ok((verified, accepted))
    }

    /// Checks a verified document: root, age, nonce, TLS key, measurement.
    pub fn check(&self, verified: &Verified, expected: &Expected<'_>) -> Result<Accepted> {
        let (found, pinned) = (verified.root_fingerprint(), self.root.fingerprint());
        if found != pinned {
            return Err(Error::UnpinnedRoot { found, pinned });
        }
        self.check_age(verified, expected.at)?;
        if let Some(nonce) = expected.nonce {
            check_nonce(verified, nonce)?;
        }
        if let Some(key) = expected.tls_public_key {
            check_binding(verified, key)?;
        }
        self.check_measurement(verified, expected.at)
    }

    fn check_age(&self, document: &Document, at: SystemTime) -> Result<()> {
        verify::refuse_future(document, at)?;
        match at.duration_since(document.timestamp) {
            Ok(age) if age > self.max_age => Err(Error::StaleDocument { age, limit: self.max_age }),
            _ => Ok(()),
        }
    }

    fn check_measurement(&self, document: &Document, at: SystemTime) -> Result<Accepted> {
        let mut ended = None;
        for entry in self.accept.iter().filter(|entry| entry.differences(document) == 0) {
            match entry.until {
                Some(until) if at >= until => ended = Some((entry, until)),
                _ => return Ok(Accepted { label: entry.label.clone() }),
            }
        }
        if let Some((entry, until)) = ended {
            return Err(Error::NoLongerAccepted { label: entry.label.clone(), until });
        }
        // The entry that fits best is the one whose mismatch tells most.
        match self.accept.iter().min_by_key(|entry| entry.differences(document)) {
            Some(nearest) => nearest.check_against(document),
            None => Err(Error::MissingPcr { index: 0 }),
        }
    }
}

impl Measurement {
    fn check(&self) -> std::result::Result<(), PolicyError> {
        let label = || self.label.clone();
        if let Some(index) = self.pcrs.keys().find(|index| **index >= limits::PCRS) {
            return Err(PolicyError::PcrNumber { label: label(), key: index.to_string() });
        }
        for index in IMAGE_PCRS {
            match self.pcrs.get(&index) {
                None => return Err(PolicyError::Unpinned { label: label(), index }),
                Some(value) if *value == [0; limits::PCR] => {
                    return Err(PolicyError::DebugMode { label: label(), index });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn differences(&self, document: &Document) -> usize {
        let differs = |(index, value): &(&u16, &[u8; limits::PCR])| {
            document.pcrs.get(index).map(Vec::as_slice) != Some(value.as_slice())
        };
        self.pcrs.iter().filter(differs).count()
    }

    fn check_against(&self, document: &Document) -> Result<Accepted> {
        for (&index, expected) in &self.pcrs {
            let found = document.pcrs.get(&index).ok_or(Error::MissingPcr { index })?;
            if found.as_slice() != expected.as_slice() {
                return Err(Error::WrongPcr {
                    index,
                    expected: expected.to_vec(),
                    found: found.clone(),
                    label: self.label.clone(),
                });
            }
        }
        Ok(Accepted { label: self.label.clone() })
    }
}

fn check_nonce(document: &Document, expected: &[u8]) -> Result<()> {
    match &document.nonce {
        None => Err(Error::NonceMissing),
        Some(nonce) if nonce.as_slice() != expected => Err(Error::NonceMismatch),
        Some(_) => Ok(()),
    }
}

fn check_binding(document: &Document, tls_spki_der: &[u8]) -> Result<()> {
    let user_data = document.user_data.as_deref().ok_or(Error::BindingMissing)?;
    if Binding::decode(user_data)?.binds_tls(tls_spki_der) { Ok(()) } else { Err(Error::BindingMismatch) }
}
