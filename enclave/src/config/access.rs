//! Who may ask: client certificates of an authority, bearer tokens known by their hash, and how often each may ask.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Error;
use crate::authorities::Authorities;
use crate::limits;

/// Who may ask for a classification. Either kind of credential will do; attestation and health stay open to everyone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The authorities whose client certificates are taken, in PEM.
    pub client_ca: Option<Authorities>,
    /// The bearer tokens that are taken.
    #[serde(default)]
    pub tokens: Vec<Token>,
    /// How many classifications each client may ask for in a minute, an exam being one; as many as the queue takes when absent.
    pub requests_per_minute: Option<u32>,
}

/// A bearer token, of which the configuration knows the hash alone.
#[derive(Clone, Debug, Deserialize)]
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
        if !self.tokens.iter().all(|token| is_plain(&token.name)) {
            return invalid(
                "access.tokens.name",
                "is not 1 to 64 ASCII letters, digits, dots, hyphens and underscores",
            );
        }
        if self.tokens.iter().map(|token| &token.name).collect::<BTreeSet<_>>().len() < self.tokens.len() {
            return invalid("access.tokens.name", "is there twice");
        }
        if self.tokens.iter().map(|token| token.sha256).collect::<BTreeSet<_>>().len() < self.tokens.len() {
            return invalid("access.tokens.sha256", "is there twice, so that two would count as one");
        }
        if self.requests_per_minute == Some(0) {
            return invalid("access.requests_per_minute", "is 0, so nobody could ask");
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=limits::MAX_TOKEN_NAME_BYTES).contains(&name.len()) && name.chars().all(plain)
}
