//! Receipts: what was computed on which input by which model, signed by a key that lives in the enclave alone.
//!
//! A receipt is a tagged COSE_Sign1 (ES384) over a CBOR map, and carries the attestation document that vouches for its key;
//! `docs/receipts.md` gives both byte by byte. The enclave fills a [`Receipt`] and signs it with its [`SigningKey`]; a reader takes
//! the bytes apart with [`Unverified::parse`] and believes them after [`Unverified::verify`].
//!
//! What it is not: a verifier of the attestation document that vouches for that key (`cloister-attest`), or of the two together
//! (`cloister-client`).

mod claims;
mod encoding;
mod envelope;
mod error;
mod key;
pub mod limits;
mod map;
mod pixels;

pub use claims::{Crops, Map, Model, Receipt, Scores, View};
pub use envelope::Unverified;
pub use error::{Error, Result};
pub use key::SigningKey;
pub use map::map_sha256;
pub use pixels::pixels_sha256;
