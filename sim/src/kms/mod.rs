//! A simulated AWS KMS: an HTTPS server that speaks KMS's JSON 1.1 protocol, as much of it as attested key release and the signing of
//! images take.
//!
//! It demands Signature Version 4, evaluates key policies (`kms:RecipientAttestation:*` and `kms:EncryptionContext:*` among them) and
//! answers a `Recipient` with the CMS form of the real one, but trusts the simulator's attestation root instead of Amazon's.
//! It proves protocol, not confidentiality: its keys lie in memory, or in a file when asked.
//!
//! Not simulated: grants, aliases, key rotation, asymmetric keys but those that sign on P-384, deletion, service control policies, and
//! KMS's refusal of a policy that locks its own author out.

mod certificate;
pub mod cms;
mod exception;
mod fault;
mod keys;
mod limits;
mod material;
mod operations;
mod policy;
mod principal;
mod recipient;
mod server;
mod signing;
mod sigv4;

pub use certificate::CertificateError;
pub use cms::ContentForm;
pub use exception::Exception;
pub use fault::Fault;
pub use keys::StateError;
pub use principal::{Principal, Principals, PrincipalsError};
pub use server::{Clock, Config, Running, Server, StartError};
