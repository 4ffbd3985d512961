//! Results as DICOM objects that a PACS takes: a Mammography CAD SR, a Basic Text SR, and Secondary Captures of where the network looked.
//!
//! Runs at the hospital, where patients have names, and not in the enclave: what the enclave read as keys only is copied here from
//! the source files ([`read`]). Pure functions, from values to the bytes of files; identifiers and time are the caller's. It
//! writes these three kinds of objects, and is no DICOM toolkit; it sends nothing. Errors never repeat a value. What is written
//! where, and what is not claimed, is in docs/dicom-results.md.

mod attribute;
mod cad;
mod capture;
mod charset;
mod code;
mod content;
mod dataset;
mod error;
mod exam;
mod files;
mod limits;
mod object;
mod pictures;
mod sentences;
mod source;
mod text;
mod uid;
mod value;

pub use cad::mammography_cad_sr;
pub use capture::{Overlay, secondary_capture};
pub use cloister_imaging::View;
pub use error::{Error, Result, Rule};
pub use exam::{Exam, Identity, Model, OperatingPoint, Patient, Scored, Scores, Source, Spacing, Study};
pub use files::{File, Kind, files};
pub use pictures::{Map, Picture};
pub use source::{Listed, Read, SourceError, listed, read};
pub use text::basic_text_sr;
pub use uid::Uid;
