//! What ties images of one exam together: UIDs for results, and keys by which patients and studies are told apart.

use std::{fmt, sync::OnceLock};

use aws_lc_rs::{hmac, rand::SystemRandom};

use crate::Refusal;

/// A unique identifier (PS3.5, section 9): up to 64 digits and dots. It identifies a patient's image, and prints nothing by itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uid(String);

impl Uid {
    pub(crate) fn new(value: &str) -> Option<Self> {
        let legal = value.len() <= 64 && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        legal.then(|| Self(value.to_owned()))
    }

    /// The identifier, for the one place that needs it: a result that refers to the image.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uid(..)")
    }
}

/// Equal for files of one patient, or of one study, within one process.
///
/// It is an HMAC-SHA-256 under a key that the process makes at random and never shows: short identifiers cannot be found by trying,
/// and keys of two processes say nothing about each other. It cannot be read or printed, only compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ComparisonKey([u8; 32]);

impl fmt::Debug for ComparisonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ComparisonKey(..)")
    }
}

impl ComparisonKey {
    /// `what` keeps a study's key apart from a patient's of the same text.
    pub(crate) fn new(what: &'static str, value: &[u8]) -> Result<Self, Refusal> {
        let mut context = hmac::Context::with_key(process_key()?);
        context.update(what.as_bytes());
        context.update(&[0]);
        context.update(value);
        let tag = context.sign();
        tag.as_ref().first_chunk().copied().map(Self).ok_or(Refusal::Random)
    }
}

fn process_key() -> Result<&'static hmac::Key, Refusal> {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| Refusal::Random)?;
    Ok(KEY.get_or_init(|| key))
}
