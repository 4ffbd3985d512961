//! Convolutional networks on processors, in single precision.
//!
//! A [`Graph`] says what is to be computed: convolutions, maxima of windows, factors and summands for each channel, sums. A [`Program`]
//! computes it: in a layout of blocks of sixteen channels, which a register holds; with what follows a convolution done where its results
//! are written; with rows flowing through several steps while they are in the cache; and with 3 x 3 kernels, and first layers of seven
//! columns, transformed (Winograd). Results are the same to the last bit however many threads take part.
//!
//! All unsafe code of the workspace's inference is here: kernels that check sizes once for each few rows, and what chooses a processor's
//! instructions, which others' plain loops have too ([`wide`]).

/// The number of this arithmetic. A change that moves a result's last bits counts it up: receipts name it.
pub const REVISION: u32 = 2;

mod error;
mod graph;
mod isa;
mod kernels;
mod lanes;
mod layout;
pub mod limits;
mod lower;
mod memory;
mod pages;
mod placement;
mod program;
mod run;
mod schedule;
mod weights;
mod wide;

pub use error::Error;
pub use graph::{Graph, Id, Shape, Windows};
pub use isa::KernelSet;
pub use pages::prefer_huge_pages;
pub use program::{Options, Program, StepReport};
pub use weights::Store;
pub use wide::{Wide, wide};

#[cfg(test)]
mod tests;
