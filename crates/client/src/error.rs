//! What can go wrong between a front end and an enclave, one variant per reason.

use std::time::Duration;

use cloister_attest::{self as attest, Stage};
use cloister_imaging::View;
use cloister_transport::Address;

/// Why a connection, a verification or a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing answers at the address.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// Where the client tried.
        address: Address,
        /// What the transport said.
        source: cloister_transport::Error,
    },
    /// The other side does not speak TLS 1.3, or closed during the handshake.
    #[error("no TLS 1.3 connection with the enclave behind {address}: {source}")]
    Handshake {
        /// Where the client tried.
        address: Address,
        /// What TLS said.
        source: std::io::Error,
    },
    /// The certificate of the handshake cannot be read.
    #[error("the certificate of the TLS handshake cannot be read, so nothing was sent")]
    Certificate,
    /// The client's own TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system's random generator failed.
    #[error("the system gave no random bytes for a nonce")]
    Random,
    /// The document does not prove what the policy asks for. Nothing was sent.
    #[error("the enclave is not verified, so nothing was sent: {0}")]
    NotVerified(#[from] attest::Error),
    /// The connection broke, or HTTP on it did.
    #[error("the connection to the enclave broke: {0}")]
    Connection(#[from] hyper::Error),
    /// A request could not be built.
    #[error("the request cannot be built: {0}")]
    Request(#[from] http::Error),
    /// No answer within the time given.
    #[error("no answer to {what} within {} seconds", after.as_secs())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        after: Duration,
    },
    /// An answer larger than any true one.
    #[error("the answer to {what} is larger than {limit} bytes")]
    TooLarge {
        /// Which answer.
        what: &'static str,
        /// The bound that it passed.
        limit: usize,
    },
    /// An answer that is not what the interface says.
    #[error("the answer to {what} cannot be read: {reason}")]
    Malformed {
        /// Which answer.
        what: &'static str,
        /// What was wrong with it.
        reason: String,
    },
    /// The answer's receipt does not say what the answer says, or is not this enclave's.
    #[error("the answer is not to be trusted: {0}")]
    Receipt(#[from] ReceiptMismatch),
    /// The enclave refused the request, and says why (RFC 9457).
    #[error("the enclave refused the request ({status}): {title}{}", detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default())]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable `type` of the problem.
        kind: String,
        /// One line about the problem.
        title: String,
        /// What was wrong with this request.
        detail: Option<String>,
        /// When to try again, where the enclave says so.
        retry_after: Option<Duration>,
    },
    /// What was to be sent as a sealed image is no sealed file.
    #[error("the image cannot be sent sealed: {0}")]
    NotSealed(cloister_seal::Error),
    /// What was to be sent as a sealed image was sealed as something else.
    #[error("the file was sealed as a {0}, and an image is expected")]
    NotAnImage(cloister_seal::Purpose),
    /// What came back for a sealed image is not its result.
    #[error("the answer is not to be kept: it is not {0}")]
    OtherResult(&'static str),
    /// A map was asked for under what is no label.
    #[error("a map is asked for by a label: lower-case letters, digits and '_' alone")]
    Label,
    /// An exam needs each view once.
    #[error("an exam needs one image of each view: {view} is {problem}")]
    Views {
        /// The view at fault.
        view: View,
        /// `missing` or `there twice`.
        problem: &'static str,
    },
}

impl Error {
    /// What an enclave failed to prove; nothing where no document could be had, so that nothing was checked. An answer that holds no
    /// document is none.
    pub fn unproven(&self) -> Option<Stage> {
        match self {
            Self::NotVerified(refusal) => Some(refusal.stage()),
            Self::TooLarge { .. } | Self::Malformed { .. } => Some(Stage::Shape),
            Self::Unreachable { .. }
            | Self::Handshake { .. }
            | Self::Certificate
            | Self::Tls(_)
            | Self::Random
            | Self::Connection(_)
            | Self::Request(_)
            | Self::Timeout { .. }
            | Self::Receipt(_)
            | Self::Refused { .. }
            | Self::NotSealed(_)
            | Self::NotAnImage(_)
            | Self::OtherResult(_)
            | Self::Label
            | Self::Views { .. } => None,
        }
    }
}

/// Why the receipt that came with an answer does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptMismatch {
    /// There is none.
    #[error("it carries no receipt")]
    Missing,
    /// It does not verify by itself.
    #[error("{0}")]
    NotVerified(#[from] crate::receipt::ReceiptError),
    /// It is signed by another key than the one that this session's document vouches for.
    #[error("its receipt is signed by another key than the one that this session's attestation document vouches for")]
    OtherKey,
    /// It answers another request.
    #[error("its receipt carries another nonce: it answers another request")]
    OtherNonce,
    /// It is dated further from this clock than two right clocks can be apart.
    #[error("its receipt is dated {} s from this machine's clock; {} s are allowed: one of the two clocks is wrong", by.as_secs(), allowed.as_secs())]
    OtherTime {
        /// How far.
        by: Duration,
        /// How far it may be: the policy's skew, and what an enclave's clock is allowed.
        allowed: Duration,
    },
    /// It says something else than the answer.
    #[error("its receipt says another {what} than was sent or shown")]
    Other {
        /// What differs.
        what: &'static str,
    },
}
