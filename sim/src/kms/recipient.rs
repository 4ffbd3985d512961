//! The `Recipient` of a request: an attestation document, and the key in it that the answer goes to.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloister_attest::{Error, Root, Verified};
use serde::Deserialize;

use super::cms::{self, ContentForm};
use super::limits::MAX_ATTESTATION_DOCUMENT;
use crate::exception::Exception;

/// `RecipientInfo` of the API.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RecipientInfo {
    attestation_document: Option<String>,
    key_encryption_algorithm: Option<String>,
}

/// A recipient whose document verified.
pub(crate) struct Recipient {
    pub(crate) pcrs: BTreeMap<u16, Vec<u8>>,
    public_key: Vec<u8>,
}

impl RecipientInfo {
    /// Verifies the document. KMS takes one for as long as its certificates are valid, and more than once; so does the simulator.
    pub(crate) fn verify(&self, root: &Root, now: SystemTime) -> Result<Recipient, Exception> {
        if self.key_encryption_algorithm.as_deref() != Some("RSAES_OAEP_SHA_256") {
            return Err(Exception::validation("KeyEncryptionAlgorithm must be RSAES_OAEP_SHA_256"));
        }
        let document = self.attestation_document.as_deref().and_then(|text| BASE64.decode(text).ok());
        let document = document.filter(|bytes| !bytes.is_empty() && bytes.len() <= MAX_ATTESTATION_DOCUMENT);
        let document =
            document.ok_or_else(|| Exception::validation("AttestationDocument must be 1 to 262144 bytes in base64"))?;
        let verified = match cloister_attest::verify(&document, root, now) {
            // KMS takes these: their PCRs are zero, so that no condition on a real measurement holds. It is the last thing that
            // `verify` looks at, so all else is in order.
            Err(Error::DebugMode { .. }) => cloister_attest::parse(&document),
            verified => verified.map(Verified::into_document),
        };
        let verified = verified
            .map_err(|error| Exception::validation(format!("The attestation document is not valid: {error}")))?;
        let public_key = verified.public_key;
        let public_key =
            public_key.ok_or_else(|| Exception::validation("The attestation document carries no public key"))?;
        Ok(Recipient { pcrs: verified.pcrs, public_key })
    }
}

impl Recipient {
    pub(crate) fn seal(&self, plaintext: &[u8], form: ContentForm) -> Result<Vec<u8>, Exception> {
        cms::seal(plaintext, &self.public_key, form).map_err(|_| {
            Exception::validation("The attestation document's public key is not an RSA-2048 SubjectPublicKeyInfo")
        })
    }
}
