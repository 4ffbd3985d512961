//! Connect, verify, then send: the one way in which a front end reaches an enclave.
//!
//! [`connect`] opens TLS to whatever answers and gives an [`Unverified`] connection that can do nothing but ask for an attestation
//! document. [`Unverified::verify`] checks that document against a policy *and against the public key of this very
//! handshake*; only the [`Session`] that it returns can carry an image. A new connection is verified anew.
//!
//! [`receipt::verify`] checks a receipt that was kept, without any connection.
//!
//! It is not a web client: certificates' names and authorities mean nothing here, the attestation document is the identity.

mod answer;
mod credentials;
mod error;
mod findings;
pub mod limits;
mod proof;
pub mod receipt;
mod sealed;
mod sent;
mod session;
mod tls;
mod upload;

pub use answer::{Breast, Classification, Exam, Map, Model, Receipt, Scores};
pub use credentials::{ClientCertificate, CredentialError, Credentials, Token};
pub use error::{Error, ReceiptMismatch};
pub use findings::{finding_words, findings_in_words};
pub use proof::Proof;
pub use sent::Image;
pub use session::{Allowed, Asked, Attested, Options, Session, Unverified, connect};
pub use upload::Progress;
