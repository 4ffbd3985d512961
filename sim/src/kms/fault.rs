//! Misbehaviour on demand: what a compromised or failing KMS, or someone in its place, could answer. For tests, through the library only.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::cms::ContentForm;

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Every answer names this key.
    OtherKeyId(String),
    /// Answers to a `Recipient` carry the plaintext too.
    PlaintextBesideCiphertext,
    /// Answers to a `Recipient` carry the plaintext in the ciphertext's place.
    PlaintextInstead,
    /// Answers to a `Recipient` carry neither.
    NothingForRecipient,
    /// `Decrypt` answers name `RSAES_OAEP_SHA_256` as the algorithm.
    OtherAlgorithm,
    /// Answers to a `Recipient` carry another key of the right length, well wrapped.
    OtherDataKey,
    /// Answers to a `Recipient` carry just this many bytes of the plaintext.
    ShortDataKey(usize),
    /// Answers to a `Recipient` carry bytes that are no CMS message.
    GarbageCms,
    /// Requests are read and never answered.
    Stall,
    /// Requests are refused as too many.
    Throttle,
    /// Requests are refused as signed with ended credentials.
    ExpiredToken,
    /// Requests fail with status 500.
    InternalError,
}

/// The fault in force, if any.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Option<(Fault, Option<u32>)>>);

impl Faults {
    /// Puts a fault in force, for the next `times` requests or until replaced.
    pub(crate) fn set(&self, fault: Option<Fault>, times: Option<u32>) {
        *self.lock() = fault.map(|fault| (fault, times));
    }

    /// The fault for one request.
    pub(crate) fn next(&self) -> Option<Fault> {
        let mut current = self.lock();
        let (fault, times) = current.as_mut()?;
        let fault = fault.clone();
        match times {
            Some(0) => {
                *current = None;
                return None;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Some(fault)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Fault, Option<u32>)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Fault {
    /// What goes to the recipient instead of `plaintext`.
    pub(crate) fn content(&self, plaintext: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::OtherDataKey => Some(plaintext.iter().map(|byte| byte ^ 0x5a).collect()),
            Self::ShortDataKey(length) => Some(plaintext.iter().take(*length).copied().collect()),
            _ => None,
        }
    }

    /// Changes an answer's fields.
    pub(crate) fn distort(&self, answer: &mut Value, plaintext: Option<&str>) {
        let for_recipient = answer.get("CiphertextForRecipient").is_some();
        match self {
            Self::OtherKeyId(other) => answer["KeyId"] = json!(other),
            Self::OtherAlgorithm if answer.get("EncryptionAlgorithm").is_some() => {
                answer["EncryptionAlgorithm"] = json!("RSAES_OAEP_SHA_256");
            }
            Self::PlaintextBesideCiphertext if for_recipient => answer["Plaintext"] = json!(plaintext),
            Self::PlaintextInstead if for_recipient => {
                answer["CiphertextForRecipient"] = Value::Null;
                answer["Plaintext"] = json!(plaintext);
            }
            Self::NothingForRecipient if for_recipient => answer["CiphertextForRecipient"] = Value::Null,
            Self::GarbageCms if for_recipient => answer["CiphertextForRecipient"] = json!("bm90IGEgQ01TIG1lc3NhZ2U="),
            _ => {}
        }
    }
}

/// How answers to a recipient are written; changed at run time by tests.
#[derive(Default)]
pub(crate) struct Form(Mutex<ContentForm>);

impl Form {
    pub(crate) fn set(&self, form: ContentForm) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = form;
    }

    pub(crate) fn get(&self) -> ContentForm {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
