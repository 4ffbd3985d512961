//! `cloister policy`: what a client demands of an enclave, written from measurements and a model package.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA384, digest};
use clap::{Args, Subcommand};
use cloister_attest::{CONFIGURATION_PCR, MODEL_PCR, Measurement, Policy, Root, extended, limits, parse_pcr};
use cloister_model::Package;

use crate::failure::Failure;
use crate::files;
use crate::output;

/// PCRs by number.
type Pcrs = BTreeMap<u16, [u8; limits::PCR]>;

/// The verbs of `cloister policy`.
#[derive(Subcommand)]
pub enum Command {
    /// Write a policy from measurements, a model package and a configuration.
    Make(Make),
    /// Say in words what a policy accepts.
    Show {
        /// The policy file.
        policy: PathBuf,
    },
}

/// What `cloister policy make` takes.
#[derive(Args)]
pub struct Make {
    /// A name for the image, shown whenever an enclave matches.
    #[arg(long)]
    label: String,
    /// A measurement of the image, as INDEX=HEX (96 digits); 0, 1 and 2 are needed.
    #[arg(long = "pcr", value_name = "INDEX=HEX", required = true)]
    pcrs: Vec<String>,
    /// The model package's folder: pins PCR16.
    #[arg(long)]
    package: Option<PathBuf>,
    /// Accept the image whatever model it runs.
    #[arg(long)]
    any_model: bool,
    /// The image's configuration file: pins PCR17.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The root of the attestation documents, in PEM; Amazon's by default. Only a simulation needs another.
    #[arg(long)]
    root: Option<PathBuf>,
    /// The most that a document's age may be, in seconds.
    #[arg(long, default_value_t = 300)]
    max_age: u64,
    /// Where the policy goes.
    #[arg(long)]
    out: PathBuf,
}

/// Runs one verb.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Make(arguments) => make(&arguments),
        Command::Show { policy } => show(&policy),
    }
}

fn make(arguments: &Make) -> Result<(), Failure> {
    let mut pcrs = Pcrs::new();
    for text in &arguments.pcrs {
        let (index, value) = parse_pcr(text).map_err(|error| Failure::usage(format!("--pcr: {error}")))?;
        pin(&mut pcrs, index, value, "another --pcr")?;
    }
    match (pcrs.contains_key(&MODEL_PCR) || arguments.package.is_some(), arguments.any_model) {
        (false, false) => {
            return Err(Failure::usage(
                "no model is pinned: name its package with --package, or accept every model with --any-model",
            ));
        }
        (true, true) => return Err(Failure::usage("--any-model contradicts the model that is pinned; leave one out")),
        _ => {}
    }
    if let Some(dir) = &arguments.package {
        let package = Package::open(dir).map_err(|e| Failure::input(format!("{}: {e}", dir.display())))?;
        pin(&mut pcrs, MODEL_PCR, extended(&package.digest()), "--pcr besides --package")?;
    }
    if let Some(path) = &arguments.config {
        let config = files::read(path)?;
        let value = extended(digest(&SHA384, &config).as_ref());
        pin(&mut pcrs, CONFIGURATION_PCR, value, "--pcr besides --config")?;
    }
    let root = match &arguments.root {
        Some(path) => Root::from_pem(&files::read_text(path)?).map_err(Failure::input)?,
        None => Root::amazon(),
    };
    let accepted = Measurement { label: arguments.label.clone(), until: None, pcrs };
    let policy = Policy::new(root, Duration::from_secs(arguments.max_age), vec![accepted]).map_err(Failure::usage)?;
    files::write(&arguments.out, policy.to_toml().as_bytes())
}

/// Pins one PCR, which `by` may not have pinned before: of two values, one would be lost without a word.
fn pin(pcrs: &mut Pcrs, index: u16, value: [u8; limits::PCR], by: &str) -> Result<(), Failure> {
    match pcrs.entry(index) {
        Entry::Vacant(place) => {
            place.insert(value);
            Ok(())
        }
        Entry::Occupied(_) => Err(Failure::usage(format!("PCR{index} is pinned twice, by {by} too; leave one out"))),
    }
}

fn show(path: &Path) -> Result<(), Failure> {
    let policy = read(path)?;
    output::line(format_args!("root        SHA-256 {}", hex::encode(policy.root().fingerprint())))?;
    output::line(format_args!("maximum age {} s", policy.max_age().as_secs()))?;
    output::line(policy.to_toml())
}

/// Reads a policy file.
pub fn read(path: &Path) -> Result<Policy, Failure> {
    Policy::from_toml(&files::read_text(path)?).map_err(|e| Failure::input(format!("{}: {e}", path.display())))
}
