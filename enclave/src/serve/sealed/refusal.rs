//! What a sealed image is refused for. None of it holds anything of the image.

use axum::http::StatusCode;
use cloister_imaging::View;
use cloister_seal::Purpose;

use crate::disclose::{Disclose, Words, words};
use crate::limits;
use crate::serve::problem::Problem;

/// Why a sealed image is not opened.
#[derive(Clone, Debug)]
pub(in crate::serve) enum Refusal {
    /// It is no sealed file, or not what was sealed.
    Damaged(Words),
    /// It was sealed as something else.
    Purpose(Purpose),
    /// Its context is not that of an image.
    Context,
    /// It was sealed as another view than it was sent as.
    OtherView,
    /// Its key is none of the measured configuration's.
    KeyNotAllowed,
    /// KMS does not open its wrapped key.
    WrappedKey(Words),
    /// KMS released no key.
    NotReleased(Words),
    /// KMS released no key in time.
    Late,
    /// There is nothing in it.
    Empty,
    /// It is a part of an exam.
    Part(View),
}

impl Refusal {
    pub(in crate::serve) fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        const UNFIT: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        match self {
            Self::Damaged(_) => (UNFIT, "sealed-damaged", "The sealed image is not what was sealed"),
            Self::Purpose(_) => (UNFIT, "sealed-not-an-image", "The sealed file is not an image"),
            Self::Context => (UNFIT, "sealed-not-an-image", "The sealed file's encryption context is not an image's"),
            Self::OtherView => (UNFIT, "sealed-other-view", "The image was sealed as another view"),
            Self::KeyNotAllowed => (
                StatusCode::FORBIDDEN,
                "data-key-not-allowed",
                "The image's key is not one of this enclave's data keys",
            ),
            Self::WrappedKey(_) => (UNFIT, "wrapped-key-refused", "KMS does not open the image's data key"),
            Self::NotReleased(_) | Self::Late => {
                (StatusCode::SERVICE_UNAVAILABLE, "data-key-not-released", "The image's data key was not released")
            }
            Self::Empty => (StatusCode::BAD_REQUEST, "empty", "There is no image in the sealed file"),
            Self::Part(_) => (UNFIT, "sealed-part", "An exam takes plain images"),
        }
    }

    pub(in crate::serve) fn detail(&self) -> Option<String> {
        let words = match self {
            Self::Damaged(reason) | Self::WrappedKey(reason) | Self::NotReleased(reason) => reason.clone(),
            Self::Purpose(purpose) => words!["it was sealed as a ", *purpose],
            Self::KeyNotAllowed => Words::of("[data] key_arns of the measured configuration lists them"),
            Self::Late => words!["it did not come within ", limits::DATA_KEY_TIMEOUT],
            Self::Part(view) => words![*view, " is sealed; send sealed images one by one to /v1/images"],
            Self::Context | Self::OtherView | Self::Empty => return None,
        };
        Some(words.to_string())
    }
}

impl From<cloister_seal::Error> for Refusal {
    fn from(error: cloister_seal::Error) -> Self {
        Self::Damaged(error.words())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Sealed(refusal)
    }
}
