//! Which enclaves to accept: measurements, age, nonce, and the keys that the document vouches for.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::document::Document;
use crate::error::{Error, PolicyError, Result};
use crate::limits;
use crate::root::Root;
use crate::verify::{self, IMAGE_PCRS, Verified};

/// A policy: a pinned root, a maximum age, a skew, and the measurements of which one must match. It has a file of its
/// own in TOML:
///
/// ```toml
/// version = 1
/// root = "amazon"            # or a certificate in PEM: a simulator's
/// max_age_seconds = 300      # the default; at most 10800
/// skew_seconds = 60          # the default; at most 300: how far the verifier's clock may be behind
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
    skew: Duration,
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
    /// Makes a policy of the default skew, with the checks that a file undergoes.
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
        Ok(Self { root, max_age, skew: limits::CLOCK_SKEW, accept })
    }

    /// The same policy with another skew, at most [`limits::MAX_SKEW`].
    pub fn with_skew(self, skew: Duration) -> std::result::Result<Self, PolicyError> {
        if skew > limits::MAX_SKEW { Err(PolicyError::Skew(skew.as_secs())) } else { Ok(Self { skew, ..self }) }
    }

    /// The pinned root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// How old a document may be.
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// How far a document may be dated after the verifier's clock.
    pub fn skew(&self) -> Duration {
        self.skew
    }

    /// The accepted measurements, in the file's order.
    pub fn accept(&self) -> &[Measurement] {
        &self.accept
    }

    /// Verifies a document under the policy's root and checks it, both as of `expected.at`.
    pub fn verify(&self, document: &[u8], expected: &Expected<'_>) -> Result<(Verified, Accepted)> {
        let verified = verify::verify_within(document, &self.root, expected.at, self.skew)?;
        let accepted = self.check(&verified, expected)?;
        Ok((verified, accepted))
    }

    /// Verifies a document that was kept with something that it vouches for, such as a receipt, as of that thing's own
    /// time `at`: certificates, age and an entry's `until` are judged by `at`, and today's date plays no part.
    ///
    /// Skew and maximum age are about a verifier's clock, which has no part in this: the document may be dated no later
    /// than `at`, since it was there when the thing was made, and may be as old as [`limits::MAX_AGE`]. Nonce and TLS key
    /// are not looked at.
    pub fn verify_kept(&self, document: &[u8], at: SystemTime) -> Result<(Verified, Accepted)> {
        let verified = verify::verify_within(document, &self.root, at, Duration::ZERO)?;
        refuse_stale(&verified, at, limits::MAX_AGE)?;
        let accepted = self.check_measurement(&verified, at)?;
        Ok((verified, accepted))
    }

    /// Checks a verified document: root, age, nonce, TLS key, measurement.
    pub fn check(&self, verified: &Verified, expected: &Expected<'_>) -> Result<Accepted> {
        let (found, pinned) = (verified.root_fingerprint(), self.root.fingerprint());
        if found != pinned {
            return Err(Error::UnpinnedRoot { found, pinned });
        }
        verify::refuse_future(verified, expected.at, self.skew)?;
        refuse_stale(verified, expected.at, self.max_age)?;
        if let Some(nonce) = expected.nonce {
            check_nonce(verified, nonce)?;
        }
        if let Some(key) = expected.tls_public_key {
            check_tls_key(verified, key)?;
        }
        self.check_measurement(verified, expected.at)
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

fn refuse_stale(document: &Document, at: SystemTime, limit: Duration) -> Result<()> {
    match at.duration_since(document.timestamp) {
        Ok(age) if age > limit => Err(Error::StaleDocument { age, limit }),
        _ => Ok(()),
    }
}

fn check_nonce(document: &Document, expected: &[u8]) -> Result<()> {
    match &document.nonce {
        None => Err(Error::NonceMissing),
        Some(nonce) if nonce.as_slice() != expected => Err(Error::NonceMismatch),
        Some(_) => Ok(()),
    }
}

fn check_tls_key(verified: &Verified, spki_der: &[u8]) -> Result<()> {
    if verified.binding()?.binds_tls(spki_der) { Ok(()) } else { Err(Error::BindingMismatch) }
}
