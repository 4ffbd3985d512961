//! `cloister policy`: what a client demands of an enclave, written from measurements and a model package.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA384, digest};
use clap::{Args, Subcommand};
use cloister_attest::Policy;
use cloister_model::Package;

use crate::failure::Failure;
use crate::files;
use crate::output;

/// The PCR that holds the model package's digest (extended once from zero).
const MODEL_PCR: u16 = 16;
/// The PCR that holds the configuration's digest.
const CONFIGURATION_PCR: u16 = 17;

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
        Some(path) => format!("\"\"\"\n{}\"\"\"", files::read_text(path)?),
        None => "\"amazon\"".to_owned(),
    };
    let label = toml::Value::String(arguments.label.clone());
    let mut text = format!("version = 1\nroot = {root}\nmax_age_seconds = {}\n\n", arguments.max_age);
    let _ = write!(text, "[[accept]]\nlabel = {label}\n[accept.pcrs]\n");
    for (index, value) in &pcrs {
        let _ = writeln!(text, "{index} = \"{value}\"");
    }
    // What is written must be what a client will read.
    Policy::from_toml(&text).map_err(Failure::usage)?;
    files::write(&arguments.out, text.as_bytes())
}

/// `SHA384(0^48 || value)`: what a PCR holds that was extended once.
fn extended(value: &[u8]) -> String {
    let mut input = vec![0; 48];
    input.extend_from_slice(value);
    hex::encode(digest(&SHA384, &input))
}

fn pcr(text: &str) -> Result<(u16, String), Failure> {
    let wrong = || Failure::usage(format!("--pcr {text:?} is not INDEX=HEX, such as 0=…96 hexadecimal digits…"));
    let (index, value) = text.split_once('=').ok_or_else(wrong)?;
    let bytes = hex::decode(value).map_err(|_| wrong())?;
    if bytes.len() != 48 {
        return Err(wrong());
    }
    Ok((index.parse().map_err(|_| wrong())?, hex::encode(bytes)))
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
