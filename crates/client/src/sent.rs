//! What was sent, held against the receipt that came with the answer: the receipt must speak of these very bytes, of this request, of the
//! scores that are shown, and be signed by the enclave at the other end of this session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use bytes::Bytes;
use cloister_attest::Policy;
use cloister_dicom::{DecodeLimits, Outline, is_dicom, outline};
use cloister_imaging::View;
use cloister_receipt::Receipt as Claims;

use crate::answer::{Classification, Exam, Model, Receipt, Scores};
use crate::error::ReceiptMismatch;
use crate::session::{Asked, Attested};
use crate::{Error, limits, receipt};

/// How far a score that went through decimal digits may be from the one that was signed.
const ROUNDING: f64 = 1e-12;

/// One request, as the receipt must name it.
pub(crate) struct Sent {
    pub(crate) nonce: [u8; limits::NONCE_BYTES],
    images: Vec<SentImage>,
    /// The label that maps were asked for.
    map: Option<String>,
}

/// An image's file, and what is known of it. Clones share both, so that a file that is sent more than once is read and hashed once.
#[derive(Clone)]
pub struct Image {
    pub(crate) bytes: Bytes,
    pub(crate) known: Arc<Known>,
}

impl From<Vec<u8>> for Image {
    fn from(bytes: Vec<u8>) -> Self {
        Self { known: Arc::new(Known::of(&bytes)), bytes: bytes.into() }
    }
}

impl Image {
    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's digest, SHA-256, as receipts name it.
    pub fn sha256(&self) -> &[u8] {
        &self.known.sha256
    }
}

/// What an answer is held against when the file itself may be gone.
pub(crate) struct Known {
    sha256: Vec<u8>,
    /// Whether it has an identifier of its own.
    dicom: bool,
    /// What a DICOM file says of itself, if this program can read it. The enclave decides whether it can.
    outline: Option<Outline>,
}

impl Known {
    pub(crate) fn of(image: &[u8]) -> Self {
        let dicom = is_dicom(image);
        let outline = dicom.then(|| outline(image, &DecodeLimits::default()).ok()).flatten();
        Self { sha256: digest(&SHA256, image).as_ref().to_vec(), dicom, outline }
    }
}

/// One image of it.
pub(crate) struct SentImage {
    /// As the request names it; a DICOM file may go without.
    view: Option<View>,
    known: Arc<Known>,
}

impl SentImage {
    pub(crate) fn new(view: Option<View>, known: Arc<Known>) -> Self {
        Self { view, known }
    }

    /// The view that a receipt must name, unless the file alone knows it.
    fn view(&self) -> Option<View> {
        self.view.or(self.known.outline.as_ref().map(|outline| outline.view))
    }

    /// Whether the receipt speaks of this image, and refers to it by its own identifier, or by none where it has none.
    fn is(&self, claim: &cloister_receipt::View) -> bool {
        let Known { sha256, dicom, outline } = &*self.known;
        let uid = outline.as_ref().map(|outline| outline.sop_instance_uid.as_str());
        *sha256 == claim.bytes_sha256
            && self.view().is_none_or(|view| view.as_str() == claim.view)
            && uid.is_none_or(|uid| claim.sop_instance_uid.as_deref() == Some(uid))
            && (*dicom || claim.sop_instance_uid.is_none())
    }
}

/// What the answer shows.
pub(crate) struct Shown<'a> {
    model: Option<&'a Model>,
    views: Vec<&'a Classification>,
    breasts: BTreeMap<&'a str, &'a Scores>,
    findings: &'a [String],
}

impl<'a> Shown<'a> {
    pub(crate) fn image(answer: &'a Classification) -> Self {
        Self { model: answer.model.as_ref(), views: vec![answer], breasts: BTreeMap::new(), findings: &[] }
    }

    pub(crate) fn exam(answer: &'a Exam) -> Self {
        Self {
            model: Some(&answer.model),
            views: answer.views.iter().collect(),
            breasts: answer.breasts.iter().map(|(side, breast)| (side.as_str(), &breast.scores)).collect(),
            findings: &answer.findings,
        }
    }
}

