//! What is said about a document: to a person, or as JSON (docs/attestation.md).

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::SystemTime;

use cloister_attest::{Binding, CertificateSummary, Document, Root};
use serde::Serialize;
use time::OffsetDateTime;

use crate::words::{meaning, rfc3339};

/// How many bytes of a field are shown to a person before its length says enough.
const SHOWN_BYTES: usize = 32;

/// A document, and what is known about it.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    verified: bool,
    #[serde(flatten)]
    verification: Option<Verdict<'a>>,
    module_id: &'a str,
    timestamp: String,
    digest: &'a str,
    pcrs: BTreeMap<u16, String>,
    public_key: Option<String>,
    user_data: Option<String>,
    binding: Option<Keys>,
    nonce: Option<String>,
    certificates: Option<Vec<Certificate>>,
}

/// How a document was verified.
pub(super) struct Verification<'a> {
    pub(super) at: SystemTime,
    pub(super) root: &'a Root,
    pub(super) accepted: Option<String>,
}

#[derive(Serialize)]
struct Verdict<'a> {
    at: String,
    root: Pinned,
    accepted: Option<String>,
    checked: Vec<&'a str>,
    not_checked: Vec<&'a str>,
}

#[derive(Serialize)]
struct Pinned {
    name: &'static str,
    sha256: String,
}

/// The keys of a Cloister enclave, when `user_data` binds some.
#[derive(Serialize)]
struct Keys {
    tls_spki_sha384: String,
    receipt_spki_sha384: Option<String>,
}

#[derive(Serialize)]
struct Certificate {
    name: String,
    not_before: String,
    not_after: String,
    sha256: String,
}

impl<'a> Report<'a> {
    /// A document that nobody vouches for.
    pub(super) fn unverified(document: &'a Document) -> Self {
        Self::new(document, None)
    }

    /// A document that was verified.
    pub(super) fn verified(document: &'a Document, verification: Verification<'_>) -> Self {
        let Verification { at, root, accepted } = verification;
        let mut checked = vec!["shape", "certificates", "signature", "times", "debug_mode"];
        let mut not_checked = Vec::new();
        let by_policy = ["age", "measurements"];
        if accepted.is_some() {
            checked.extend(by_policy)
        } else {
            not_checked.extend(by_policy)
        }
        not_checked.extend(["nonce", "tls_key", "revocation"]);
        let name = if root.is_amazon() { "amazon" } else { "other" };
        let root = Pinned { name, sha256: hex::encode(root.fingerprint()) };
        Self::new(document, Some(Verdict { at: rfc3339(whole_seconds(at)), root, accepted, checked, not_checked }))
    }

    fn new(document: &'a Document, verification: Option<Verdict<'a>>) -> Self {
        let optional = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(hex::encode);
        let binding = document.user_data.as_deref().and_then(|bytes| Binding::decode(bytes).ok());
        let certificates = document.chain().ok();
        Self {
            verified: verification.is_some(),
            verification,
            module_id: &document.module_id,
            timestamp: rfc3339(document.timestamp),
            digest: &document.digest,
            pcrs: document.pcrs.iter().map(|(index, value)| (*index, hex::encode(value))).collect(),
            public_key: optional(&document.public_key),
            user_data: optional(&document.user_data),
            binding: binding.map(|binding| Keys {
                tls_spki_sha384: hex::encode(binding.tls_spki_sha384),
                receipt_spki_sha384: binding.receipt_spki_sha384.map(hex::encode),
            }),
            nonce: optional(&document.nonce),
            certificates: certificates.map(|chain| chain.into_iter().map(Certificate::from).collect()),
        }
    }
}

