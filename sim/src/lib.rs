//! Simulated AWS services, for development and tests: never part of a release image.

pub mod kms;
pub mod nsm;
