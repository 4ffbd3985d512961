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

/// What the lines of a body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    Events,
    Logs,
}

impl Lines {
    /// What one body may hold: bytes, and lines.
    pub(crate) fn most(self) -> (usize, usize) {
        match self {
            Self::Events => (limits::MAX_EVENTS_BYTES, limits::MAX_EVENTS_AT_ONCE),
            Self::Logs => (limits::MAX_LOGS_BYTES, limits::MAX_RECORDS_AT_ONCE),
        }
    }
}

/// What is wrong with a body of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    TooLarge,
    Stalled,
    Broken,
    Malformed { line: usize, reason: &'static str },
    TooMany,
}

impl Fault {
    fn parts(self, lines: Lines) -> (StatusCode, &'static str, &'static str) {
        let of = |events, logs| match lines {
            Lines::Events => events,
            Lines::Logs => logs,
        };
        match self {
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                of("events-too-large", "logs-too-large"),
                of("These are too many events at once", "These are too many log records at once"),
            ),
            Self::Stalled => (
                StatusCode::REQUEST_TIMEOUT,
                of("events-stalled", "logs-stalled"),
                of("The events did not arrive in time", "The log records did not arrive in time"),
            ),
            Self::Broken => (
                StatusCode::BAD_REQUEST,
                of("events-broken", "logs-broken"),
                of("There are no events to read in the body", "There are no log records to read in the body"),
            ),
            Self::Malformed { .. } => (
                StatusCode::BAD_REQUEST,
                of("event-malformed", "log-malformed"),
                of("A line is not an event", "A line is not a log record"),
            ),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                of("events-too-many", "logs-too-many"),
                of("Events come too fast", "Log records come too fast"),
            ),
        }
    }

    fn detail(self, lines: Lines) -> Option<String> {
        match self {
            Self::TooLarge => {
                let (bytes, count) = lines.most();
                Some(format!("at most {bytes} bytes and {count} lines"))
            }
            Self::Malformed { line, reason } => Some(format!("line {line}: {reason}")),
            Self::Stalled | Self::Broken | Self::TooMany => None,
        }
    }
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
    Lines(Lines, Fault),
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
            Self::Lines(lines, fault) => fault.parts(*lines),
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The enclave is not ready"),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Range { length } => Some(format!("it has {length} bytes")),
            Self::Credentials(reason) => Some((*reason).to_owned()),
            Self::Lines(lines, fault) => fault.detail(*lines),
            Self::NotReady(reason) => Some(reason.clone()),
            Self::ModelUnavailable => Some("the parent's log says why".to_owned()),
            Self::NotFound | Self::Method | Self::Precondition => None,
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
