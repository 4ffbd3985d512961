//! `cloister policy`: what a client demands of an enclave, written from measurements and a model package.

pub mod measurements;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA384, digest};
use clap::{Args, Subcommand};
use cloister_attest::{CONFIGURATION_PCR, MODEL_PCR, Measurement, Policy, Root, extended, limits, parse_pcr};
use cloister_model::Package;

use crate::failure::Failure;
use crate::files;
use crate::output;
use crate::words::{meaning, parse_time, rfc3339};

/// PCRs by number.
type Pcrs = BTreeMap<u16, [u8; limits::PCR]>;

/// The verbs of `cloister policy`.
#[derive(Subcommand)]
pub enum Command {
    /// Write a policy from measurements, a model package and a configuration.
    Make(Box<Make>),
    /// Say in words what a policy accepts.
    Show {
        /// The policy file.
        policy: PathBuf,
    },
}

/// What `cloister policy make` takes.
#[derive(Args)]
pub struct Make {
    /// A name for the image and its model, shown whenever an enclave matches.
    #[arg(long)]
    label: String,
    /// The image's measurements: the JSON that `nitro-cli build-enclave` prints, or that stands in a release. Pins PCR0 to 2, and PCR8
    /// where the image is signed.
    #[arg(long, value_name = "JSON", required_unless_present = "pcrs")]
    measurements: Option<PathBuf>,
    /// A measurement of the image, as INDEX=HEX (96 digits); 0, 1 and 2 are needed.
    #[arg(long = "pcr", value_name = "INDEX=HEX")]
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
    /// Until when this image is accepted, such as 2027-01-01T00:00:00Z; without end by default.
    #[arg(long, value_name = "RFC3339", value_parser = parse_time)]
    until: Option<SystemTime>,
    /// Keep what this policy accepts, under its root, its maximum age and its skew, and accept the new image too: for a roll-over.
    #[arg(long, value_name = "POLICY", conflicts_with_all = ["root", "max_age", "skew"])]
    add_to: Option<PathBuf>,
    /// The root of the attestation documents, in PEM; Amazon's by default. Only a simulation needs another.
    #[arg(long)]
    root: Option<PathBuf>,
    /// The most that a document's age may be, in seconds.
    #[arg(long, default_value_t = 300)]
    max_age: u64,
    /// How far a document may be dated after this machine's clock, in seconds.
    #[arg(long, default_value_t = limits::CLOCK_SKEW.as_secs())]
    skew: u64,
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
    let accepted = Measurement { label: arguments.label.clone(), until: arguments.until, pcrs: measured(arguments)? };
    let policy = match &arguments.add_to {
        Some(path) => {
            let policy = read(path)?;
            let mut accept = policy.accept().to_vec();
            accept.push(accepted);
            Policy::new(policy.root().clone(), policy.max_age(), accept).and_then(|new| new.with_skew(policy.skew()))
        }
        None => {
            let root = match &arguments.root {
                Some(path) => Root::from_pem(&files::read_text(path)?).map_err(Failure::input)?,
                None => Root::amazon(),
            };
            Policy::new(root, Duration::from_secs(arguments.max_age), vec![accepted])
                .and_then(|new| new.with_skew(Duration::from_secs(arguments.skew)))
        }
    };
    files::write(&arguments.out, policy.map_err(Failure::usage)?.to_toml().as_bytes())
}

/// The PCRs that the arguments pin, each by one of them.
fn measured(arguments: &Make) -> Result<Pcrs, Failure> {
    let mut pcrs = Pcrs::new();
    for text in &arguments.pcrs {
        let (index, value) = parse_pcr(text).map_err(|error| Failure::usage(format!("--pcr: {error}")))?;
        pin(&mut pcrs, index, value, "another --pcr")?;
    }
    if let Some(path) = &arguments.measurements {
        let measurements = measurements::parse(&files::read(path)?);
        let measurements = measurements.map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
        for (index, value) in measurements {
            pin(&mut pcrs, index, value, "--pcr besides --measurements")?;
        }
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
    Ok(pcrs)
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
    let whose = if policy.root().is_amazon() { "Amazon's" } else { "NOT Amazon's: a simulation's" };
    output::line(format_args!("root          {whose}, SHA-256 {}", hex::encode(policy.root().fingerprint())))?;
    output::line(format_args!("maximum age   {} s", policy.max_age().as_secs()))?;
    output::line(format_args!("clock skew    {} s", policy.skew().as_secs()))?;
    for entry in policy.accept() {
        output::line(format_args!("\naccepts       {}", entry.label.escape_debug()))?;
        match entry.until {
            Some(until) if until <= SystemTime::now() => {
                output::line(format_args!("until         {}: OVER, it is refused now", rfc3339(until)))?;
            }
            Some(until) => output::line(format_args!("until         {}", rfc3339(until)))?,
            None => output::line("until         no end")?,
        }
        for (index, value) in &entry.pcrs {
            output::line(format_args!("PCR{index:<10} {}  {}", hex::encode(value), meaning(*index)))?;
        }
        for (index, unpinned) in [(MODEL_PCR, "any model"), (CONFIGURATION_PCR, "any configuration")] {
            if !entry.pcrs.contains_key(&index) {
                output::line(format_args!("PCR{index:<10} not pinned: {unpinned} is accepted"))?;
            }
        }
    }
    Ok(())
}

/// Reads a policy file.
pub fn read(path: &Path) -> Result<Policy, Failure> {
    Policy::from_toml(&files::read_text(path)?).map_err(|e| Failure::input(format!("{}: {e}", path.display())))
}
