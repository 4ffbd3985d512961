//! `cloister bundle`: everything for a site without internet in one archive: images with their attachments and signatures, the sealed model,
//! measurements, policy, manifests, each with its checksum.
//!
//! The archive is a tar: first `SHA256SUMS` (as sha256sum writes it, of every other file), then `bundle.json`, and the files it lists. Each image
//! is an OCI layout of its own. Checksums tell damage; what vouches for images is the model owner's signature, which `load` checks again.

mod archive;
mod load;
mod save;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The checksums' name in the archive.
const SUMS: &str = "SHA256SUMS";
/// The list's name in the archive.
const CONTENTS: &str = "bundle.json";
/// The form that this program writes and reads.
const VERSION: u32 = 1;

/// The verbs of `cloister bundle`.
#[derive(Subcommand)]
pub enum Command {
    /// Fetch, check and pack.
    Save(Box<save::Save>),
    /// Check, unpack, and push into a private registry.
    Load(Box<load::Load>),
    /// Take what `load` pushed out of the registry again.
    Unload(Box<load::Load>),
}

/// What is in an archive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    images: Vec<Packed>,
}

/// One image in an archive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed {
    /// Its layout's folder.
    folder: String,
    /// Where it was: host and repository.
    name: String,
    /// Its tag.
    tag: String,
    /// Its manifest's digest.
    digest: String,
    /// Whether it is a release, with attachments and signatures.
    release: bool,
}

/// Runs one verb.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Save(arguments) => crate::asynchronous(save::run(&arguments)),
        Command::Load(arguments) => crate::asynchronous(load::load(&arguments)),
        Command::Unload(arguments) => crate::asynchronous(load::unload(&arguments)),
    }
}
