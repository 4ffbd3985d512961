//! Why the parent's process does not start.

use std::io;
use std::path::PathBuf;

use cloister_transport::Address;

/// Every way in which the process fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sealed model cannot be looked at.
    #[error("the sealed model {} cannot be read: {source}", path.display())]
    Model {
        /// What `--model` names.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The sealed model is a folder, a pipe or the like.
    #[error("{} is not a file; --model names the file that `cloister model seal` wrote", path.display())]
    ModelNotAFile {
        /// What `--model` names.
        path: PathBuf,
    },
    /// The enclaves cannot be as they are described.
    #[error(transparent)]
    Enclaves(#[from] crate::enclaves::ListError),
    /// The control endpoint would answer to the network.
    #[error(
        "the control endpoint gives credentials to whoever can connect, so it does not listen on {address}: use vsock://, \
         hybrid://, unix:// or a loopback address"
    )]
    ControlExposed {
        /// Where it was told to listen.
        address: Address,
    },
    /// An address cannot be bound.
    #[error(transparent)]
    Listen(#[from] cloister_transport::Error),
    /// The process cannot listen for signals.
    #[error("signals cannot be listened for: {0}")]
    Signals(#[source] io::Error),
    /// The client for AWS cannot be made.
    #[error("the client for AWS credentials cannot be made: {0}")]
    Aws(#[from] cloister_aws_http::Error),
    /// The address file cannot be written.
    #[error("the addresses cannot be written to {}: {source}", path.display())]
    AddressFile {
        /// What `--address-file` names.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
