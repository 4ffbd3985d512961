//! Errors as the interface gives them: RFC 9457 problem details with a stable type.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloister_dicom as dicom;
use cloister_imaging as imaging;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Denied;
use super::sealed::Refusal;
use crate::disclose::Words;
use crate::limits;

/// A problem detail's members (RFC 9457, section 3).
#[derive(Serialize, ToSchema)]
pub(super) struct Details {
    /// `urn:cloister:problem:` and the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// The refusals of a classification, for the interface's description.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes what Problem answers")]
pub(super) enum Refusals {
    /// The query or the body cannot be used.
    #[response(status = 400, content_type = "application/problem+json")]
    Request(Details),
    /// Neither a certificate nor a token that the enclave's configuration knows, where it asks for one.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Details),
    /// The image is sealed under a key that the enclave's configuration does not list.
    #[response(status = 403, content_type = "application/problem+json")]
    DataKey(Details),
    /// The body did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    Stalled(Details),
    /// The body or the image is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Details),
    /// The image is of a kind that is not taken.
    #[response(status = 415, content_type = "application/problem+json")]
    Format(Details),
    /// The image cannot be classified.
    #[response(status = 422, content_type = "application/problem+json")]
    Image(Details),
    /// More than this client may ask for in a minute; Retry-After says when the next request is taken.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Details),
    /// Not ready, or too much at once; Retry-After says when.
    #[response(status = 503, content_type = "application/problem+json")]
    Later(Details),
}

/// Everything that a request can be refused for.
#[derive(Clone, Debug)]
pub(super) enum Problem {
    NotFound,
    Method,
    Unauthorized(Denied),
    TooManyRequests { after: Duration },
    Query(String),
    NotReady(Words),
    QueueFull,
    Busy,
    BodyTooLarge { limit: usize },
    BodyStalled,
    BodyBroken(String),
    Empty,
    NotMultipart(String),
    PartUnknown(String),
    PartTwice(imaging::View),
    PartMissing(imaging::View),
    TooManyParts,
    DecodedTooLarge,
    Dicom { part: Option<String>, refusal: dicom::Refusal },
    OtherView { named: imaging::View, found: imaging::View },
    ExamMixed(&'static str),
    SameImage(imaging::View, imaging::View),
    Image(Option<imaging::View>, imaging::Error),
    ViewNotServed(imaging::View),
    NeedsExam,
    MapUnknownLabel(String),
    MapNotAvailable(&'static str),
    Sealed(Refusal),
    Attestation,
    Receipt,
    Internal(&'static str),
}

impl Problem {
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing at this path"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "This path does not take this method"),
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "It is not known who asks"),
            Self::TooManyRequests { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "This client has asked for too much in a minute")
            }
            Self::Query(_) => (StatusCode::BAD_REQUEST, "query", "The query cannot be used"),
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "The enclave is not ready"),
            Self::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "queue-full", "The queue is full"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much is being uploaded at once"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large"),
            Self::BodyStalled => (StatusCode::REQUEST_TIMEOUT, "body-stalled", "The body did not arrive in time"),
            Self::BodyBroken(_) => (StatusCode::BAD_REQUEST, "body-broken", "The body cannot be read"),
            Self::Empty => (StatusCode::BAD_REQUEST, "empty", "There is no image in the body"),
            Self::NotMultipart(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-multipart", "An exam is multipart/form-data")
            }
            Self::PartUnknown(_) => (StatusCode::BAD_REQUEST, "part-unknown", "A part is not named by a view"),
            Self::PartTwice(_) => (StatusCode::BAD_REQUEST, "part-twice", "A view is there twice"),
            Self::PartMissing(_) => (StatusCode::BAD_REQUEST, "part-missing", "A view is missing"),
            Self::TooManyParts => (StatusCode::BAD_REQUEST, "parts-too-many", "An exam has four parts"),
            Self::DecodedTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "image-too-large", "The image is too large"),
            Self::Dicom { refusal, .. } => dicom_parts(refusal),
            Self::OtherView { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "dicom-other-view",
                "The DICOM file shows another view than the request names",
            ),
            Self::ExamMixed(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "exam-mixed", "The DICOM files are not of one exam")
            }
            Self::SameImage(..) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "exam-same-image", "Two views of the exam are one picture")
            }
            Self::Image(_, error) => image_parts(error),
            Self::ViewNotServed(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "view-not-served", "The model has no network for this view")
            }
            Self::NeedsExam => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "needs-exam",
                "The model looks at four views together and scores no single image",
            ),
            Self::MapUnknownLabel(_) => {
                (StatusCode::BAD_REQUEST, "map-unknown-label", "The model does not score what a map is asked for")
            }
            Self::MapNotAvailable(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "map-not-available", "The model has no maps of where it looked")
            }
            Self::Sealed(refusal) => refusal.parts(),
            Self::Attestation => {
                (StatusCode::SERVICE_UNAVAILABLE, "attestation", "The security module gave no attestation document")
            }
            Self::Receipt => (StatusCode::SERVICE_UNAVAILABLE, "receipt", "No receipt could be signed for the answer"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed inside the enclave"),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::NotReady(reason) => Some(reason.to_string()),
            Self::Query(detail) | Self::BodyBroken(detail) | Self::NotMultipart(detail) => Some(detail.clone()),
            Self::Unauthorized(denied) => Some(denied.to_string()),
            Self::PartUnknown(name) => Some(format!("{name:?} is none of L-CC, R-CC, L-MLO and R-MLO")),
            Self::PartMissing(view) => Some(format!(
                "{view}; a model that scores each view alone takes an exam without it where the request says missing=allow, and gives no score \
                 for its breast"
            )),
            Self::PartTwice(view) | Self::ViewNotServed(view) => Some(view.to_string()),
            Self::BodyTooLarge { limit } => Some(format!("at most {limit} bytes")),
            Self::BodyStalled => Some(format!(
                "{} seconds without a byte, less than {} bytes a second, or {} seconds in all",
                limits::UPLOAD_IDLE_TIMEOUT.as_secs(),
                limits::MIN_UPLOAD_BYTES_PER_SECOND,
                limits::UPLOAD_TIMEOUT.as_secs()
            )),
            Self::Image(None, error) => Some(error.to_string()),
            Self::Image(Some(view), error) => Some(format!("{view}: {error}")),
            Self::TooManyParts => Some("one for each view".to_owned()),
            Self::DecodedTooLarge => Some(format!(
                "decoded, it would take more than {} bytes; without JPEG 2000 it takes less",
                limits::DECODED_BUDGET_BYTES
            )),
            Self::Dicom { part: None, refusal } => Some(refusal.to_string()),
            Self::Dicom { part: Some(part), refusal } => Some(format!("{part}: {refusal}")),
            Self::OtherView { named, found } => Some(format!("named as {named}; the file says {found}")),
            Self::ExamMixed(what) => {
                Some(format!("{what}; mixed=allow takes them all the same, and says so in the answer"))
            }
            Self::NeedsExam => Some("send the four views of an exam to /v1/exams".to_owned()),
            Self::MapUnknownLabel(labels) => Some(format!("ask for one of {labels}")),
            Self::MapNotAvailable(reason) => Some((*reason).to_owned()),
            Self::SameImage(one, other) => {
                Some(format!("{one} and {other} have the same pixels, or mirrored ones: send each view's own image"))
            }
            Self::Sealed(refusal) => refusal.detail(),
            Self::Internal(detail) => Some((*detail).to_owned()),
            Self::NotFound
            | Self::Method
            | Self::TooManyRequests { .. }
            | Self::QueueFull
            | Self::Busy
            | Self::Empty
            | Self::Attestation
            | Self::Receipt => None,
        }
    }

    pub(super) fn with_view(self, view: imaging::View) -> Self {
        match self {
            Self::Dicom { part: None, refusal } => Self::Dicom { part: Some(view.to_string()), refusal },
            Self::Image(None, error) => Self::Image(Some(view), error),
            other => other,
        }
    }
}

