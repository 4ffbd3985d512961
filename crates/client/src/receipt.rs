//! Verifying a kept receipt as of its own time: the document that vouches for its key, then its signature, then its model.

use std::time::SystemTime;

use aws_lc_rs::digest::{SHA384, digest};
use cloister_attest::{self as attest, MODEL_PCR, Policy, extended};
use cloister_receipt::{Error as Malformed, Receipt, Unverified};

use crate::answer::Classification;
use crate::error::ReceiptMismatch;
use crate::sent::Shown;

/// Why a receipt is not believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// It cannot be read. Nothing is known about who made it.
    #[error(transparent)]
    Malformed(Malformed),
    /// Its document is none that the policy accepts as of the receipt's time, or vouches for no receipt key.
    #[error("the receipt's attestation document is not verified as of the receipt's time: {0}")]
    Document(#[from] attest::Error),
    /// It was altered, or another key signed it than the one that its document vouches for.
    #[error(transparent)]
    Signature(Malformed),
    /// The enclave had measured no model, or another one than the receipt names.
    #[error(
        "the receipt names model {name:?} version {version}, and its document proves another model or none (PCR{MODEL_PCR})"
    )]
    OtherModel {
        /// The model's name in the receipt.
        name: String,
        /// Its version there.
        version: u32,
    },
}

impl ReceiptError {
    /// Whether the bytes are no receipt at all, rather than one that is not believed.
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed(_))
    }
}

/// A receipt that a policy's enclave signed, and what was proved about that enclave.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedReceipt {
    /// What the enclave says that it computed.
    pub claims: Receipt,
    /// The label of the policy's entry that the enclave matches.
    pub label: String,
    /// The enclave's own identifier, from the document.
    pub module_id: String,
    /// When the security module signed the document.
    pub document_time: SystemTime,
    /// SHA-384 of the SubjectPublicKeyInfo of the key that signed the receipt.
    pub key_sha384: [u8; 48],
}

/// Verifies a receipt under a policy, as of the receipt's own time and offline: whether certificates have ended since, or an entry of
/// the policy, plays no part.
///
/// That the receipt is about an image or a request of one's own is for the caller to compare: its digests, its nonce.
///
/// # Errors
/// [`ReceiptError::Malformed`] when the bytes are no receipt; any other when it is not to be believed.
pub fn verify(receipt: &[u8], policy: &Policy) -> Result<VerifiedReceipt, ReceiptError> {
    let unverified = Unverified::parse(receipt).map_err(ReceiptError::Malformed)?;
    let (document, accepted) = policy.verify_kept(unverified.document(), unverified.claims().time)?;
    let key = document.receipt_key()?;
    let mut key_sha384 = [0; 48];
    key_sha384.copy_from_slice(digest(&SHA384, key).as_ref());
    let claims = unverified.verify(key).map_err(ReceiptError::Signature)?;
    let measured = document.pcrs.get(&MODEL_PCR).map(Vec::as_slice);
    if measured != Some(&extended(&claims.model.digest)) {
        let (name, version) = (claims.model.name, claims.model.version);
        return Err(ReceiptError::OtherModel { name, version });
    }
    Ok(VerifiedReceipt {
        claims,
        label: accepted.label,
        module_id: document.module_id.clone(),
        document_time: document.timestamp,
        key_sha384,
    })
}

/// Whether an answer shows what a receipt claims, and no more than that: view, scores, window, centre, findings, crops and model. Whether the receipt
/// itself is to be believed is [`verify`]'s to say.
///
/// # Errors
/// [`ReceiptMismatch::Other`], naming what differs.
pub fn agrees(answer: &Classification, claims: &Receipt) -> Result<(), ReceiptMismatch> {
    let signed = claims.views.first().map(|view| &view.scores);
    if !signed.is_some_and(|signed| signed.keys().eq(answer.scores.keys())) {
        return Err(ReceiptMismatch::Other { what: "score" });
    }
    Shown::image(answer).agree(claims)
}
