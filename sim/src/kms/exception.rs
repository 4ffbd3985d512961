//! The errors of the KMS protocol, as clients see them.

use http::StatusCode;
use serde_json::json;

/// A refusal, by the name that KMS gives it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{name}: {message}")]
pub struct Exception {
    name: &'static str,
    status: StatusCode,
    message: String,
}

impl Exception {
    pub(crate) fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, status: StatusCode::BAD_REQUEST, message: message.into() }
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

    pub(crate) fn internal() -> Self {
        let message = "The simulator failed inside; its log says more";
        Self { name: "KMSInternalException", status: StatusCode::INTERNAL_SERVER_ERROR, message: message.into() }
    }

    /// The exception's name, as in `__type`.
    pub fn name(&self) -> &'static str {
        self.name
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
