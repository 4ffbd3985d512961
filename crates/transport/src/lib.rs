//! One address type for vsock, hybrid vsock, Unix and TCP; listeners, dialers and the relay between two streams.
//!
//! It carries bytes. It neither encrypts nor authenticates: TLS ends above it, and nothing that an address names is
//! trusted for being there.

mod address;
mod connect;
mod dial;
mod error;
mod limits;
mod listener;
mod process;
mod relay;
mod serve;
mod stream;

pub use address::{ANY_CID, Address};
pub use connect::connect_through;
pub use dial::{dial, dial_tcp, resolve};
pub use error::Error;
pub use listener::{Listener, Peer};
pub use process::{announce, termination};
pub use relay::{RelayLimits, Relayed, relay};
pub use serve::{Overflow, ServeLimits, Served, serve};
pub use stream::Stream;
