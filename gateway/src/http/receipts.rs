//! `/receipts/check`: what a receipt says, and whether it is to be believed.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA384, digest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use cloister_client::receipt;
use cloister_receipt::Unverified;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Details, Problem};
use crate::access::Caller;
use crate::gateway::Gateway;
use crate::times::words;
use crate::worklist::{ModelName, Scores, reading};

/// A receipt that was checked.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checked {
    /// Whether an enclave of the policy's signed it.
    believed: bool,
    /// The same in a sentence.
    sentence: String,
    /// What it says; nothing of it is true where it is not believed.
    claims: Option<Claims>,
    /// The policy's entry that the enclave matches.
    label: Option<String>,
    /// The enclave's own identifier.
    module_id: Option<String>,
    /// When its security module signed the document.
    document_time: Option<String>,
    /// The exam that it is of, where it is one of this gateway's.
    exam: Option<String>,
}

/// What a receipt says.
#[derive(Serialize, ToSchema)]
pub(crate) struct Claims {
    time: String,
    program: String,
    model: ModelName,
    views: Vec<ClaimedView>,
    breasts: Option<BTreeMap<String, Scores>>,
    nonce: Option<String>,
}

/// What it says of one image.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClaimedView {
    view: String,
    pixels_sha256: String,
    scores: Scores,
    sop_instance_uid: Option<String>,
    map_sha256: Option<String>,
}

impl Claims {
    fn of(receipt: &cloister_receipt::Receipt) -> Self {
        let view = |view: &cloister_receipt::View| ClaimedView {
            view: view.view.clone(),
            pixels_sha256: hex::encode(view.pixels_sha256),
            scores: view.scores.clone(),
            sop_instance_uid: view.sop_instance_uid.clone(),
            map_sha256: view.map.as_ref().map(|map| hex::encode(map.sha256)),
        };
        Self {
            time: words(receipt.time),
            program: receipt.software.clone(),
            model: ModelName {
                name: receipt.model.name.clone(),
                version: receipt.model.version,
                digest: hex::encode(receipt.model.digest),
            },
            views: receipt.views.iter().map(view).collect(),
            breasts: Some(receipt.breasts.clone()).filter(|breasts| !breasts.is_empty()),
            nonce: receipt.nonce.as_ref().map(hex::encode),
        }
    }
}

/// Checks a receipt under the gateway's policy, as of the receipt's own time.
#[utoipa::path(
    post, path = "/api/v1/receipts/check", tag = "receipts", request_body(content = Vec<u8>, content_type = "application/cose"),
    responses((status = 200, body = Checked), (status = 401, body = Details), (status = 422, body = Details))
)]
pub(crate) async fn check(
    State(gateway): State<Gateway>,
    _caller: Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Checked>, Problem> {
    let body = body.map_err(|broken| Problem::NotAReceipt(broken.body_text()))?;
    let unverified = Unverified::parse(&body).map_err(|error| Problem::NotAReceipt(error.to_string()))?;
    let claims = Some(Claims::of(unverified.claims()));
    let checked = match receipt::verify(&body, gateway.enclaves.policy()) {
        Ok(verified) => {
            let name = hex::encode(digest(&SHA384, &body));
            let exam = gateway.worklist.with(move |list| reading::by_receipt(list, &name)).await?;
            Checked {
                believed: true,
                sentence: format!("An enclave that the policy accepts as {} signed it.", verified.label),
                claims,
                label: Some(verified.label),
                module_id: Some(verified.module_id),
                document_time: Some(words(verified.document_time)),
                exam,
            }
        }
        Err(error) => Checked {
            believed: false,
            sentence: format!("It is not to be believed: {error}."),
            claims,
            label: None,
            module_id: None,
            document_time: None,
            exam: None,
        },
    };
    Ok(Json(checked))
}
