//! `cloister model seal`: a model package sealed under a KMS key.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;

/// What `cloister model seal` takes.
#[derive(Args)]
pub struct Seal {
    /// The model package's folder.
    #[arg(long)]
    pub package: PathBuf,
}

/// Seals one package.
pub fn run(_seal: &Seal) -> Result<(), Failure> {
    Err(Failure::usage("sealing is being written"))
}
