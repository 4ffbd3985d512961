//! What was verified before anything was sent, for people's and programs' eyes.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA384, digest};
use cloister_attest::Policy;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Attested;

/// What was verified, as front ends show it beside an answer.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The label of the policy's entry that the enclave matches.
    pub accepted_as: String,
    /// The enclave's own identifier.
    pub module_id: String,
    /// When its security module signed the document (RFC 3339, UTC).
    pub signed_at: String,
    /// SHA-256 of the root that the document hangs from, in hexadecimal.
    pub root_sha256: String,
    /// The PCRs that are not zero, in hexadecimal.
    pub pcrs: BTreeMap<u16, String>,
    /// SHA-384 of the TLS key of the connection, in hexadecimal.
    pub tls_public_key_sha384: String,
}

impl Proof {
    /// What a session under a policy proved.
    pub fn new(policy: &Policy, attested: &Attested) -> Self {
        let set = |(_, value): &(&u16, &Vec<u8>)| value.iter().any(|&byte| byte != 0);
        Self {
            accepted_as: attested.label.clone(),
            module_id: attested.module_id.clone(),
            signed_at: OffsetDateTime::from(attested.timestamp)
                .format(&Rfc3339)
                .unwrap_or_else(|_| "a time beyond the calendar".to_owned()),
            root_sha256: hex::encode(policy.root().fingerprint()),
            pcrs: attested.pcrs.iter().filter(set).map(|(index, value)| (*index, hex::encode(value))).collect(),
            tls_public_key_sha384: hex::encode(digest(&SHA384, &attested.tls_public_key)),
        }
    }
}