impl From<CertificateSummary> for Certificate {
    fn from(summary: CertificateSummary) -> Self {
        Self {
            name: summary.name,
            not_before: rfc3339(summary.not_before),
            not_after: rfc3339(summary.not_after),
            sha256: hex::encode(summary.fingerprint),
        }
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verification {
            None => {
                writeln!(f, "NOT VERIFIED: this is what the document says, and anyone can write one.")?;
                writeln!(f, "Use `cloister attestation verify` before you rely on it.")?;
            }
            Some(verdict) => write!(f, "{verdict}")?,
        }
        writeln!(f)?;
        // Names come from the document: escaped, they cannot steer a terminal.
        row(f, "module", self.module_id.escape_debug())?;
        row(f, "signed", format_args!("{}, by the module's clock", self.timestamp))?;
        self.fmt_pcrs(f)?;
        field(f, "public key", self.public_key.as_deref())?;
        match &self.binding {
            Some(keys) => {
                row(f, "TLS key", format_args!("SHA-384 {}", keys.tls_spki_sha384))?;
                if let Some(key) = &keys.receipt_spki_sha384 {
                    row(f, "receipt key", format_args!("SHA-384 {key}"))?;
                }
            }
            None => field(f, "user data", self.user_data.as_deref())?,
        }
        field(f, "nonce", self.nonce.as_deref())?;
        self.fmt_certificates(f)
    }
}

impl Report<'_> {
    fn fmt_pcrs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zero = |value: &str| value.bytes().all(|digit| digit == b'0');
        for (index, value) in &self.pcrs {
            let meaning = meaning(*index);
            if !zero(value) {
                row(f, format_args!("PCR{index}"), format_args!("{value}  {meaning}"))?;
            } else if *index < 3 {
                row(f, format_args!("PCR{index}"), format_args!("zero: debug mode, the parent can look inside"))?;
            }
        }
        let unused: Vec<_> = self.pcrs.iter().filter(|(index, value)| **index > 2 && zero(value)).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let unused: Vec<_> = unused.into_iter().map(|(index, _)| index.to_string()).collect();
        row(f, "zero PCRs", unused.join(", "))
    }

    fn fmt_certificates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(certificates) = &self.certificates else {
            return row(f, "certificates", "cannot be read");
        };
        for (index, certificate) in certificates.iter().enumerate() {
            let name = match index {
                0 => "root",
                _ if index + 1 == certificates.len() => "signer",
                _ => "CA",
            };
            row(f, name, format_args!("{}", certificate.name.escape_debug()))?;
            row(f, "", format_args!("{} to {}", certificate.not_before, certificate.not_after))?;
        }
        match certificates.first() {
            Some(root) => row(f, "root SHA-256", &root.sha256),
            None => Ok(()),
        }
    }
}

impl Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.root.name {
            "amazon" => "by AWS Nitro hardware, under Amazon's root",
            _ => "under the root that you named, which is NOT Amazon's: a simulation",
        };
        writeln!(f, "VERIFIED as of {}: signed {origin}.", self.at)?;
        if let Some(label) = &self.accepted {
            writeln!(f, "ACCEPTED by the policy as \"{}\".", label.escape_debug())?;
        }
        writeln!(f)?;
        for (mark, names) in [("checked", &self.checked), ("NOT checked", &self.not_checked)] {
            for name in names {
                row(f, mark, explanation(name))?;
            }
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: impl Display, value: impl Display) -> fmt::Result {
    // The name is made text first, since padding is the value's type's own affair.
    let name = name.to_string();
    writeln!(f, "{name:<13} {value}")
}

fn field(f: &mut fmt::Formatter<'_>, name: &str, hex: Option<&str>) -> fmt::Result {
    match hex {
        None => row(f, name, "none"),
        Some(hex) if hex.len() / 2 <= SHOWN_BYTES => row(f, name, hex),
        Some(hex) => {
            let start = hex.get(..SHOWN_BYTES * 2).unwrap_or_default();
            row(f, name, format_args!("{start}… ({} bytes)", hex.len() / 2))
        }
    }
}

fn explanation(check: &str) -> &'static str {
    match check {
        "shape" => "its shape: the one encoding that the module uses",
        "certificates" => "its certificates, from the pinned root to the signer",
        "signature" => "its signature",
        "times" => "the certificates were valid at this time and when it was signed",
        "debug_mode" => "the enclave is not in debug mode",
        "age" => "its age against a policy (--policy)",
        "measurements" => "which image and model it measures against a policy (--policy)",
        "nonce" => "that it answers a request of yours: a file has no request",
        "tls_key" => "that it belongs to a connection of yours: a file has none",
        "revocation" => "AWS's lists of revoked certificates: they are on the network",
        _ => "",
    }
}

/// The verifier's own time, without the digits that say nothing.
fn whole_seconds(time: SystemTime) -> OffsetDateTime {
    let time = OffsetDateTime::from(time);
    time.replace_nanosecond(0).unwrap_or(time)
}
