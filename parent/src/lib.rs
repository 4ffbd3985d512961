//! What runs beside the enclave, on its parent instance, and is trusted by nobody: it carries clients' bytes to the enclave,
//! and gives the enclave a sealed file, credentials and a place to tell events.
//!
//! It does not see plaintext: TLS ends in the enclave, and the model is sealed. What it can do at worst is not to serve.

mod connection;
mod control;
mod credentials;
mod enclave;
mod enclaves;
mod error;
pub mod limits;
pub mod metrics;
mod pace;
mod parent;
mod pod;
mod problem;
mod quiet;
mod relay;

pub use enclaves::{Described, ListError, Value, read as read_enclaves};
pub use error::Error;
pub use parent::{Addresses, Parent, Settings};
