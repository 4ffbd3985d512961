//! What can go wrong between the SDK's request and its answer.

use std::io;
use std::time::Duration;

use aws_smithy_runtime_api::client::result::ConnectorError;

/// Why there is no client, or no answer. The SDK carries the latter as the source of its dispatch failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The given roots are not PEM.
    #[error("the root certificates are not PEM: {0}")]
    Pem(String),
    /// The given PEM holds no certificate that can be a root.
    #[error("the given PEM holds no root certificate")]
    NoRoots,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The request has no URL that this client understands.
    #[error("{url:?} cannot be asked: {problem}")]
    Url {
        /// The request's URL, without its query.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Plain HTTP, and not to a credential endpoint of this machine.
    #[error(
        "plain HTTP to {host} is refused: only this machine's credential endpoints may be asked without TLS, and not through a proxy"
    )]
    Plain {
        /// Where it was to go.
        host: String,
    },
    /// The request cannot be sent as it is.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] cloister_transport::Error),
    /// No connection in time.
    #[error("no TLS connection to {host} within {} ms", after.as_millis())]
    ConnectTimeout {
        /// The host.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// The TLS handshake failed: a certificate of another name or another root, most often.
    #[error("no TLS with {host}: {source}")]
    Handshake {
        /// The host.
        host: String,
        /// The reason; a [`rustls::Error`] inside where TLS itself refused.
        source: io::Error,
    },
    /// No whole answer in time.
    #[error("no whole answer from {host} within {} ms", after.as_millis())]
    ReadTimeout {
        /// The host.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is too long.
    #[error("the answer of {host} is longer than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// The bound.
        limit: usize,
    },
    /// The answer is not HTTP/1, or ends early.
    #[error("the answer of {host} is not whole: {source}")]
    Http {
        /// The host.
        host: String,
        /// The parser's reason.
        source: hyper::Error,
    },
}

impl Error {
    /// The SDK's classes: what is `timeout` or `io` it tries again, the rest it gives up on.
    pub(crate) fn into_connector_error(self) -> ConnectorError {
        use cloister_transport::Error as Transport;
        match &self {
            Self::ConnectTimeout { .. } | Self::Connect(Transport::Timeout { .. }) => {
                ConnectorError::timeout(self.into()).never_connected()
            }
            Self::ReadTimeout { .. } => ConnectorError::timeout(self.into()),
            Self::Connect(Transport::ProxyRefused { .. }) => ConnectorError::other(self.into(), None).never_connected(),
            Self::Connect(_) => ConnectorError::io(self.into()).never_connected(),
            // A connection cut during the handshake may do better the next time, a certificate will not.
            Self::Handshake { source, .. } if source.kind() != io::ErrorKind::InvalidData => {
                ConnectorError::io(self.into())
            }
            Self::Http { source, .. } if !source.is_parse() => ConnectorError::io(self.into()),
            Self::Url { .. } | Self::Plain { .. } | Self::Request(_) => ConnectorError::user(self.into()),
            _ => ConnectorError::other(self.into(), None),
        }
    }
}
