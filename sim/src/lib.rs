//! Simulated AWS services, for development and tests: never part of a release image.

mod calls;
mod certificate;
pub mod ecr;
mod exception;
mod https;
pub mod kms;
mod limits;
pub mod moto;
pub mod nsm;
pub mod python;
mod upstream;

pub use certificate::{CertificateError, TlsAuthority};
pub use https::ListenError;
