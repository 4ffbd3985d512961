//! Attested key release from AWS KMS: a data key that KMS hands only to a measured enclave.
//!
//! What it is: the RSA key that KMS answers to, the reader of that answer, the two calls that Cloister makes (`GenerateDataKey`
//! when a model is sealed, `Decrypt` with a `Recipient` when an enclave opens it) with every check on what comes back, and an
//! audit of the key policy that the release rests on.
//!
//! What it is not: a general client of KMS, or a general reader of CMS. It reads the one shape that KMS sends.

mod ber;
pub mod cms;
pub mod limits;
mod recipient;

pub use cms::open_cms;
pub use recipient::RecipientKey;
