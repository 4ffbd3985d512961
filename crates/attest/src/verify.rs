//! From bytes to a document that a module under the pinned root signed.

use std::ops::Deref;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use ciborium::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::binding::Binding;
use crate::cbor;
use crate::chain;
use crate::document::{self, Document, Signed};
use crate::error::{Error, Result};
use crate::limits;
use crate::root::Root;

/// The PCRs that hold the image: all of it, its kernel with the boot ramdisk, and the application.
pub(crate) const IMAGE_PCRS: [u16; 3] = [0, 1, 2];

/// A document that [`verify`] accepted: what it says, a Nitro Security Module said. Whether that enclave is the wanted
/// one is a [`crate::Policy`]'s question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    document: Document,
    root: [u8; 32],
    at: SystemTime,
}

impl Verified {
    /// The time that it was verified for.
    pub fn verified_at(&self) -> SystemTime {
        self.at
    }

    /// SHA-256 of the root that it hangs from.
    pub fn root_fingerprint(&self) -> [u8; 32] {
        self.root
    }

    /// The keys that `user_data` binds.
    ///
    /// # Errors
    /// [`Error::BindingMissing`], [`Error::BindingMalformed`].
    pub fn binding(&self) -> Result<Binding> {
        Binding::decode(self.document.user_data.as_deref().ok_or(Error::BindingMissing)?)
    }

    /// The receipt-signing key that this document vouches for, as SubjectPublicKeyInfo in DER: it carries the key as
    /// `public_key`, and its binding names the key as the one that signs receipts.
    ///
    /// # Errors
    /// [`Error::NoReceiptKey`], [`Error::ReceiptKeyUnbound`]; those of [`Verified::binding`].
    pub fn receipt_key(&self) -> Result<&[u8]> {
        let key = self.document.public_key.as_deref().ok_or(Error::NoReceiptKey)?;
        if self.binding()?.binds_receipt(key) { Ok(key) } else { Err(Error::ReceiptKeyUnbound) }
    }

    /// The document alone.
    pub fn into_document(self) -> Document {
        self.document
    }
}

impl Deref for Verified {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.document
    }
}

/// Verifies a document against a pinned root as of the time `at`: a client passes its clock's, whoever checks a receipt
/// the time of the receipt.
///
/// Checked are the shape (see [`crate::parse`]), the chain, the signature, that the certificates were valid at `at`
/// **and** when the document says it was signed, that it is not dated after `at` by more than [`limits::CLOCK_SKEW`],
/// and, last of all, that the enclave is not in debug mode. Not checked are age, nonce, measurements and `user_data`:
/// those are a policy's.
///
/// ECDSA signatures can be rewritten by anyone into a second valid one, so the bytes of a document do not identify it.
pub fn verify(document: &[u8], root: &Root, at: SystemTime) -> Result<Verified> {
    verify_within(document, root, at, limits::CLOCK_SKEW)
}

/// [`verify`] with another skew than [`limits::CLOCK_SKEW`].
pub(crate) fn verify_within(document: &[u8], root: &Root, at: SystemTime, skew: Duration) -> Result<Verified> {
    let (document, signed) = document::parse_signed(document)?;
    check_origin(&document, &signed, root, at, skew)?;
    refuse_future(&document, at, skew)?;
    refuse_debug_mode(&document)?;
    Ok(Verified { document, root: root.fingerprint(), at })
}

/// That a module under the root signed it.
fn check_origin(document: &Document, signed: &Signed, root: &Root, at: SystemTime, skew: Duration) -> Result<()> {
    #[cfg(feature = "emulator")]
    if root.is_emulator() {
        return crate::emulator::check(document, signed);
    }
    // Within the skew the document's own time is as good as the verifier's, and a new leaf is not valid before it.
    let ahead = document.timestamp.duration_since(at).unwrap_or_default();
    let key = chain::check(document, root, if ahead <= skew { at + ahead } else { at })?;
    check_signature(signed, &key)?;
    chain::check_timestamp(document)
}

/// ES384 over the Sig_structure of RFC 9052, section 4.4, with no external data.
fn check_signature(signed: &Signed, key: &[u8]) -> Result<()> {
    let covered = Value::Array(vec![
        Value::from("Signature1"),
        Value::from(document::PROTECTED.to_vec()),
        Value::Bytes(Vec::new()),
        Value::from(signed.payload.clone()),
    ]);
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key)
        .verify(&cbor::encode(&covered), &signed.signature)
        .map_err(|_| Error::BadSignature)
}

pub(crate) fn refuse_future(document: &Document, at: SystemTime, skew: Duration) -> Result<()> {
    match document.timestamp.duration_since(at) {
        Ok(ahead) if ahead > skew => Err(Error::FromTheFuture { ahead, limit: skew }),
        _ => Ok(()),
    }
}

fn refuse_debug_mode(document: &Document) -> Result<()> {
    for index in IMAGE_PCRS {
        let value = document.pcrs.get(&index).ok_or(Error::MissingPcr { index })?;
        if value.iter().all(|byte| *byte == 0) {
            return Err(Error::DebugMode { index });
        }
    }
    Ok(())
}

/// A time as RFC 3339 in UTC, to the second; total, because it shows times that strangers wrote.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).ok(),
        Err(before) => i64::try_from(before.duration().as_secs()).ok().map(|seconds| -seconds),
    };
    let date = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| "a time beyond the calendar".into())
}
