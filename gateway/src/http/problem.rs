//! Errors as the interface gives them: RFC 9457 problem details with a stable type.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Denied;
use crate::enclaves::Enclave;
use crate::intake::Refused;
use crate::{Error, limits};

/// A problem detail's members (RFC 9457, section 3).
#[derive(Serialize, ToSchema)]
pub(crate) struct Details {
    /// `urn:cloister:problem:` and the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Where no enclave is verified: what was found of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    enclaves: Option<Vec<Enclave>>,
}

/// Everything that a request can be refused for.
#[derive(Debug)]
pub(crate) enum Problem {
    NotFound,
    Method,
    SignedOut,
    SignInRefused,
    NotMeant,
    NotAllowed,
    Host,
    Locked(u64),
    TooMany(u64),
    Provider,
    Query(String),
    Intake(Refused),
    NotVerified(Vec<Enclave>),
    ImagesDeleted,
    NotFailed,
    NotAnswered,
    NotAReceipt(String),
    TooManyStreams,
    Internal,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        tracing::error!(%error, "a request failed");
        Self::Internal
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Disk(error) => error.into(),
            other => Self::Intake(other),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown => Self::SignedOut,
            Denied::NotMeant => Self::NotMeant,
            Denied::Locked { after, .. } => Self::Locked(after),
            Denied::TooMany(after) => Self::TooMany(after),
            Denied::Host => Self::Host,
            Denied::Provider => Self::Provider,
        }
    }
}

/// An intake's refusal in a sentence, for folders where there is nobody to answer.
pub(crate) fn sentence(refused: &Refused) -> String {
    let (_, _, title) = intake(refused);
    match detail(refused) {
        Some(detail) => format!("{title}: {detail}."),
        None => format!("{title}."),
    }
}

fn intake(refused: &Refused) -> (StatusCode, &'static str, &'static str) {
    const WRONG: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    match refused {
        Refused::TooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, "upload-too-large", "A file is larger than an enclave takes")
        }
        Refused::TooManyFiles => (StatusCode::BAD_REQUEST, "too-many-files", "There are more files than are taken"),
        Refused::NoFiles => (StatusCode::BAD_REQUEST, "no-files", "There is no file in the request"),
        Refused::NotAnImage(_) => (WRONG, "not-an-image", "A file is no mammogram that an enclave takes"),
        Refused::View(_) => (WRONG, "no-view", "It is not known which view a file shows"),
        Refused::Twice(_) => (WRONG, "part-twice", "A view is there twice"),
        Refused::Missing(_) => (WRONG, "missing-view", "A view is missing"),
        Refused::Mixed => (WRONG, "exam-mixed", "The files are of several patients or studies"),
        Refused::Malformed(_) => (StatusCode::BAD_REQUEST, "body-broken", "The body cannot be read"),
        Refused::Stalled => (StatusCode::REQUEST_TIMEOUT, "body-stalled", "The body did not arrive in time"),
        Refused::Full => (StatusCode::SERVICE_UNAVAILABLE, "queue-full", "There is no room for another exam now"),
        Refused::NotVerified => (StatusCode::CONFLICT, "not-verified", "No enclave is verified, so nothing is sent"),
        Refused::Disk(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed in the gateway"),
    }
}

fn detail(refused: &Refused) -> Option<String> {
    match refused {
        Refused::NotAnImage(detail) | Refused::View(detail) | Refused::Malformed(detail) => Some(detail.clone()),
        Refused::Twice(view) => Some(view.to_string()),
        Refused::Missing(views) => Some(views.iter().map(|view| view.as_str()).collect::<Vec<_>>().join(", ")),
        Refused::TooLarge => Some(format!("at most {} bytes", limits::MAX_IMAGE_BYTES)),
        _ => None,
    }
}

impl Problem {
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing at this path"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "This path does not take this method"),
            Self::SignedOut => (StatusCode::UNAUTHORIZED, "signed-out", "It is not known who asks"),
            Self::SignInRefused => (StatusCode::UNAUTHORIZED, "sign-in-refused", "Name and password do not fit"),
            Self::NotMeant => (StatusCode::FORBIDDEN, "not-meant", "It is not known that this was meant"),
            Self::NotAllowed => (StatusCode::FORBIDDEN, "not-allowed", "Your role does not allow this"),
            Self::Host => (StatusCode::MISDIRECTED_REQUEST, "host", "The gateway has another name"),
            Self::Locked(_) => (StatusCode::TOO_MANY_REQUESTS, "sign-in-locked", "Too many passwords were wrong"),
            Self::TooMany(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "There were too many requests in a minute")
            }
            Self::Provider => (StatusCode::BAD_GATEWAY, "provider", "The provider of identities cannot be asked"),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "query", "The request cannot be used"),
            Self::Intake(refused) => intake(refused),
            Self::NotVerified(_) => intake(&Refused::NotVerified),
            Self::ImagesDeleted => (StatusCode::GONE, "images-deleted", "The images have been deleted"),
            Self::NotFailed => (StatusCode::CONFLICT, "not-failed", "The exam has not failed, or its images are gone"),
            Self::NotAnswered => (StatusCode::NOT_FOUND, "not-answered", "The exam has no answer yet"),
            Self::NotAReceipt(_) => (StatusCode::UNPROCESSABLE_ENTITY, "not-a-receipt", "This is no receipt"),
            Self::TooManyStreams => {
                (StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", "Too many streams of events are open")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed in the gateway"),
        }
    }

    /// What its type ends with.
    pub(super) fn kind(&self) -> &'static str {
        self.parts().1
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Locked(after) | Self::TooMany(after) => Some(*after),
            Self::Intake(Refused::Full) | Self::TooManyStreams => Some(limits::RETRY_AFTER_SECONDS),
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, kind, title) = self.parts();
        let retry_after = self.retry_after();
        let (detail, enclaves) = match self {
            Self::Query(detail) | Self::NotAReceipt(detail) => (Some(detail), None),
            Self::Intake(refused) => (detail(&refused), None),
            Self::NotVerified(enclaves) => (None, Some(enclaves)),
            _ => (None, None),
        };
        let kind = format!("urn:cloister:problem:{kind}");
        let details = Details { kind, title, status: status.as_u16(), detail, enclaves };
        let mut response = (status, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after));
        }
        if status == StatusCode::UNAUTHORIZED {
            // Not `Basic`: a browser would ask with a window of its own.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Cloister realm=\"gateway\""));
        }
        response
    }
}
