//! The parent's control endpoint, from inside: a sealed model, credentials, settings, events, logs. All of it is hint or ciphertext;
//! nothing here is believed because the parent said it.

mod events;
mod logs;
mod presence;
mod sealed_file;
mod settings;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use cloister_transport::{Address, dial};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::timeout;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use events::{Event, Events};
pub use sealed_file::SealedFile;
pub use settings::Settings;

use crate::config::Setting;
use crate::disclose::{Disclose, Words, words};
use crate::limits;
use presence::Presence;

/// Why the parent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens at the control address.
    Unreachable(#[from] cloister_transport::Error),
    /// The connection broke.
    Connection(#[from] hyper::Error),
    /// A request could not be built.
    Request(#[from] http::Error),
    /// No answer in time.
    Timeout {
        /// What was asked for.
        what: &'static str,
    },
    /// An answer with a status that is no success.
    Status {
        /// What was asked for.
        what: &'static str,
        /// The answer's status.
        status: StatusCode,
    },
    /// An answer that is not what the control endpoint's contract says.
    Malformed {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The sealed model changed while it was fetched.
    Replaced,
    /// The parent sets something that the measured configuration does not let it.
    SettingNotAllowed(Words),
    /// The parent sets something that it may, to a value out of its bounds.
    SettingValue(Setting),
}

impl Disclose for Error {
    fn words(&self) -> Words {
        match self {
            Self::Unreachable(error) => words!["the parent's control endpoint cannot be reached: ", error.words()],
            Self::Connection(_) => Words::of("the connection to the parent broke"),
            Self::Request(_) => Words::of("the request to the parent cannot be built"),
            Self::Timeout { what } => {
                words!["the parent gave no answer about ", *what, " within ", limits::PARENT_ANSWER_TIMEOUT]
            }
            Self::Status { what, status } => words!["the parent's answer about ", *what, " has status ", *status],
            Self::Malformed { what, reason } => {
                words!["the parent's answer about ", *what, " cannot be used: ", *reason]
            }
            Self::Replaced => Words::of("the sealed model was replaced while it was being fetched"),
            Self::SettingNotAllowed(name) => words![
                "the parent sets ",
                name,
                ", which launch.parent_may_set of the measured configuration does not list: take it away"
            ],
            Self::SettingValue(setting) => {
                words!["the parent sets ", *setting, " to something that is no number within its bounds"]
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
}

/// AWS credentials as the parent hands them out. They open nothing by themselves: KMS asks for the measurement too.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Credentials {
    /// The access key's identifier.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
    /// The session's token, for temporary ones.
    pub session_token: Option<String>,
}

/// A client of one control endpoint. Each request has a connection of its own.
#[derive(Clone)]
pub struct Parent {
    control: Address,
    presence: Presence,
}

impl Parent {
    /// A client of the endpoint at `control`, which is [`gone`](Self::gone) when nothing reached it for `limit`.
    pub fn new(control: Address, limit: Duration) -> Self {
        Self { control, presence: Presence::within(limit) }
    }

    /// Completes when every request has failed for the limit, and for [`limits::PARENT_FIRST_TIMES`] times as long where none ever
    /// succeeded. The last event, which is told again and again, sees to it that there are requests.
    pub async fn gone(&self) {
        self.presence.gone().await;
    }

    /// Whether that has completed.
    pub fn is_gone(&self) -> bool {
        self.presence.is_gone()
    }

    /// Asks for credentials.
    ///
    /// # Errors
    /// When the parent does not answer, or not with credentials.
    pub async fn credentials(&self) -> Result<Credentials, Error> {
        self.fetch_credentials(request(Method::GET, "/v1/credentials")).await
    }

    /// Asks for others than those that the parent has at hand, which KMS took for expired.
    ///
    /// # Errors
    /// As [`Parent::credentials`].
    pub async fn renewed_credentials(&self) -> Result<Credentials, Error> {
        let request = request(Method::GET, "/v1/credentials").header(header::CACHE_CONTROL, "no-cache");
        self.fetch_credentials(request).await
    }

    async fn fetch_credentials(&self, request: http::request::Builder) -> Result<Credentials, Error> {
        const WHAT: &str = "credentials";
        let request = request.body(Full::default())?;
        let answer = self.exchange(WHAT, request, limits::MAX_CREDENTIALS_BYTES).await?;
        expect(WHAT, &answer, StatusCode::OK)?;
        let body = Zeroizing::new(answer.into_body().to_vec());
        // The parser's own message could quote the secret.
        serde_json::from_slice(&body).map_err(|_| Error::Malformed { what: WHAT, reason: "not credentials" })
    }

    async fn exchange(
        &self,
        what: &'static str,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Response<Bytes>, Error> {
        let answer = async {
            let stream = dial(&self.control, limits::PARENT_TIMEOUT).await?;
            let (mut requests, connection) = handshake(TokioIo::new(stream)).await?;
            let connection = tokio::spawn(connection);
            let response = requests.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, limit)
                .collect()
                .await
                .map_err(|_| Error::Malformed { what, reason: "longer than it may be, or cut short" })?
                .to_bytes();
            connection.abort();
            Ok(Response::from_parts(parts, body))
        };
        let answer = timeout(limits::PARENT_ANSWER_TIMEOUT, answer).await.unwrap_or(Err(Error::Timeout { what }));
        self.presence.note(answer.is_ok());
        answer
    }
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "parent")
}

fn expect(what: &'static str, answer: &Response<Bytes>, expected: StatusCode) -> Result<(), Error> {
    let status = answer.status();
    if status == expected { Ok(()) } else { Err(Error::Status { what, status }) }
}

/// How long to wait before the try with that number, counted from 0: doubling, with a ceiling.
pub fn backoff(attempt: u32) -> Duration {
    limits::FIRST_RETRY.saturating_mul(2u32.saturating_pow(attempt)).min(limits::LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_up_to_its_ceiling() {
        assert_eq!(backoff(0), limits::FIRST_RETRY);
        assert_eq!(backoff(1), limits::FIRST_RETRY * 2);
        assert_eq!(backoff(u32::MAX), limits::LAST_RETRY);
    }
}