/// Some details quote the request, which must not make an answer outgrow its size.
fn cut(mut detail: String) -> String {
    detail.truncate(detail.floor_char_boundary(limits::MAX_DETAIL_BYTES));
    detail
}

impl From<dicom::Refusal> for Problem {
    fn from(refusal: dicom::Refusal) -> Self {
        Self::Dicom { part: None, refusal }
    }
}

/// What a DICOM file is refused for. Its refusals repeat nothing that is about a patient.
fn dicom_parts(refusal: &dicom::Refusal) -> (StatusCode, &'static str, &'static str) {
    use dicom::Refusal as R;
    const UNREADABLE: StatusCode = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    const UNFIT: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    match refusal {
        R::FileTooLarge { .. } | R::Size { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, "image-too-large", "The image is too large")
        }
        R::NotDicom => (UNREADABLE, "not-dicom", "The file is not a DICOM file"),
        R::Truncated | R::Damaged(_) | R::TooMany(_) | R::Missing(_) | R::Value(_) | R::Pixels(_) | R::Mismatch(_) => {
            (UNREADABLE, "dicom-damaged", "The DICOM file is damaged")
        }
        R::TransferSyntax(_) => {
            (UNREADABLE, "dicom-transfer-syntax", "The DICOM file is encoded in a way that is not read")
        }
        R::Colour => (UNREADABLE, "image-colour", "The image is not plain greyscale"),
        R::Bits { .. } => (UNREADABLE, "image-bit-depth", "The image has other grey levels than mammograms have"),
        R::SopClass(_) | R::Modality | R::Frames => (UNFIT, "dicom-not-a-mammogram", "The DICOM file is no mammogram"),
        R::ForProcessing => (UNFIT, "dicom-for-processing", "The DICOM file holds a detector's raw data"),
        R::Implant => (UNFIT, "dicom-implant", "There is an implant in the breast"),
        R::PartialView | R::ModifiedView(_) | R::Magnified | R::OtherView(_) => {
            (UNFIT, "dicom-view-not-taken", "The DICOM file shows a view that is not taken")
        }
        R::NoView | R::NoLaterality => (UNFIT, "dicom-no-view", "The DICOM file does not say which view it is"),
        R::Contradiction(..) => (UNFIT, "dicom-contradiction", "The DICOM file contradicts itself"),
        R::Greys(_) => (UNFIT, "dicom-greys", "The DICOM file's greys are not those of an image for presentation"),
        R::Random => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed inside the enclave"),
    }
}

