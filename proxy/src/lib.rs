//! The only way out of an enclave: an HTTP CONNECT proxy that reaches the hosts of an allowlist, and no others.
//!
//! It runs beside the enclave and is trusted with nothing: what goes through it is TLS between the enclave and the host. The
//! allowlist keeps an enclave that was taken over from reaching further, and keeps the pod's owner sure of what it may reach.

mod allowlist;
mod error;
mod head;
mod inward;
mod limits;
mod server;

pub use allowlist::Allowlist;
pub use error::Error;
pub use limits::Limits;
pub use server::{Family, Mode, Proxy};
