//! The HTTP client under the AWS SDK: our transport below, TLS ended here.
//!
//! The SDK's own connector opens sockets of the system, which an enclave does not have. This one dials over
//! [`cloister_transport`], straight or through a CONNECT proxy, so that whoever carries the bytes sees TLS and nothing else. It makes one
//! connection for each request, takes requests and answers whole, and bounds both in time and size: it is for control traffic
//! (KMS, STS, metadata endpoints), and for [`objects`] that fit in memory.

mod connector;
mod error;
mod exchange;
pub mod limits;
mod roots;
mod target;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use cloister_transport::Address;

pub use error::Error;
pub use roots::Roots;

/// The way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Egress {
    /// TCP from here.
    Direct,
    /// Through the HTTP CONNECT proxy at that address, which looks names up as well.
    Proxy(Address),
}

/// A client for `aws_config` and for each service's configuration.
///
/// Certificates are checked for the host's name against `roots`, TLS is 1.2 or 1.3. Plain HTTP is refused, but for the
/// credential endpoints of this machine in [`Egress::Direct`]. The SDK's connect and read timeouts hold where they are set, those of
/// [`limits`] elsewhere; the read timeout counts from the request to the answer's last byte.
///
/// # Errors
/// [`Error::Pem`] or [`Error::NoRoots`] for unusable roots, [`Error::Tls`] when TLS cannot be set up at all.
pub fn client(egress: Egress, roots: Roots) -> Result<SharedHttpClient, Error> {
    objects(egress, roots, limits::MAX_RESPONSE_BYTES)
}

/// The same for answers of at most that many bytes, which are in memory as a whole.
///
/// # Errors
/// As [`client`].
pub fn objects(egress: Egress, roots: Roots, most: usize) -> Result<SharedHttpClient, Error> {
    Ok(SharedHttpClient::new(connector::Client::new(egress, roots::tls(&roots)?, most)))
}
