//! Attested key release from AWS KMS: a data key that KMS hands only to a measured enclave.
//!
//! What it is: the RSA key that KMS answers to, the reader of that answer, the calls that Cloister makes (`GenerateDataKey` when a
//! model or an image is sealed, `Decrypt` with a `Recipient` when an enclave opens it, `Decrypt` without one when the owner of an image
//! opens its results, `Sign` for enclave images) with every check on what comes back, and an audit of the key policy that a model's
//! release rests on.
//!
//! What it is not: a general client of KMS, or a general reader of CMS. It reads the one shape that KMS sends. It does not judge
//! which key, model or context is the right one either: its caller pins them.

mod arn;
pub mod audit;
mod ber;
mod client;
pub mod cms;
pub mod context;
mod decrypt;
mod error;
mod generate;
pub mod limits;
mod recipient;
mod release;
mod sign;

pub use arn::region_of;
pub use audit::{AuditError, PolicyFinding, audit_key_policy};
pub use client::{KmsClient, Settings, credentials};
pub use cms::open_cms;
pub use decrypt::decrypt_data_key;
pub use error::{Error, Obstacle, Result};
pub use generate::generate_data_key;
pub use recipient::{KeyGenerationFailed, RecipientKey};
pub use release::{Release, release};
pub use sign::{SignError, sign_digest, sign_digest_der};
