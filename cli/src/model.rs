//! `cloister model`: convert, inspect and run model packages.

use clap::Subcommand;

use crate::failure::Failure;

/// The verbs of `cloister model`.
#[derive(Subcommand)]
pub enum Command {}

/// Runs one verb.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {}
}
