//! `cloister attestation`: read and verify an attestation document in a file.

use clap::Subcommand;

use crate::failure::Failure;

/// The verbs of `cloister attestation`.
#[derive(Subcommand)]
pub enum Command {}

/// Runs one verb.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {}
}
