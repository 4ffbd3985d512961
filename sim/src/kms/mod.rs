//! A simulated AWS KMS: an HTTPS server that speaks KMS's JSON 1.1 protocol, as much of it as attested key release and the signing of
//! images take.
//!
//! It demands Signature Version 4, evaluates key policies (`kms:RecipientAttestation:*` and `kms:EncryptionContext:*` among them) and
//! answers a `Recipient` with the CMS form of the real one, but trusts the simulator's attestation root instead of Amazon's.
//! It proves protocol, not confidentiality: its keys lie in memory, or in a file when asked.
//!
//! With a control plane behind it ([`Config::control_plane`], moto) it leaves keys, their policies, states and aliases to that, and does only
//! the cryptography itself, with material of its own, under the policy and in the state that the control plane holds at that moment.
//!
//! Not simulated: grants, asymmetric keys but those that sign on P-384, service control policies, without a control plane aliases, key
//! rotation and deletion, with one the rotation itself, and KMS's refusal of a policy that locks its own author out.

pub mod cms;
mod control;
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

pub use crate::certificate::CertificateError;
pub use crate::exception::Exception;
pub use cms::ContentForm;
pub use fault::Fault;
pub use keys::StateError;
pub(crate) use keys::random_uuid;
pub(crate) use policy::matches_pattern;
pub use principal::{Principal, Principals, PrincipalsError};
pub use server::{Clock, Config, Running, Server, StartError};
