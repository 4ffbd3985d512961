//! From bytes to a document that a module under the pinned root signed.

use std::ops::Deref;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use ciborium::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
/// **and** when the document says it was signed, that it is not dated after `at`, and, last of all, that the enclave is
/// not in debug mode. Not checked are age, nonce, measurements and `user_data`: those are a policy's.
///
/// ECDSA signatures can be rewritten by anyone into a second valid one, so the bytes of a document do not identify it.
pub fn verify(document: &[u8], root: &Root, at: SystemTime) -> Result<Verified> {
    let (document, signed) = document::parse_signed(document)?;
    let key = chain::check(&document, root, at)?;
    check_signature(&signed, &key)?;
    chain::check_timestamp(&document)?;
    refuse_future(&document, at)?;
    refuse_debug_mode(&document)?;
    Ok(Verified { document, root: root.fingerprint(), at })
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

pub(crate) fn refuse_future(document: &Document, at: SystemTime) -> Result<()> {
    match document.timestamp.duration_since(at) {
        Ok(ahead) if ahead > limits::CLOCK_SKEW => Err(Error::FromTheFuture { ahead }),
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
