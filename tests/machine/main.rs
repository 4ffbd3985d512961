//! Images that are booted: in an emulated Nitro machine, with the kernel, `/dev/nsm` and vsock that they would have on AWS.
//!
//! Emulation proves that the image boots, measures and works, not that it keeps secrets: the emulator's documents are unsigned, and only a
//! program built for these tests reads them.

mod boot;
mod ending;
mod transport;
