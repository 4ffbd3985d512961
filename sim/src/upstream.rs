//! The server behind a simulated one: moto, on plain HTTP of the loopback address.
//!
//! Requests go on as they came. What moto must know besides is the account, which it takes from `x-moto-account-id` before it looks at
//! the access key; it checks no signature, so that questions of our own carry an `Authorization` that only names service and region.

use std::net::SocketAddr;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::https::JSON;
use crate::limits::{MAX_ANSWER, UPSTREAM_TIMEOUT};

/// The header by which moto is told the account.
const ACCOUNT: HeaderName = HeaderName::from_static("x-moto-account-id");
/// Headers that are about one connection rather than about the message (RFC 9110, 7.6.1), and the length, which is set anew.
const OF_THE_CONNECTION: [HeaderName; 5] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TE, header::TRANSFER_ENCODING, header::UPGRADE];

/// Why a server behind gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("{0} cannot be reached: {1}")]
    Connect(String, std::io::Error),
    #[error("{0} does not speak HTTP: {1}")]
    Http(String, hyper::Error),
    #[error("{0} took longer than {UPSTREAM_TIMEOUT:?}")]
    Time(String),
    #[error("{0} answered with more than {MAX_ANSWER} bytes, or not to the end")]
    Body(String),
    #[error("a request cannot be made: {0}")]
    Request(#[from] http::Error),
}

/// What it answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The answer as JSON; null when it is something else.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One of AWS's services that speak JSON 1.1.
pub(crate) struct Api {
    /// Its name in signatures.
    pub(crate) service: &'static str,
    /// What `X-Amz-Target` has before the operation, with the dot.
    pub(crate) target: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) struct Upstream {
    address: SocketAddr,
}

impl Upstream {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Sends a request on: as it came, but for its body, and for the account when one is given.
    pub(crate) async fn forward(
        &self,
        parts: &Parts,
        body: Bytes,
        account: Option<&str>,
    ) -> Result<Answer, UpstreamError> {
        let mut request = Request::builder().method(&parts.method).uri(parts.uri.clone()).body(Full::new(body))?;
        *request.headers_mut() = parts.headers.clone();
        let headers = request.headers_mut();
        for name in OF_THE_CONNECTION.iter().chain([&ACCOUNT]) {
            headers.remove(name);
        }
        if let Some(account) = account {
            headers.insert(ACCOUNT, HeaderValue::from_str(account).map_err(http::Error::from)?);
        }
        self.send(request).await
    }

    /// Asks for an operation as somebody of this account.
    pub(crate) async fn ask(
        &self,
        api: &Api,
        operation: &str,
        (account, region): (&str, &str),
        input: &Value,
    ) -> Result<Answer, UpstreamError> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=CLOISTERSIMULATOR000/20260101/{region}/{}/aws4_request, SignedHeaders=host, Signature=00",
            api.service
        );
        let request = Request::post("/")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, JSON)
            .header(header::AUTHORIZATION, authorization)
            .header("x-amz-target", format!("{}{operation}", api.target))
            .header(ACCOUNT, account)
            .body(Full::new(Bytes::from(input.to_string())))?;
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, UpstreamError> {
        let name = self.address.to_string();
        let exchange = async {
            let stream = TcpStream::connect(self.address).await;
            exchange(stream.map_err(|error| UpstreamError::Connect(name.clone(), error))?, request, &name).await
        };
        timeout(UPSTREAM_TIMEOUT, exchange).await.unwrap_or_else(|_| Err(UpstreamError::Time(name.clone())))
    }
}

/// One request and its answer over a connection of their own.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    name: &str,
) -> Result<Answer, UpstreamError> {
    let http = |error| UpstreamError::Http(name.to_owned(), error);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    let (parts, body) = sender.send_request(request).await.map_err(http)?.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|_| UpstreamError::Body(name.to_owned()))?.to_bytes();
    let mut headers = parts.headers;
    for name in &OF_THE_CONNECTION {
        headers.remove(name);
    }
    Ok(Answer { status: parts.status, headers, body })
}
