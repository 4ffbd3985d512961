//! What runs inside the enclave: it earns its model's key, proves itself, and classifies.
//!
//! [`config`] is what the image allows, [`boot`] the way to a loaded model, [`serve`] the interface, [`parent`] the one neighbour.
//! [`disclose`] is all that leaves outside of TLS.
//! It holds no cryptography and no image processing of its own: those are crates.

pub mod authorities;
pub mod boot;
pub mod clock;
pub mod config;
pub mod disclose;
pub mod drain;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod identity;
pub mod init;
pub mod limits;
pub mod memory;
pub mod panics;
pub mod parent;
pub mod receipts;
pub mod release;
pub mod security_module;
pub mod serve;
pub mod state;
