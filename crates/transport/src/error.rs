//! What can go wrong below any protocol.

use std::io;
use std::time::Duration;

use crate::Address;

/// Why a stream could not be had, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: Address,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process listens there.
    #[error("cannot listen on {0}: another process does")]
    InUse(Address),
    /// The address does not answer.
    #[error("cannot connect to {address}: {source}")]
    Dial {
        /// The address.
        address: Address,
        /// The system's reason.
        source: io::Error,
    },
    /// No connection in time.
    #[error("no connection to {address} within {} ms", after.as_millis())]
    Timeout {
        /// The address.
        address: Address,
        /// How long was waited.
        after: Duration,
    },
    /// The host's side of a hybrid vsock did not answer with `OK`.
    #[error("{address} refused the connection: {answer:?} in place of OK")]
    Hybrid {
        /// The address.
        address: Address,
        /// What it said.
        answer: String,
    },
    /// A host that cannot stand in a CONNECT request.
    #[error("{0:?} is not a host name")]
    HostName(String),
    /// The proxy refused to connect.
    #[error("the proxy at {proxy} does not connect to {target}: {status}")]
    ProxyRefused {
        /// The proxy.
        proxy: Address,
        /// `host:port`.
        target: String,
        /// Its status line, from the status code on.
        status: String,
    },
    /// The proxy's answer is not HTTP, or too long.
    #[error("the proxy at {proxy} gave no HTTP answer: {problem}")]
    ProxyAnswer {
        /// The proxy.
        proxy: Address,
        /// What was wrong.
        problem: &'static str,
    },
    /// A relayed connection on which nothing moved.
    #[error("nothing moved for {} s", after.as_secs())]
    Idle {
        /// For how long.
        after: Duration,
    },
    /// A relayed connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
}
