//! What is said about a receipt: to a person, or as JSON (docs/receipts.md).

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use cloister_client::receipt::VerifiedReceipt;
use cloister_receipt::{Receipt, Scores, View};
use serde::Serialize;

use super::{Matched, without};
use crate::words::{in_words, rfc3339};

/// What no receipt proves, said with each.
const NOT_PROVED: [(&str, &str); 5] = [
    ("right_image", "that the image was of the patient, the breast and the view that it was sent as"),
    ("right_score", "that the score is right: it is what this model computes, and no finding"),
    ("deletion", "that the image, or anything else, was deleted"),
    ("completeness", "that nothing else was asked, or answered otherwise"),
    ("revocation", "that no certificate was revoked: the lists are on the network"),
];

/// A receipt, and what is known about it.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    verified: bool,
    #[serde(flatten)]
    verification: Option<Verification<'a>>,
    time: String,
    nonce: Option<String>,
    software: &'a str,
    kernels: &'a str,
    model: Model<'a>,
    preprocessing: &'a str,
    crops: Crops,
    views: Vec<ViewReport<'a>>,
    breasts: &'a BTreeMap<String, Scores>,
    findings: &'a [String],
    not_proved: Vec<&'static str>,
}

#[derive(Serialize)]
struct Verification<'a> {
    accepted: &'a str,
    simulated: bool,
    module_id: &'a str,
    document_signed: String,
    receipt_key_sha384: String,
    images: Vec<ImageReport>,
    views_without_image: Vec<&'a str>,
}

#[derive(Serialize)]
struct ImageReport {
    file: String,
    view: String,
    same_bytes: bool,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    version: u32,
    digest: String,
}

#[derive(Serialize)]
struct Crops {
    seed: Option<u32>,
    count: u32,
}

#[derive(Serialize)]
struct ViewReport<'a> {
    view: &'a str,
    laterality: Option<&'a str>,
    bytes_sha256: String,
    pixels_sha256: String,
    rows: u32,
    columns: u32,
    sop_instance_uid: Option<&'a str>,
    window: [u32; 4],
    best_center: [i64; 2],
    scores: &'a Scores,
    findings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<MapReport<'a>>,
}

#[derive(Serialize)]
struct MapReport<'a> {
    label: &'a str,
    sha256: String,
}

impl<'a> From<&'a View> for ViewReport<'a> {
    fn from(view: &'a View) -> Self {
        Self {
            view: &view.view,
            laterality: view.laterality(),
            bytes_sha256: hex::encode(view.bytes_sha256),
            pixels_sha256: hex::encode(view.pixels_sha256),
            rows: view.rows,
            columns: view.columns,
            sop_instance_uid: view.sop_instance_uid.as_deref(),
            window: view.window,
            best_center: view.best_center,
            scores: &view.scores,
            map: view.map.as_ref().map(|map| MapReport { label: &map.label, sha256: hex::encode(map.sha256) }),
            findings: &view.findings,
        }
    }
}

impl<'a> Report<'a> {
    /// A receipt that nobody vouches for.
    pub(super) fn unverified(receipt: &'a Receipt) -> Self {
        Self::new(receipt, None)
    }

