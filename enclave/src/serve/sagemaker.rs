//! `POST /invocations`: the serving contract of Amazon SageMaker ("Use your own inference code with hosting services").

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::problem::Problem;
use super::{exams, images};

/// Where SageMaker carries a caller's own parameters; here `view=L-CC` and, if wanted, `crops=10`, with a comma between.
const ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");

/// One image with its view in a header, or an exam as multipart.
#[utoipa::path(
    post, path = "/invocations", tag = "sagemaker",
    params(("X-Amzn-SageMaker-Custom-Attributes" = Option<String>, Header, description = "view=L-CC,crops=10; for an exam crops alone")),
    request_body(content = Vec<u8>, content_type = "image/png", description = "An image as /v1/images takes it, or multipart/form-data as \
        /v1/exams takes it"),
    responses(
        (status = 200, description = "As /v1/images or /v1/exams"),
        (status = 400, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 503, body = super::problem::Details, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post(State(shared): State<Shared>, request: Request<Body>) -> Result<Response, Problem> {
    let (view, crops) = attributes(request.headers())?;
    let crops = images::crops(crops)?;
    if is_multipart(request.headers()) {
        return Ok(Json(exams::four(&shared, crops, request).await?).into_response());
    }
    let view = view.ok_or_else(|| Problem::Query(format!("{ATTRIBUTES} names no view, such as view=L-CC")))?;
    let headers = request.headers().clone();
    let answer = images::one(&shared, images::view(&view)?, crops, &headers, request.into_body()).await?;
    Ok(Json(answer).into_response())
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

fn attributes(headers: &HeaderMap) -> Result<(Option<String>, Option<u32>), Problem> {
    let refused = |what: &str| Problem::Query(format!("{ATTRIBUTES}: {what}"));
    let (mut view, mut crops) = (None, None);
    let Some(value) = headers.get(ATTRIBUTES) else { return Ok((view, crops)) };
    let value = value.to_str().map_err(|_| refused("is not text"))?;
    for pair in value.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("view", name)) => view = Some(name.to_owned()),
            Some(("crops", number)) => crops = Some(number.parse().map_err(|_| refused("crops is not a number"))?),
            _ => return Err(refused("takes view=… and crops=…")),
        }
    }
    Ok((view, crops))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static str) -> Result<(Option<String>, Option<u32>), Problem> {
        attributes(&HeaderMap::from_iter([(ATTRIBUTES, header::HeaderValue::from_static(value))]))
    }

    #[test]
    fn attributes_name_a_view_and_a_number_of_crops() {
        assert_eq!(read("view=R-MLO, crops=3").unwrap(), (Some("R-MLO".to_owned()), Some(3)));
        assert_eq!(attributes(&HeaderMap::new()).unwrap(), (None, None));
    }

    #[test]
    fn attributes_that_nobody_knows_are_refused() {
        assert!(read("patient=7").is_err());
        assert!(read("view").is_err());
        assert!(read("crops=many").is_err());
    }
}
