//! The errors of AWS's JSON 1.1 protocol, as clients see them.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::json;

use crate::upstream::Answer;

/// A refusal, by the name that the service gives it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{name}: {message}")]
pub struct Exception {
    name: Cow<'static, str>,
    status: StatusCode,
    message: String,
}

impl Exception {
    pub(crate) fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name: name.into(), status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    pub(crate) fn malformed_policy(message: impl Into<String>) -> Self {
        Self::new("MalformedPolicyDocumentException", message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new("UnsupportedOperationException", message)
    }

    /// KMS does not say what was wrong with a ciphertext: nor does the simulator.
    pub(crate) fn invalid_ciphertext() -> Self {
        Self::new("InvalidCiphertextException", "")
    }

    pub(crate) fn access_denied(principal: &str, action: &str, resource: &str, because: &str) -> Self {
        let message = format!(
            "User: {principal} is not authorized to perform: {action} on resource: {resource} because {because}"
        );
        Self::new("AccessDeniedException", message)
    }

    /// KMS's own failure.
    pub(crate) fn internal() -> Self {
        Self::failure("KMSInternalException")
    }

    /// A failure that is not the caller's, by the name that the service has for it.
    pub(crate) fn failure(name: &'static str) -> Self {
        let message = "The simulator failed inside; its log says more";
        Self { name: name.into(), status: StatusCode::INTERNAL_SERVER_ERROR, message: message.into() }
    }

    /// The refusal that a server behind answered with, if it is one.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let said = answer.json();
        let name = said["__type"].as_str().filter(|_| answer.status.is_client_error())?;
        let message = said["message"].as_str().unwrap_or_default().to_owned();
        Some(Self { name: name.to_owned().into(), status: answer.status, message })
    }

    /// The exception's name, as in `__type`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What KMS says beside the name; may be empty.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let body = if self.message.is_empty() {
            json!({ "__type": self.name })
        } else {
            json!({ "__type": self.name, "message": self.message })
        };
        body.to_string().into_bytes()
    }
}