    /// A receipt that was verified, and the images that it was held against.
    pub(super) fn verified(verified: &'a VerifiedReceipt, simulated: bool, images: Vec<Matched<'_>>) -> Self {
        let matched: Vec<_> = images.iter().map(|matched| matched.view.as_str()).collect();
        let views_without_image = without(&verified.claims, &matched);
        let image = |matched: Matched<'_>| ImageReport {
            file: matched.path.display().to_string(),
            view: matched.view,
            same_bytes: matched.same_bytes,
        };
        let verification = Verification {
            accepted: &verified.label,
            simulated,
            module_id: &verified.module_id,
            document_signed: rfc3339(verified.document_time),
            receipt_key_sha384: hex::encode(verified.key_sha384),
            views_without_image,
            images: images.into_iter().map(image).collect(),
        };
        Self::new(&verified.claims, Some(verification))
    }

    fn new(receipt: &'a Receipt, verification: Option<Verification<'a>>) -> Self {
        Self {
            verified: verification.is_some(),
            verification,
            time: rfc3339(receipt.time),
            nonce: receipt.nonce.as_ref().map(hex::encode),
            software: &receipt.software,
            kernels: &receipt.kernels,
            model: Model {
                name: &receipt.model.name,
                version: receipt.model.version,
                digest: hex::encode(receipt.model.digest),
            },
            preprocessing: &receipt.preprocessing,
            crops: Crops { seed: receipt.crops.seed, count: receipt.crops.count },
            views: receipt.views.iter().map(ViewReport::from).collect(),
            breasts: &receipt.breasts,
            findings: &receipt.findings,
            not_proved: NOT_PROVED.map(|(name, _)| name).to_vec(),
        }
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verification {
            None => {
                writeln!(f, "NOT VERIFIED: this is what the receipt says, and anyone can write one.")?;
                writeln!(f, "Use `cloister receipt verify` before you rely on it.")?;
            }
            Some(verification) => write!(f, "{}", Verdict { verification, time: &self.time })?,
        }
        writeln!(f)?;
        row(f, "time", &self.time)?;
        for (breast, scores) in self.breasts {
            row(f, format_args!("{breast} breast"), scored(scores))?;
        }
        for view in &self.views {
            row(f, view.view, scored(view.scores))?;
            row(f, "", format_args!("image SHA-256 {}, {} x {}", view.bytes_sha256, view.rows, view.columns))?;
            row(f, "", format_args!("pixels SHA-256 {}", view.pixels_sha256))?;
            if let Some(uid) = view.sop_instance_uid {
                row(f, "", format_args!("SOP Instance UID {uid}"))?;
            }
            if let Some(MapReport { label, sha256 }) = &view.map {
                row(f, "", format_args!("map for {label}, SHA-256 {sha256}"))?;
            }
            found(f, "", view.findings)?;
        }
        found(f, "exam", self.findings)?;
        let Crops { seed, count } = &self.crops;
        let seed = seed.map_or_else(|| "noiseless".to_owned(), |seed| format!("seed {seed}"));
        row(f, "model", format_args!("{} version {}", self.model.name, self.model.version))?;
        row(f, "", format_args!("digest {}", self.model.digest))?;
        row(f, "preprocessing", format_args!("{}, {count} crops, {seed}", self.preprocessing))?;
        row(f, "software", self.software)?;
        row(f, "kernels", self.kernels)?;
        row(f, "nonce", self.nonce.as_deref().unwrap_or("none"))?;
        writeln!(f, "\nA receipt does NOT prove:")?;
        NOT_PROVED.iter().try_for_each(|(_, words)| writeln!(f, "- {words}"))
    }
}

struct Verdict<'a> {
    verification: &'a Verification<'a>,
    time: &'a str,
}

impl Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verification, time } = self;
        let label = verification.accepted.escape_debug();
        writeln!(
            f,
            "VERIFIED as of its own time, {time}: signed in an enclave that the policy accepts as \"{label}\"."
        )?;
        writeln!(
            f,
            "Vouched for by {}.",
            if verification.simulated {
                "a SIMULATED security module, which protects nothing"
            } else {
                "AWS Nitro hardware, under Amazon's root"
            }
        )?;
        writeln!(f)?;
        row(f, "enclave", verification.module_id.escape_debug())?;
        row(f, "vouched for", &verification.document_signed)?;
        for image in &verification.images {
            let how = if image.same_bytes { "is the file" } else { "has the pixels of the file" };
            row(f, "image", format_args!("{} {how} that was sent as {}", image.file, image.view))?;
        }
        if !verification.views_without_image.is_empty() {
            let views = verification.views_without_image.join(", ");
            row(f, "NOT checked", format_args!("which image was sent as {views}: give it with --image"))?;
        }
        Ok(())
    }
}

fn scored(scores: &Scores) -> String {
    if scores.is_empty() {
        return "not scored alone".to_owned();
    }
    scores.iter().map(|(label, score)| format!("{label} {score:.4}")).collect::<Vec<_>>().join("  ")
}

fn found(f: &mut fmt::Formatter<'_>, name: &str, findings: &[String]) -> fmt::Result {
    findings.iter().try_for_each(|code| row(f, name, format_args!("finding {}", in_words(code))))
}

fn row(f: &mut fmt::Formatter<'_>, name: impl Display, value: impl Display) -> fmt::Result {
    // The name is made text first, since padding is the value's type's own affair.
    let name = name.to_string();
    writeln!(f, "{name:<13} {value}")
}
