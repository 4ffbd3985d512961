//! Limits on what the simulated services read and wait for, whichever service it is.

use std::time::Duration;

/// Longest request body: the longest attestation document that KMS takes, in base64, with room for the rest.
pub(crate) const MAX_BODY: usize = 512 * 1024;
/// Longest that a TLS handshake may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that a request's headers and body may take to arrive.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections served at once; further ones wait.
pub(crate) const MAX_CONNECTIONS: usize = 256;
/// Longest that a server behind a simulated one may take to answer: less than AWS's clients wait, so that they hear why.
pub(crate) const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest answer of a server behind a simulated one: ECR's longest manifest (4 MiB), escaped in JSON.
pub(crate) const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// Longest name of an operation that is counted; AWS's are shorter.
pub(crate) const MAX_OPERATION: usize = 64;
/// Different operations that are counted, and changes that are remembered: more than a test makes.
pub(crate) const MAX_RECORDED: usize = 10_000;
