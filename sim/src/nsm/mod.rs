//! A simulated Nitro Security Module: the device's state machine, limits and error codes, and documents of the true
//! shape, signed under a root of its own.
//!
//! Simulation proves the protocol, not confidentiality: whoever holds `root.key` can claim any measurement. No document
//! from here can pass as Amazon's, because a verifier pins the root.

pub mod adversary;
mod authority;
mod chain;
mod document;
mod module;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use authority::{Authority, KEY_FILE, ROOT_FILE};
pub use module::SimulatedNsm;

/// What a simulated module is told about its enclave.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// PCRs by number, 0 to 31. Those not given are zero; those from 16 up count as extended and locked already.
    pub pcrs: BTreeMap<u16, [u8; 48]>,
    /// Debug mode: PCR0, 1 and 2 are zero whatever `pcrs` says, and PCR4 is not.
    pub debug: bool,
    /// The module's name, on AWS `i-<17 hex digits>-enc<16 hex digits>`.
    pub module_id: String,
}

impl Default for Simulated {
    /// An enclave outside debug mode whose PCR0, 1 and 2 are 48 bytes of 0x10, 0x11 and 0x12.
    fn default() -> Self {
        Self {
            pcrs: BTreeMap::from([(0, [0x10; 48]), (1, [0x11; 48]), (2, [0x12; 48])]),
            debug: false,
            module_id: "i-0000000000000s1m0-enc00000000000s1m0a".into(),
        }
    }
}

/// Why a simulated module cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the authority cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder holds an authority already: making another would orphan every policy that pins it.
    #[error("{} exists already; remove it to make another simulated root", path.display())]
    Exists {
        /// The root's file.
        path: PathBuf,
    },
    /// The root's certificate and key do not belong together.
    #[error("{ROOT_FILE} and {KEY_FILE} do not belong together")]
    Mismatch,
    /// A certificate or key cannot be made or read.
    #[error("the simulated chain cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A PCR beyond 31.
    #[error("PCR{0} does not exist: they are numbered 0 to 31")]
    Pcr(u16),
    /// The document cannot be signed, or its clock is beyond the calendar.
    #[error("the simulated document cannot be signed")]
    Signing,
}
