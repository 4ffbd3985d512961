//! Every bound of this crate, and why it is what it is.

use std::time::Duration;

/// The longest answer line to a hybrid vsock handshake: `OK ` and a 32-bit number are 14 bytes with the newline.
pub(crate) const HYBRID_ANSWER_BYTES: usize = 32;

/// The longest answer head to a CONNECT request. Ours is under 200 bytes; other proxies add a few fields.
pub(crate) const CONNECT_HEAD_BYTES: usize = 8 * 1024;

/// How much of a refusing proxy's text is kept for the error.
pub(crate) const CONNECT_REASON_BYTES: usize = 1024;

/// How long a refusing proxy may take over that text; the status alone says enough.
pub(crate) const CONNECT_REASON_TIMEOUT: Duration = Duration::from_secs(2);

/// One relay buffer. Linux carries a vsock packet of up to 64 KiB, so that a smaller one would split packets.
pub(crate) const RELAY_BUFFER_BYTES: usize = 64 * 1024;

/// A relayed connection on which nothing moves for this long is cut. Longer than one exam takes on a slow machine, during
/// which a client only waits.
pub(crate) const RELAY_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Once one side has ended, the other may be silent for this long. An answer that is being sent goes on; a client that was hung
/// up on and does not notice gives its place back.
pub(crate) const RELAY_HALF_CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that one listener serves at once, unless told otherwise.
pub(crate) const MAX_CONNECTIONS: usize = 256;

/// How long connections may take to finish after a shutdown begins, unless told otherwise. Under the 30 seconds that
/// Kubernetes leaves between SIGTERM and SIGKILL.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// After a failed accept (out of descriptors, mostly) the loop waits, so that it does not spin.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest host name (RFC 1035, section 2.3.4, in text form).
pub(crate) const HOST_BYTES: usize = 253;
