//! Attestation documents: parse, verify, policy. No I/O, and no clock of its own: every check takes the time it is made
//! for.
//!
//! Three steps, each of which trusts only the ones before it:
//! 1. [`parse`] reads the one accepted encoding of a document and promises nothing about its truth;
//! 2. [`verify`] proves that a Nitro Security Module under the pinned [`Root`] signed it, at a time that fits, outside
//!    debug mode;
//! 3. a [`Policy`] says whether it is the enclave that one wants: its measurements, its age, the nonce, the TLS key.
//!
//! What it is not: a way to talk to an enclave (that is `cloister-client`), or a check of revocation. AWS publishes
//! lists of revoked certificates, but fetching one takes a network; certificates that live three hours bound what a
//! revoked one can do.

mod binding;
mod cbor;
mod chain;
mod document;
#[cfg(feature = "emulator")]
mod emulator;
mod error;
pub mod limits;
mod pcr;
mod policy;
mod policy_file;
mod root;
mod verify;

pub use binding::Binding;
pub use chain::{CertificateSummary, Place};
pub use document::{Document, parse};
pub use error::{Error, PolicyError, Result, Stage};
pub use pcr::{CONFIGURATION_PCR, MODEL_PCR, extended, parse_pcr};
pub use policy::{Accepted, Expected, Measurement, Policy};
pub use root::Root;
pub use verify::{Verified, verify};
