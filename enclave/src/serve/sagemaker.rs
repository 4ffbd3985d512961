//! `POST /invocations`: the serving contract of Amazon SageMaker ("Use your own inference code with hosting services").

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::Shared;
use super::exams::{Allowed, allows};
use super::problem::Problem;
use super::receipt::Asked;
use super::{exams, images};
use crate::identity::Identity;

/// Where SageMaker carries a caller's own parameters; here `view=L-CC` and, if wanted, `crops=10`, `nonce=…` and
/// `map=malignant`, with commas between.
const ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");

/// One image with its view in a header, or an exam as multipart.
#[utoipa::path(
    post, path = "/invocations", tag = "sagemaker",
    params(("X-Amzn-SageMaker-Custom-Attributes" = Option<String>, Header, description = "view=L-CC,crops=10,nonce=…,map=…; for an exam without view, and with mixed=allow and missing=allow if wanted; for DICOM without view")),
    request_body(content = Vec<u8>, content_type = "image/png", description = "An image as /v1/images takes it, or multipart/form-data as \
        /v1/exams takes it"),
    responses(
        (status = 200, description = "As /v1/images or /v1/exams"),
        (status = 400, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 401, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 429, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 503, body = super::problem::Details, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post(
    State(shared): State<Shared>,
    Extension(identity): Extension<Arc<Identity>>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let attributes = Attributes::read(request.headers())?;
    let asked = Asked::new(identity, attributes.crops, attributes.nonce.as_deref())?.with_map(attributes.map);
    if is_multipart(request.headers()) {
        return Ok(Json(exams::four(&shared, asked, attributes.allowed, request).await?).into_response());
    }
    let view = attributes.view.as_deref().map(images::view).transpose()?;
    let headers = request.headers().clone();
    let reply = images::one(&shared, view, asked, &headers, request.into_body()).await?;
    Ok(reply.into_response())
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

#[derive(Debug, Default, PartialEq)]
struct Attributes {
    view: Option<String>,
    crops: Option<u32>,
    nonce: Option<String>,
    allowed: Allowed,
    map: Option<String>,
}

/// Whether a request's attributes ask for a map, whatever else they say.
pub(super) fn asks_for_map(headers: &HeaderMap) -> bool {
    let value = headers.get(ATTRIBUTES).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(',').any(|pair| pair.trim().starts_with("map="))
}

impl Attributes {
    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let refused = |what: &str| Problem::Query(format!("{ATTRIBUTES}: {what}"));
        let mut attributes = Self::default();
        let Some(value) = headers.get(ATTRIBUTES) else { return Ok(attributes) };
        let value = value.to_str().map_err(|_| refused("is not text"))?;
        for pair in value.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("view", name)) => attributes.view = Some(name.to_owned()),
                Some(("nonce", nonce)) => attributes.nonce = Some(nonce.to_owned()),
                Some(("map", label)) => attributes.map = Some(label.to_owned()),
                Some(("mixed", word)) => attributes.allowed.mixed = allows("mixed", Some(word))?,
                Some(("missing", word)) => attributes.allowed.missing = allows("missing", Some(word))?,
                Some(("crops", number)) => {
                    attributes.crops = Some(number.parse().map_err(|_| refused("crops is not a number"))?);
                }
                _ => return Err(refused("takes view=…, crops=…, nonce=…, map=…, mixed=… and missing=…")),
            }
        }
        Ok(attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static str) -> Result<Attributes, Problem> {
        Attributes::read(&HeaderMap::from_iter([(ATTRIBUTES, header::HeaderValue::from_static(value))]))
    }

    #[test]
    fn attributes_name_a_view_and_a_number_of_crops() {
        let (view, nonce) = (Some("R-MLO".to_owned()), Some("ab".to_owned()));
        assert_eq!(
            read("view=R-MLO, crops=3,nonce=ab, map=malignant").unwrap(),
            Attributes { view, crops: Some(3), nonce, allowed: Allowed::default(), map: Some("malignant".to_owned()) }
        );
        assert_eq!(Attributes::read(&HeaderMap::new()).unwrap(), Attributes::default());
    }

    #[test]
    fn attributes_that_nobody_knows_are_refused() {
        assert!(read("patient=7").is_err());
        assert!(read("view").is_err());
        assert!(read("crops=many").is_err());
    }
}
