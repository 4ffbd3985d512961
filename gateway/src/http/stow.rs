//! `/dicomweb`: STOW-RS.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::problem::{Details, Problem};
use crate::access::Caller;
use crate::gateway::Gateway;
use crate::intake::stow;

/// Takes instances of any study.
#[utoipa::path(
    post, path = "/dicomweb/studies", tag = "dicomweb",
    request_body(content = String, content_type = "multipart/related"),
    responses(
        (status = 200, content_type = "application/dicom+json", description = "All were taken"),
        (status = 202, content_type = "application/dicom+json", description = "Some were"),
        (status = 409, content_type = "application/dicom+json", description = "None was"),
        (status = 503, body = Details)
    )
)]
pub(crate) async fn store(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    answer(stow::take(&gateway, &caller, None, &headers, body).await?)
}

/// Takes instances of one study.
#[utoipa::path(
    post, path = "/dicomweb/studies/{study}", tag = "dicomweb", params(("study" = String, Path)),
    request_body(content = String, content_type = "multipart/related"),
    responses((status = 200, content_type = "application/dicom+json", description = "As above"))
)]
pub(crate) async fn store_in(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(study): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    answer(stow::take(&gateway, &caller, Some(&study), &headers, body).await?)
}

fn answer(stored: stow::Stored) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(stored.status()).map_err(|_| Problem::Internal)?;
    let mut response = (status, Json(stored.json())).into_response();
    let kind = HeaderValue::from_static("application/dicom+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
