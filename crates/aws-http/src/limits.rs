//! Every bound of the client, in one place.

use std::time::Duration;

/// To a TLS connection, name look-up, proxy and handshake included, where the SDK sets no connect timeout.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// From the request to the answer's last byte, where the SDK sets no read timeout. KMS answers within a second.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer's body. KMS, STS and the credential endpoints stay far below.
pub const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// An answer's head.
pub const MAX_RESPONSE_HEAD_BYTES: usize = 32 * 1024;
