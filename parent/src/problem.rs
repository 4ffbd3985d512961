//! Errors as both HTTP endpoints give them: RFC 9457 problem details with a stable type.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::limits;

/// A problem detail's members (RFC 9457, section 3).
#[derive(Serialize)]
struct Details {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Everything that a request is refused for.
#[derive(Debug)]
pub(crate) enum Problem {
    NotFound,
    Method,
    ModelUnavailable,
    Precondition,
    Range { length: u64 },
    Credentials(&'static str),
    EventsTooLarge,
    EventsStalled,
    EventsBroken,
    EventMalformed { line: usize, reason: &'static str },
    EventsTooMany,
    NotReady(String),
}

impl Problem {
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing at this path"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "This path does not take this method"),
            Self::ModelUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "model-unavailable", "The sealed model cannot be read")
            }
            Self::Precondition => {
                (StatusCode::PRECONDITION_FAILED, "precondition", "The sealed model is another by now")
            }
            Self::Range { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "range", "The range lies past the sealed model's end")
            }
            Self::Credentials(_) => (StatusCode::SERVICE_UNAVAILABLE, "credentials", "There are no AWS credentials"),
            Self::EventsTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "events-too-large", "These are too many events at once")
            }
            Self::EventsStalled => (StatusCode::REQUEST_TIMEOUT, "events-stalled", "The events did not arrive in time"),
            Self::EventsBroken => (StatusCode::BAD_REQUEST, "events-broken", "There are no events to read in the body"),
            Self::EventMalformed { .. } => (StatusCode::BAD_REQUEST, "event-malformed", "A line is not an event"),
            Self::EventsTooMany => (StatusCode::TOO_MANY_REQUESTS, "events-too-many", "Events come too fast"),
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The enclave is not ready"),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Range { length } => Some(format!("it has {length} bytes")),
            Self::Credentials(reason) => Some((*reason).to_owned()),
            Self::EventsTooLarge => {
                Some(format!("at most {} bytes and {} events", limits::MAX_EVENTS_BYTES, limits::MAX_EVENTS_AT_ONCE))
            }
            Self::EventMalformed { line, reason } => Some(format!("line {line}: {reason}")),
            Self::NotReady(reason) => Some(reason.clone()),
            Self::ModelUnavailable => Some("the parent's log says why".to_owned()),
            Self::NotFound
            | Self::Method
            | Self::Precondition
            | Self::EventsStalled
            | Self::EventsBroken
            | Self::EventsTooMany => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, kind, title) = self.parts();
        let kind = format!("urn:cloister:problem:{kind}");
        let details = Details { kind, title, status: status.as_u16(), detail: self.detail() };
        let mut response = (status, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER_SECONDS));
        }
        if let Self::Range { length } = self
            && let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}"))
        {
            headers.insert(header::CONTENT_RANGE, value);
        }
        response
    }
}
