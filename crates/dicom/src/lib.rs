//! Mammograms out of DICOM files: pixels as `cloister-imaging` wants them, and which view of which breast they show.
//!
//! Files come from strangers and are read inside the enclave, so that reading is bounded (`limits.rs`), does not recurse, and calls
//! no code outside Rust. This crate reads one kind of object, a mammogram of one image for presentation, and says why it refuses any
//! other; it is no DICOM toolkit. It knows no names but where a caller
//! asks for them ([`named`]): identifiers of patients leave it as keys that can only be compared, and errors never repeat what a file says. What is read from where is in docs/dicom.md.

mod attributes;
mod codes;
mod identity;
mod jpeg;
mod jpeg2000;
mod limits;
mod mammogram;
mod named;
mod outline;
mod pixels;
mod refusal;
mod rle;
mod scan;
mod tag;
mod which;

pub use cloister_imaging::DecodeLimits;
pub use codes::Modifier;
pub use identity::{ComparisonKey, Uid};
pub use mammogram::{Finding, Mammogram, Spacing, is_dicom, read};
pub use named::{Named, named};
pub use outline::{Cost, Outline, cost, outline};
pub use refusal::{Counted, Damage, Refusal};
pub use tag::Tag;
