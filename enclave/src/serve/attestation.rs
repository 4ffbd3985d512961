//! `GET /v1/attestation`: a document over the caller's nonce and this connection's key.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use cloister_nsm::AttestRequest;
use serde::Deserialize;

use std::sync::Arc;

use super::Shared;
use super::images::ready;
use super::problem::Problem;
use crate::disclose::{Disclose, Record, log};
use crate::identity::Identity;
use crate::limits;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    nonce: Option<String>,
}

/// A document as the security module signs it: an untagged COSE_Sign1.
#[utoipa::path(
    get, path = "/v1/attestation", tag = "attestation",
    params(("nonce" = String, Query, description = "16 to 512 random bytes of the caller, in hexadecimal")),
    responses(
        (status = 200, content_type = "application/cose", description = "The attestation document. Its nonce is the caller's; its \
            user_data is the CBOR map {\"v\": 1, \"tls\": SHA-384 of this connection's SubjectPublicKeyInfo, \
            \"receipt\": that of the key that signs its receipts}; PCR16 holds the model, \
            PCR17 the configuration."),
        (status = 400, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 503, body = super::problem::Details, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(shared): State<Shared>,
    Extension(identity): Extension<Arc<Identity>>,
    query: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Query(parameters) = query.map_err(|error| Problem::Query(error.body_text()))?;
    let nonce = nonce(parameters.nonce.as_deref())?;
    let loaded = ready(&shared)?;
    let _permit = loaded.admission.attestation().await?;
    let request = AttestRequest { public_key: None, user_data: Some(identity.user_data()), nonce: Some(nonce) };
    let nsm = shared.nsm.clone();
    let document = tokio::task::spawn_blocking(move || nsm.attest(&request))
        .await
        .map_err(|_| Problem::Attestation)?
        .map_err(|error| {
        log(Record::NoDocument { reason: error.words() });
        Problem::Attestation
    })?;
    Ok((
        [(header::CONTENT_TYPE, "application/cose; cose-type=\"cose-sign1\""), (header::CACHE_CONTROL, "no-store")],
        document,
    ))
}

fn nonce(text: Option<&str>) -> Result<Vec<u8>, Problem> {
    let text =
        text.ok_or_else(|| Problem::Query("nonce is missing: 16 to 512 random bytes in hexadecimal".to_owned()))?;
    let nonce = hex::decode(text).map_err(|error| Problem::Query(format!("nonce is not hexadecimal: {error}")))?;
    if limits::NONCE_BYTES.contains(&nonce.len()) {
        Ok(nonce)
    } else {
        Err(Problem::Query(format!("nonce has {} bytes; 16 to 512 are taken", nonce.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_that_is_missing_short_long_or_not_hexadecimal_is_refused() {
        let long = "00".repeat(513);
        for text in [None, Some(""), Some("0011"), Some("zz"), Some(long.as_str())] {
            assert!(matches!(nonce(text), Err(Problem::Query(_))), "{text:?}");
        }
        assert_eq!(nonce(Some(&"ab".repeat(16))).unwrap(), [0xab; 16]);
    }
}