impl Sent {
    pub(crate) fn new(images: Vec<SentImage>, asked: &Asked) -> Result<Self, Error> {
        let mut nonce = asked.nonce.unwrap_or([0; limits::NONCE_BYTES]);
        if asked.nonce.is_none() {
            rand::fill(&mut nonce).map_err(|_| Error::Random)?;
        }
        Ok(Self { nonce, images, map: asked.map.clone() })
    }

    /// Gives what the receipt signs: a later enclave may show more than that, and only what is signed is to be shown on.
    pub(crate) fn check(
        &self,
        policy: &Policy,
        attested: &Attested,
        receipt: Option<&Receipt>,
        shown: &Shown<'_>,
    ) -> Result<Claims, ReceiptMismatch> {
        let verified = receipt::verify(&receipt.ok_or(ReceiptMismatch::Missing)?.0, policy)?;
        if attested.receipt_key_sha384 != Some(verified.key_sha384) {
            return Err(ReceiptMismatch::OtherKey);
        }
        let claims = &verified.claims;
        if claims.nonce.as_deref() != Some(&self.nonce) {
            return Err(ReceiptMismatch::OtherNonce);
        }
        check_time(claims.time, SystemTime::now(), policy)?;
        for claim in &claims.views {
            same(self.images.iter().any(|image| image.is(claim)), "image")?;
            same(claim.map.as_ref().map(|map| &map.label) == self.map.as_ref(), "map")?;
        }
        same(claims.views.len() == self.images.len(), "set of views")?;
        shown.agree(claims)?;
        Ok(verified.claims)
    }
}

impl Shown<'_> {
    /// Whether what is shown is what a receipt claims.
    pub(crate) fn agree(&self, claims: &Claims) -> Result<(), ReceiptMismatch> {
        let model = self.model.is_some_and(|model| {
            model.name == claims.model.name
                && model.version == claims.model.version
                && model.digest == hex::encode(claims.model.digest)
        });
        same(model, "model")?;
        same(claims.views.len() == self.views.len(), "set of views")?;
        for claim in &claims.views {
            let answer = self.views.iter().find(|answer| answer.view.as_str() == claim.view);
            let answer = answer.ok_or(ReceiptMismatch::Other { what: "set of views" })?;
            same(close(&answer.scores, &claim.scores), "score")?;
            same(answer.crops == claims.crops.count, "number of crops")?;
            same(answer.window.iter().zip(claim.window).all(|(shown, signed)| *shown == signed as usize), "window")?;
            same(answer.best_center == claim.best_center, "centre")?;
            let map = match (&answer.map, &claim.map) {
                (Some(shown), Some(signed)) => shown.is(signed),
                (shown, signed) => shown.is_none() && signed.is_none(),
            };
            same(map, "map")?;
            same(answer.findings == claim.findings, "list of findings")?;
        }
        same(self.findings == claims.findings, "list of findings")?;
        let breasts = claims
            .breasts
            .iter()
            .all(|(side, scores)| self.breasts.get(side.as_str()).is_some_and(|shown| close(shown, scores)));
        same(breasts && claims.breasts.len() == self.breasts.len(), "breast's score")
    }
}

fn same(same: bool, what: &'static str) -> Result<(), ReceiptMismatch> {
    if same { Ok(()) } else { Err(ReceiptMismatch::Other { what }) }
}

fn check_time(signed: SystemTime, now: SystemTime, policy: &Policy) -> Result<(), ReceiptMismatch> {
    let by = now.duration_since(signed).unwrap_or_else(|ahead| ahead.duration());
    let allowed = policy.skew() + limits::ENCLAVE_CLOCK_DIFFERENCE;
    if by > allowed { Err(ReceiptMismatch::OtherTime { by, allowed }) } else { Ok(()) }
}

/// Whether each signed score is the one that is shown.
fn close(shown: &Scores, signed: &Scores) -> bool {
    signed.iter().all(|(label, score)| shown.get(label).is_some_and(|shown| (shown - score).abs() <= ROUNDING))
}