/// What an image is refused for: the same alone and in an exam.
fn image_parts(error: &imaging::Error) -> (StatusCode, &'static str, &'static str) {
    use imaging::Error as E;
    const UNREADABLE: StatusCode = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    const UNFIT: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        E::FileTooLarge { .. } | E::TooManyPixels { .. } | E::Metadata => {
            (StatusCode::PAYLOAD_TOO_LARGE, "image-too-large", "The image is too large")
        }
        E::NotPng => (UNREADABLE, "not-a-png", "The image is not a PNG file"),
        E::Truncated | E::Damaged => (UNREADABLE, "image-damaged", "The PNG file is damaged"),
        E::Colour | E::Palette | E::Alpha => (UNREADABLE, "image-colour", "The image is not plain greyscale"),
        E::BitDepth(_) => (UNREADABLE, "image-bit-depth", "The image has too few grey levels"),
        E::AllZero => (UNFIT, "image-all-zero", "The image is empty"),
        E::NonZeroBackground | E::Frame => (UNFIT, "image-background", "The image's background is not 0"),
        E::WrongSide { .. } => (UNFIT, "image-wrong-side", "The image shows the other breast than its view says"),
        E::Uniform => (UNFIT, "image-uniform", "The image is of one grey"),
        E::Saturated => (UNFIT, "image-saturated", "Much of the breast has the highest grey"),
        E::CutOff => (UNFIT, "image-cut-off", "Much of the breast is outside of the picture"),
        E::DrawnOver => (UNFIT, "image-drawn-over", "Lines are drawn over the breast"),
        E::NoBreast(_) | E::TooSmall { .. } | E::LittleBreast => {
            (UNFIT, "image-no-breast", "There is no breast in the image")
        }
        E::UnknownView(_) | E::NetworkWindow { .. } | E::BufferLength { .. } | E::Encode(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed inside the enclave")
        }
    }
}

/// Rounded up: whoever comes back after that many seconds does not come too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.parts().2)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, kind, title) = self.parts();
        let details = Details {
            kind: format!("urn:cloister:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: self.detail().map(cut),
        };
        let mut response = (status, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Unauthorized(denied) => {
                headers.insert(header::WWW_AUTHENTICATE, denied.challenge());
            }
            Self::TooManyRequests { after } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        response
    }
}
