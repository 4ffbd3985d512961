//! Nitro enclave images (EIF): built, read, measured, compared and signed, as `docs/eif.md` describes them.
//!
//! What it is: the one writer and reader of the format in this project, and of the two ramdisks that Cloister's image has. What it is
//! not: a way to run an image, or a judge of what the kernel and the programs in it do. It reads no files and no clock.

mod archive;
mod certificate;
mod compare;
mod configuration;
mod elf;
mod error;
mod header;
mod image;
mod kernel;
pub mod limits;
mod measure;
mod metadata;
pub mod ramdisk;
mod sign;

pub use certificate::Certificate;
pub use compare::{Change, Compared, Comparison, Outcome};
pub use error::{Error, Result};
pub use header::Header;
pub use image::{Image, Kind, Parts, Section};
pub use kernel::Kernel;
pub use measure::{Measurements, sha384};
pub use metadata::{BuildMetadata, Metadata, kernel_release};
pub use sign::{KeyFile, Signature, Statement};
