//! Why the proxy did not start, and why it refused a client.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits;

/// Every way in which the proxy, or one request to it, fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The allowlist cannot be read.
    #[error("the allowlist {} cannot be read: {source}", path.display())]
    AllowlistFile {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The allowlist is not what it should be.
    #[error(
        "the allowlist cannot be used: {0} (expected `allowlist:` and lines like `- {{address: kms.us-east-1.amazonaws.com, port: 443}}`)"
    )]
    Allowlist(String),
    /// A host that is not on the allowlist.
    #[error("{host}:{port} is not on the allowlist")]
    NotListed {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// A request that is not a CONNECT request as RFC 9110 and 9112 write it.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// Another method than CONNECT.
    #[error("only CONNECT is spoken here")]
    Method,
    /// A request head past its limit.
    #[error("the request's head is longer than {} bytes", limits::HEAD_BYTES)]
    HeadTooLong,
    /// A client that did not send its request in time.
    #[error("the request did not arrive within {} ms", .0.as_millis())]
    Slow(Duration),
    /// The client went away.
    #[error("the client's connection broke: {0}")]
    Client(#[source] io::Error),
    /// The client ended before its request did.
    #[error("the client left before its request was whole")]
    Left,
    /// The name has no address of the family that the proxy was told to use.
    #[error("{0} has no address of the family that this proxy uses")]
    Family(String),
    /// A listed name that leads to this machine or its link.
    #[error(
        "{host} leads to {address}, which is this machine's or its link's: list that address itself if it is meant"
    )]
    Inward {
        /// The name asked for.
        host: String,
        /// What the resolver answered.
        address: IpAddr,
    },
    /// The name could not be resolved.
    #[error(transparent)]
    Unresolved(cloister_transport::Error),
    /// None of the host's addresses took the connection.
    #[error("{host}:{port} cannot be reached: {source}")]
    Unreachable {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// What the last address answered.
        source: io::Error,
    },
    /// The host took too long.
    #[error("{host}:{port} did not answer within {} ms", after.as_millis())]
    HostTimeout {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// How long it was given.
        after: Duration,
    },
}

impl Error {
    /// What the client is told: an HTTP status and its reason phrase. `None` when there is nobody to tell.
    pub(crate) fn status(&self) -> Option<(u16, &'static str)> {
        match self {
            Self::NotListed { .. } | Self::Inward { .. } => Some((403, "Forbidden")),
            Self::Malformed(_) => Some((400, "Bad Request")),
            Self::Method => Some((405, "Method Not Allowed")),
            Self::HeadTooLong => Some((431, "Request Header Fields Too Large")),
            Self::Slow(_) => Some((408, "Request Timeout")),
            Self::Unresolved(_) | Self::Unreachable { .. } | Self::Family(_) => Some((502, "Bad Gateway")),
            Self::HostTimeout { .. } => Some((504, "Gateway Timeout")),
            Self::Client(_) | Self::Left | Self::AllowlistFile { .. } | Self::Allowlist(_) => None,
        }
    }

    /// The stable part of the problem's `type` (RFC 9457), and the reason in the log.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NotListed { .. } => "not-listed",
            Self::Malformed(_) => "malformed",
            Self::Method => "method",
            Self::HeadTooLong => "head-too-long",
            Self::Slow(_) => "slow",
            Self::Inward { .. } => "inward-address",
            Self::Unresolved(_) => "unresolved",
            Self::Unreachable { .. } => "unreachable",
            Self::Family(_) => "address-family",
            Self::HostTimeout { .. } => "host-timeout",
            Self::Client(_) | Self::Left => "client-left",
            Self::AllowlistFile { .. } | Self::Allowlist(_) => "allowlist",
        }
    }
}
