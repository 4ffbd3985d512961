//! Publishing and receiving container images: layouts on disk, registries, artifacts, files in layers, and signatures.
//!
//! An image is what [`Layout`] holds; [`Registry`] moves it, and believes nothing but digests. It does not build images, run
//! them, or know AWS: where a registry's password comes from, and where a signing key is, the caller says ([`Credentials`],
//! [`cosign::Signer`]).

mod artifact;
pub mod cosign;
mod digest;
mod entries;
mod error;
mod files;
mod layout;
pub mod limits;
pub mod manifest;
mod reference;
mod registry;

pub use artifact::Artifact;
pub use digest::Digest;
pub use error::{Error, Result, Source};
pub use files::{FileLimits, extract};
pub use layout::{Blob, Layout};
pub use reference::{Attachment, Reference, check_repository, check_tag};
pub use registry::{Builder, Credentials, Event, Login, PullLimits, Push, Pushed, Registry, Retry, Taken, Watcher};
