//! Why a connection could not be made, or did not last.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Address, Relayed};

/// Every way in which this crate's functions fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Text that is not an address.
    #[error(
        "`{text}` is not an address: {reason} (vsock://CID:PORT, hybrid:///path:PORT, unix:///path or tcp://HOST:PORT)"
    )]
    InvalidAddress {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The other side could not be reached.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// What was dialled.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The other side did not answer in time.
    #[error("{address} did not answer within {} ms", after.as_millis())]
    Timeout {
        /// What was dialled.
        address: Address,
        /// How long it was given.
        after: Duration,
    },
    /// A name has no addresses.
    #[error("the name {host} cannot be resolved: {source}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The hybrid vsock's host side did not confirm the connection to the guest's port.
    #[error("{address} was not connected to the guest: it answered {answer:?} in place of `OK <port>`")]
    HybridRefused {
        /// What was dialled.
        address: Address,
        /// What came in place of `OK <port>`; empty when the connection was closed.
        answer: String,
    },
    /// Another process answers on the socket to bind.
    #[error("{} is in use: another process answers there; stop it or listen elsewhere", path.display())]
    InUse {
        /// The socket's path.
        path: PathBuf,
    },
    /// There is a file where a socket should be made. It is left alone.
    #[error("{} exists and is not a socket; remove it or listen elsewhere", path.display())]
    NotASocket {
        /// The file's path.
        path: PathBuf,
    },
    /// The system refused the listening address.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// What should be bound.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The proxy answered a CONNECT request with something else than success.
    #[error("the proxy {proxy} refused a connection to {host}:{port} with status {status}: {reason}")]
    ProxyRefused {
        /// The proxy that was asked.
        proxy: Address,
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// HTTP status (RFC 9110, section 15).
        status: u16,
        /// What the proxy said about it, printable and cut short.
        reason: String,
    },
    /// What answers at the proxy's address does not speak HTTP CONNECT.
    #[error("the answer of the proxy {proxy} cannot be used: {reason}")]
    ProxyMalformed {
        /// The proxy that was asked.
        proxy: Address,
        /// What is wrong with its answer.
        reason: &'static str,
    },
    /// A relayed connection broke.
    #[error("a relayed connection broke: {source}")]
    RelayBroken {
        /// What the system said.
        source: io::Error,
        /// What was delivered before.
        relayed: Relayed,
    },
    /// A relayed connection moved no bytes, in neither direction, for too long.
    #[error("a relayed connection was idle for {} ms", after.as_millis())]
    RelayIdle {
        /// The limit that it met.
        after: Duration,
        /// What was delivered before.
        relayed: Relayed,
    },
}
