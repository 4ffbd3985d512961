//! Answers of a few sizes, so that on the relay, where nothing else can be seen, a size tells neither a score nor a refusal.

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Query, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::sagemaker;
use crate::disclose::metrics::Route;
use crate::limits;

/// Brings every answer in JSON to one of [`limits::ANSWER_BYTES`], by spaces behind it (RFC 8259, section 2); one of a route that
/// classifies to the same one whatever it says, and to the largest where maps were asked for. Such an answer is not to be kept on its way either.
pub(super) async fn pad(request: Request, next: Next) -> Response {
    let route = Route::of(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let version = request.version();
    let least = if route.classifies() { classified(asks_for_map(&request)) } else { 0 };
    let mut response = next.run(request).await;
    if route.classifies() {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !is_json(response.headers()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Made anew for what the body becomes.
    parts.headers.remove(header::CONTENT_LENGTH);
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Problem::Internal("the answer could not be written").into_response();
    };
    // HTTP/2 writes heads in its own way, which no length of a body makes up for.
    let head = if version == Version::HTTP_2 { 0 } else { head_bytes(parts.status, &parts.headers) };
    let mut padded = Vec::from(body);
    padded.resize(size(head + padded.len(), least) - head, b' ');
    Response::from_parts(parts, Body::from(padded))
}

/// The JSON of a classification's answer that is sealed before it leaves, as long as any other's, with maps or without.
pub(super) fn whole(mut json: Vec<u8>, maps: bool) -> Vec<u8> {
    json.resize(size(json.len(), classified(maps)), b' ');
    json
}

/// The size of a classification's answer.
fn classified(maps: bool) -> usize {
    let [_, classification, with_maps] = limits::ANSWER_BYTES;
    if maps { with_maps } else { classification }
}

fn asks_for_map(request: &Request) -> bool {
    let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    query.is_ok_and(|Query(pairs)| pairs.iter().any(|(name, _)| name == "map"))
        || sagemaker::asks_for_map(request.headers())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    matches!(kind, Some(b"application/json" | b"application/problem+json"))
}

/// What HTTP/1.1 makes of a status and headers (RFC 9112, sections 4 and 5). The date and the length, which the server adds, are as
/// long in every answer of one size.
fn head_bytes(status: StatusCode, headers: &HeaderMap) -> usize {
    let reason = status.canonical_reason().unwrap_or_default().len();
    headers.iter().map(|(name, value)| name.as_str().len() + ": ".len() + value.len() + "\r\n".len()).sum::<usize>()
        + reason
}

/// The size for so many bytes, and at least for so many.
fn size(bytes: usize, least: usize) -> usize {
    let [.., largest] = limits::ANSWER_BYTES;
    let fitting = limits::ANSWER_BYTES.into_iter().find(|&size| size >= bytes.max(least));
    fitting.unwrap_or_else(|| bytes.next_multiple_of(largest))
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use axum::Router;
    use axum::routing::post;
    use axum::{Json, middleware};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::disclose::Words;

    async fn answer(path: &'static str, version: Version, given: Response) -> (usize, Response) {
        answer_to(Request::post(path).version(version).body(Body::empty()).unwrap(), given).await
    }

    async fn answer_to(request: Request, given: Response) -> (usize, Response) {
        let given = Arc::new(Mutex::new(Some(given)));
        let handler = move || ready(given.lock().unwrap().take().unwrap());
        let router = Router::new().route(request.uri().path(), post(handler)).layer(middleware::from_fn(pad));
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        serde_json::from_slice::<Value>(&body).unwrap();
        let mut headers = parts.headers.clone();
        assert_eq!(headers.remove(header::CONTENT_LENGTH).unwrap(), body.len().to_string().as_str());
        (head_bytes(parts.status, &headers) + body.len(), Response::from_parts(parts, Body::from(body)))
    }

    #[tokio::test]
    async fn a_score_a_refusal_and_a_full_queue_are_of_one_size() {
        for given in [
            Json(json!({"malignant": 0.1})).into_response(),
            Json(json!({"malignant": 0.123_456_789_012_345})).into_response(),
            Problem::QueueFull.into_response(),
            Problem::TooManyRequests { after: Duration::from_secs(12) }.into_response(),
            Problem::Image(None, cloister_imaging::Error::AllZero).into_response(),
            Problem::NotReady(Words::of("why")).into_response(),
        ] {
            let (size, response) = answer("/v1/images", Version::HTTP_11, given).await;
            assert_eq!(size, limits::ANSWER_BYTES[1], "{response:?}");
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        }
    }

    #[tokio::test]
    async fn maps_a_refusal_of_one_and_a_full_queue_are_of_one_size() {
        let map = json!({"label": "malignant", "rows": 128, "columns": 128, "values": "A".repeat(21_848)});
        let exam = json!({"views": vec![json!({"map": map}); 4], "receipt": "A".repeat(10_000)});
        for given in [
            Json(json!({"map": map})).into_response(),
            Json(exam).into_response(),
            Problem::QueueFull.into_response(),
            Problem::MapUnknownLabel("benign, malignant".to_owned()).into_response(),
            Problem::MapNotAvailable("why").into_response(),
        ] {
            let request = Request::post("/v1/exams?crops=1&m%61p=malignant").body(Body::empty()).unwrap();
            let (size, response) = answer_to(request, given).await;
            assert_eq!(size, limits::ANSWER_BYTES[2], "{response:?}");
        }
        let attributes = "view=L-CC, map=benign";
        let request = Request::post("/invocations").header("x-amzn-sagemaker-custom-attributes", attributes);
        let (size, _) = answer_to(request.body(Body::empty()).unwrap(), Problem::Empty.into_response()).await;
        assert_eq!(size, limits::ANSWER_BYTES[2]);
    }

    #[tokio::test]
    async fn in_http_2_all_bodies_of_a_classification_are_of_one_size() {
        for given in [Json(json!({"malignant": 0.5})).into_response(), Problem::Empty.into_response()] {
            let (_, response) = answer("/v1/exams", Version::HTTP_2, given).await;
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert_eq!(body.len(), limits::ANSWER_BYTES[1]);
        }
    }

    #[test]
    fn what_outgrows_a_size_gets_the_next() {
        let [small, middle, large] = limits::ANSWER_BYTES;
        assert_eq!((size(1, 0), size(small, 0), size(small + 1, 0)), (small, small, middle));
        assert_eq!((size(1, middle), size(middle + 1, middle)), (middle, large));
        assert_eq!(size(large + 1, 0), 2 * large);
    }
}
