//! Every bound of the proxy, and why it is what it is.

use std::time::Duration;

use cloister_transport::{RelayLimits, ServeLimits};

/// The longest allowlist file. AWS's own, with every region's KMS, has 3 KB.
pub(crate) const ALLOWLIST_BYTES: u64 = 1024 * 1024;

/// The longest request head. Ours has under 200 bytes; HTTP libraries add a few fields.
pub(crate) const HEAD_BYTES: usize = 8 * 1024;

/// How much of what a refused client still sends is read, so that the refusal reaches it before the connection closes.
pub(crate) const LINGER_BYTES: u64 = 64 * 1024;

/// How long that may take.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_millis(500);

/// Connections at once, unless told otherwise.
pub(crate) const MAX_CONNECTIONS: usize = 64;

/// Bounds of one proxy.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of the accept loop. Past its number of connections, others wait.
    pub serve: ServeLimits,
    /// Of each tunnel.
    pub relay: RelayLimits,
    /// From the connection to the end of the request's head.
    pub head_timeout: Duration,
    /// For looking a name up and connecting to one of its addresses.
    pub connect_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            serve: ServeLimits { max_connections: MAX_CONNECTIONS, ..ServeLimits::default() },
            relay: RelayLimits::default(),
            head_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
        }
    }
}
