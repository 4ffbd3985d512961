//! `cloister policy`: what a client demands of an enclave, written from measurements and a model package.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA384, digest};
use clap::{Args, Subcommand};
use cloister_attest::{Measurement, Policy, Root};
use cloister_model::Package;

use crate::failure::Failure;
use crate::files;
use crate::output;

/// The PCR that holds the model package's digest (extended once from zero).
const MODEL_PCR: u16 = 16;
/// The PCR that holds the configuration's digest.
const CONFIGURATION_PCR: u16 = 17;
/// SHA-384.
const PCR_BYTES: usize = 48;

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
    let mut pcrs = arguments.pcrs.iter().map(|text| pcr(text)).collect::<Result<BTreeMap<_, _>, _>>()?;
    if let Some(dir) = &arguments.package {
        let package = Package::open(dir).map_err(|e| Failure::input(format!("{}: {e}", dir.display())))?;
        pcrs.insert(MODEL_PCR, extended(&package.digest()));
    }
    if let Some(path) = &arguments.config {
        let config = files::read(path)?;
        pcrs.insert(CONFIGURATION_PCR, extended(digest(&SHA384, &config).as_ref()));
    }
    let root = match &arguments.root {
        Some(path) => Root::from_pem(&files::read_text(path)?).map_err(Failure::input)?,
        None => Root::amazon(),
    };
    let accepted = Measurement { label: arguments.label.clone(), until: None, pcrs };
    let policy = Policy::new(root, Duration::from_secs(arguments.max_age), vec![accepted]).map_err(Failure::usage)?;
    files::write(&arguments.out, policy.to_toml().as_bytes())
}

/// `SHA384(0^48 || value)`: what a PCR holds that was extended once.
fn extended(value: &[u8]) -> [u8; PCR_BYTES] {
    let mut input = vec![0; PCR_BYTES];
    input.extend_from_slice(value);
    let mut pcr = [0; PCR_BYTES];
    pcr.copy_from_slice(digest(&SHA384, &input).as_ref());
    pcr
}

fn pcr(text: &str) -> Result<(u16, [u8; PCR_BYTES]), Failure> {
    let wrong = || Failure::usage(format!("--pcr {text:?} is not INDEX=HEX, such as 0=…96 hexadecimal digits…"));
    let (index, value) = text.split_once('=').ok_or_else(wrong)?;
    let mut bytes = [0; PCR_BYTES];
    hex::decode_to_slice(value, &mut bytes).map_err(|_| wrong())?;
    Ok((index.parse().map_err(|_| wrong())?, bytes))
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
