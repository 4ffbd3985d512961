//! What leaves the enclave outside of TLS, and the only way out for it: [`Words`] in events and reasons, [`Record`]s in logs, and the
//! series of [`metrics`]. Each is a closed list of types; none of them can hold a pixel, a score, a name of a caller's or a key,
//! because there is no way to make one from a text or from bytes, but for the name of a
//! setting that the parent itself sent.
//!
//! The crate has no `tracing` and installs no subscriber, so that libraries have nowhere to write either; `clippy.toml` beside it
//! forbids every other way of printing and counting.

mod log;
pub mod metrics;
mod reasons;
mod record;
mod words;

pub(crate) use log::panicked;
pub use log::{Outlet, complain, log, outlet};
pub use reasons::Disclose;
pub(crate) use reasons::key_release;
pub(crate) use record::timestamp;
pub use record::{Level, Place, Record};
pub(crate) use words::words;
pub use words::{Pcr, Words};
