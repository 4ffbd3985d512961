//! Mammograms, from a file's bytes to what a network is given: decode, check, crop, centre, cut windows, normalise.
//!
//! The steps and their numbers are those of the published four-view screening model (Wu et al., IEEE TMI 2019), so that a
//! network trained behind them sees the same pixels. Arrays are row-major `[y, x]`, ranges exclude their end, and images are
//! `u16`, MONOCHROME2, with a background of exactly 0.
//!
//! This crate runs no network, reads no files and knows no patients; errors name sizes and reasons, never pixel values.

mod assess;
mod crops;
mod decode;
mod error;
pub mod limits;
mod mask;
mod memory;
mod place;
mod prepare;
mod quality;
mod random;
mod render;
mod resize;
pub mod synthetic;
mod view;

pub use assess::{Finding, Measures};
pub use crops::{CropPlan, Noise};
pub use decode::{DecodeLimits, decode};
pub use error::Error;
pub use memory::{FileMemory, file, greys, recycle};
pub use place::{Axis, Placement};
pub use prepare::{Prepared, Window, measure, prepare};
pub use view::{Angle, Laterality, View};
