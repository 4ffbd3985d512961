//! Attested key release from AWS KMS: a data key that KMS hands only to a measured enclave.
//!
//! What it is: the RSA key that KMS answers to, the reader of that answer, the two calls that Cloister makes (`GenerateDataKey`
//! when a model is sealed, `Decrypt` with a `Recipient` when an enclave opens it) with every check on what comes back, and an
//! audit of the key policy that the release rests on.
//!
//! What it is not: a general client of KMS, or a general reader of CMS. It reads the one shape that KMS sends. It does not judge
//! which key, model or context is the right one either: its caller pins them.

mod arn;
pub mod audit;
mod ber;
mod client;
pub mod cms;
pub mod context;
mod error;
mod generate;
pub mod limits;
mod recipient;
mod release;

pub use arn::region_of;
pub use audit::{AuditError, PolicyFinding, audit_key_policy};
pub use client::{KmsClient, Settings, credentials};
pub use cms::open_cms;
pub use error::{Error, Obstacle, Result};
pub use generate::generate_data_key;
pub use recipient::{KeyGenerationFailed, RecipientKey};
pub use release::{Release, release};
