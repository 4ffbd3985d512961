//! Every bound of the transport, in one place.

use std::time::Duration;

/// A line of the hybrid handshake: `OK 1073741824` and its like.
pub const MAX_HYBRID_LINE: usize = 32;

/// The head of a proxy's answer to CONNECT.
pub const MAX_CONNECT_ANSWER: usize = 8 * 1024;

/// Each direction of a relay holds this much and no more: a slow reader slows its writer.
pub const RELAY_BUFFER_BYTES: usize = 64 * 1024;

/// A relayed connection on which nothing moves in either direction.
pub const RELAY_IDLE_TIMEOUT: Duration = Duration::from_secs(330);

/// Connections at once, where the caller does not say.
pub const MAX_CONNECTIONS: usize = 1024;

/// How long connections may go on after the listener was told to end.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// After an accept that failed, for want of descriptors for example.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
