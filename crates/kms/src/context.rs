//! The encryption context that ties a data key to what it may open.
//!
//! KMS binds it into the wrapped key, writes it to CloudTrail in the clear, and lets key policies ask for it
//! (`kms:EncryptionContext:cloister:model`, and so on).

use std::collections::BTreeMap;

/// What the key is for; the only value so far is [`PURPOSE_MODEL`].
pub const PURPOSE: &str = "cloister:purpose";
/// The purpose of a key that seals a model package.
pub const PURPOSE_MODEL: &str = "model";
/// The model's name.
pub const MODEL: &str = "cloister:model";
/// The model's version, in decimal.
pub const VERSION: &str = "cloister:version";
/// The model package's digest, SHA-384 in lower-case hex.
pub const DIGEST: &str = "cloister:digest";

/// The context for one model package; `digest` in lower-case hex.
pub fn for_model(name: &str, version: u32, digest: &str) -> BTreeMap<String, String> {
    let version = version.to_string();
    [(PURPOSE, PURPOSE_MODEL), (MODEL, name), (VERSION, &version), (DIGEST, digest)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
