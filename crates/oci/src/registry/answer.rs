//! What a registry answers, and what its refusals mean.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::auth::Challenge;
use crate::digest::Digest;
use crate::error::{Error, Result, excerpt};
use crate::limits;

/// An answer whose body is still to come.
pub(super) struct Answer {
    response: Response<Incoming>,
    host: String,
    /// The connection.
    _driver: JoinSet<Result<(), hyper::Error>>,
}

/// A registry's errors (distribution-spec, "Error Codes").
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<Code>,
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Answer {
    pub(super) fn new(response: Response<Incoming>, host: String, driver: JoinSet<Result<(), hyper::Error>>) -> Self {
        Self { response, host, _driver: driver }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The digest that the registry says the manifest has.
    pub(super) fn content_digest(&self) -> Result<Option<Digest>> {
        self.header("docker-content-digest").map(str::parse).transpose()
    }

    pub(super) fn location(&self) -> Option<&str> {
        self.header(header::LOCATION)
    }

    pub(super) fn challenge(&self) -> Option<Challenge> {
        let mut offered = self.response.headers().get_all(header::WWW_AUTHENTICATE).iter();
        offered.find_map(|value| Challenge::parse(value.to_str().ok()?))
    }

    /// The next piece of the body.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>> {
        let broken = |reason| Error::Broken { host: self.host.clone(), reason };
        loop {
            let frame = timeout(limits::IDLE_TIMEOUT, self.response.body_mut().frame()).await;
            let frame = frame.map_err(|_| broken(format!("silence for {} s", limits::IDLE_TIMEOUT.as_secs())))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(super::http1::reason(&error))),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The whole body, which is small and has to come soon.
    pub(super) async fn bytes(self, what: &str, limit: u64) -> Result<Vec<u8>> {
        let (host, after) = (self.host.clone(), limits::ANSWER_TIMEOUT);
        let whole = timeout(after, self.collect(what, limit)).await;
        whole.map_err(|_| Error::Broken { host, reason: format!("no whole answer within {} s", after.as_secs()) })?
    }

    async fn collect(mut self, what: &str, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            if (bytes.len() + piece.len()) as u64 > limit {
                return Err(Error::TooLarge { what: format!("{what} of {}", self.host), limit });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    fn retry_after(&self) -> Option<Duration> {
        pause(self.header(header::RETRY_AFTER)?, OffsetDateTime::now_utc())
    }

    /// Its words: codes and messages, or the body's beginning.
    async fn words(self) -> (Refusal, String) {
        let bytes = self.bytes("an error", limits::ANSWER).await.unwrap_or_default();
        let refusal: Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
        let words: Vec<_> = refusal.errors.iter().map(|error| format!("{}: {}", error.code, error.message)).collect();
        let words = if words.is_empty() { String::from_utf8_lossy(&bytes).trim().to_owned() } else { words.join("; ") };
        (refusal, if words.is_empty() { "it says no more".to_owned() } else { excerpt(&words) })
    }

    /// Refused for who asks.
    pub(super) async fn not_authorised(self) -> Error {
        let (host, status) = (self.host.clone(), self.status());
        let (_, detail) = self.words().await;
        // ECR: "Your authorization token has expired. Reauthenticate and try again."
        if detail.to_ascii_lowercase().contains("expired") {
            return Error::Expired { host, detail };
        }
        Error::NotAuthorised { host, detail: format!("{detail} ({})", status.as_u16()) }
    }

    /// Refused for what is asked.
    pub(super) async fn refused(self, request: &str) -> Error {
        let (host, status, retry_after) = (self.host.clone(), self.status(), self.retry_after());
        let (refusal, detail) = self.words().await;
        let has = |codes: &[&str]| refusal.errors.iter().any(|error| codes.contains(&error.code.as_str()));
        let immutable = has(&["TAG_INVALID", "TAG_IMMUTABLE"]) || detail.contains("immutable");
        let repository = || request.trim_start_matches("/v2/").split("/manifests/").next().unwrap_or_default();
        let repository = || repository().split("/blobs/").next().unwrap_or_default().to_owned();
        if status == StatusCode::TOO_MANY_REQUESTS || has(&["TOOMANYREQUESTS"]) {
            Error::Throttled { host, retry_after }
        } else if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            Error::Unavailable { host, status: status.as_u16(), detail, retry_after }
        } else if has(&["BLOB_UPLOAD_UNKNOWN"]) {
            // It was restarted, or forgot the upload; another one may begin.
            Error::Broken { host, reason: format!("it forgot the upload: {detail}") }
        } else if has(&["NAME_UNKNOWN"]) {
            Error::RepositoryUnknown { host, repository: repository() }
        } else if has(&["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "LAYERS_NOT_FOUND"]) {
            Error::ManifestIncomplete { host, detail }
        } else if status.is_client_error() && immutable && request.contains("/manifests/") {
            let tag = request.rsplit('/').next().unwrap_or_default().to_owned();
            Error::TagImmutable { repository: repository(), tag, detail }
        } else {
            let request = excerpt(request.split('?').next().unwrap_or_default());
            Error::Refused { host, request, status: status.as_u16(), detail }
        }
    }
}

/// What `Retry-After` says: seconds, or a date (RFC 9110, section 10.2.3).
fn pause(text: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some((then - now).try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now = datetime!(2015-10-21 07:27:00 UTC);
        assert_eq!(pause("120", now), Some(Duration::from_secs(120)));
        assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(pause("Wed, 21 Oct 2015 07:26:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(pause("soon", now), None);
    }
}
