//! One address type for vsock, hybrid vsock, Unix and TCP; listeners, dialers and the relay between two streams.
//!
//! It moves bytes and knows nothing of what they mean: no TLS, no HTTP but the CONNECT of [`connect_through`].

mod address;
mod connect;
mod dial;
mod error;
pub mod limits;
mod listen;
mod relay;
mod serve;
mod stream;

pub use address::{Address, AddressError};
pub use connect::connect_through;
pub use dial::dial;
pub use error::Error;
pub use listen::Listener;
pub use relay::{RelayLimits, Relayed, relay};
pub use serve::{ServeLimits, serve};
pub use stream::{Peer, Stream};
