//! Why a call to the module failed.

use std::io;

use crate::device::DEVICE_PATH;

/// Why a call to the module failed. The variants up to `InternalError` are the device's own answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument is not valid.
    #[error("the NSM refused an argument as invalid")]
    InvalidArgument,
    /// There is no PCR of this number.
    #[error("the NSM has no PCR of this number: it has PCR 0 to 31")]
    InvalidIndex,
    /// The answer does not belong to the request.
    #[error("the NSM's answer does not belong to the request")]
    InvalidResponse,
    /// The PCR is locked and cannot change until the enclave ends.
    #[error("the PCR is locked: it cannot be extended or locked again before the enclave ends")]
    ReadOnlyIndex,
    /// The module lacks the capability.
    #[error("the NSM lacks the capability for this request")]
    InvalidOperation,
    /// The answer did not fit.
    #[error("the NSM's answer did not fit into the buffer")]
    BufferTooSmall,
    /// The input is beyond one of [`crate::limits`].
    #[error("the request is too large for the NSM: public_key up to 1024 bytes, user_data and nonce up to 512")]
    InputTooLarge,
    /// The module failed, or the ioctl did.
    #[error("the NSM failed internally, or its driver refused the call")]
    InternalError,
    /// There is no device: this process does not run in a Nitro Enclave.
    #[error("there is no {DEVICE_PATH}: this is not a Nitro Enclave, or its kernel lacks CONFIG_NSM")]
    NoDevice,
    /// The device exists, yet cannot be opened.
    #[error("{DEVICE_PATH} cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// The device answered success with another kind of response than asked for.
    #[error("the NSM answered a {asked} request with something else")]
    UnexpectedResponse {
        /// The request's name.
        asked: &'static str,
    },
}
