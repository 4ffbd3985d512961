//! Who may ask: client certificates of an authority, bearer tokens known by their hash, and how often each may ask.

use serde::Deserialize;

use super::Error;
use crate::limits;

/// Who may ask for a classification. Either kind of credential will do; attestation and health stay open to everyone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The authorities whose client certificates are taken, in PEM.
    pub client_ca: Option<String>,
    /// The bearer tokens that are taken.
    #[serde(default)]
    pub tokens: Vec<Token>,
    /// How many classifications each client may ask for in a minute; as many as the queue takes when absent.
    pub requests_per_minute: Option<u32>,
}

/// A bearer token, of which the configuration knows the hash alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What the token's holder is called, for whoever reads the configuration.
    pub name: String,
    /// SHA-256 of the token's bytes.
    #[serde(with = "hex::serde")]
    pub sha256: [u8; 32],
}

impl Access {
    pub(super) fn check(&self) -> Result<(), Error> {
        let invalid = |field, problem| Err(Error::Invalid { field, problem });
        if self.client_ca.is_none() && self.tokens.is_empty() {
            return invalid(
                "access",
                "names neither client_ca nor tokens, so nobody could ask; leave it out to let everyone ask",
            );
        }
        if self.tokens.len() > limits::MAX_TOKENS {
            return invalid("access.tokens", "has more than 256 entries");
        }
        if self.requests_per_minute == Some(0) {
            return invalid("access.requests_per_minute", "is 0, so nobody could ask");
        }
        Ok(())
    }
}
