//! `cloister attestation`: read and verify an attestation document in a file.

mod report;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use cloister_attest::{Error, Expected, Policy, Root, limits, parse, verify};

use crate::attestation::report::{Report, Verification};
use crate::failure::Failure;
use crate::words::parse_time;
use crate::{files, output, policy};

/// The verbs of `cloister attestation`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what a document says, without believing it.
    Show(Show),
    /// Verify a document: signature, certificates up to the pinned root, times, and debug mode; with a policy also its
    /// age and measurements.
    Verify(Verify),
}

/// What `cloister attestation show` takes.
#[derive(Args)]
pub(crate) struct Show {
    /// The document in CBOR; `-` is standard input.
    file: PathBuf,
    /// Print JSON, as docs/attestation.md describes it.
    #[arg(long)]
    json: bool,
}

/// What `cloister attestation verify` takes.
#[derive(Args)]
pub(crate) struct Verify {
    /// The document in CBOR; `-` is standard input.
    file: PathBuf,
    /// The time to verify for, such as 2027-01-01T00:00:00Z; now by default. A document verifies for some hours.
    #[arg(long, value_name = "RFC3339", value_parser = parse_time)]
    at: Option<SystemTime>,
    /// The root certificate to pin, in PEM; Amazon's by default. Only a simulation needs another.
    #[arg(long, value_name = "PEM")]
    root: Option<PathBuf>,
    /// The policy that the document must satisfy. It pins a root of its own.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print JSON, as docs/attestation.md describes it.
    #[arg(long)]
    json: bool,
}

/// Runs one verb.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => show(&arguments),
        Command::Verify(arguments) => check(&arguments),
    }
}

fn show(arguments: &Show) -> Result<(), Failure> {
    let document = parse(&read(&arguments.file)?).map_err(|error| refusal(&arguments.file, &error))?;
    print(&Report::unverified(&document), arguments.json)
}

fn check(arguments: &Verify) -> Result<(), Failure> {
    let policy = arguments.policy.as_deref().map(policy::read).transpose()?;
    let root = root(arguments.root.as_deref(), policy.as_ref())?;
    let at = arguments.at.unwrap_or_else(SystemTime::now);
    let refused = |error| refusal(&arguments.file, &error);
    let verified = verify(&read(&arguments.file)?, &root, at).map_err(refused)?;
    // A file says nothing of a request or of a connection, so neither nonce nor key can be compared.
    let expected = Expected { nonce: None, at, tls_public_key: None };
    let accepted = policy.map(|policy| policy.check(&verified, &expected)).transpose().map_err(refused)?;
    let verification = Verification { at, root: &root, accepted: accepted.map(|accepted| accepted.label) };
    print(&Report::verified(&verified, verification), arguments.json)
}

/// The root to pin: the policy's, the one that was named, or Amazon's. Two that differ are a mistake.
fn root(path: Option<&Path>, policy: Option<&Policy>) -> Result<Root, Failure> {
    let named = match path {
        Some(path) => {
            let root = Root::from_pem(&files::read_text(path)?);
            Some(root.map_err(|error| Failure::input(format!("{}: {error}", path.display())))?)
        }
        None => None,
    };
    match (named, policy.map(Policy::root)) {
        (Some(named), Some(pinned)) if named != *pinned => {
            Err(Failure::usage("--root is another certificate than the one that the policy pins; leave --root out"))
        }
        (_, Some(pinned)) => Ok(pinned.clone()),
        (Some(named), None) => Ok(named),
        (None, None) => Ok(Root::amazon()),
    }
}

fn refusal(file: &Path, error: &Error) -> Failure {
    let message = format!("{}: {error}", file.display());
    if error.is_malformed() { Failure::input(message) } else { Failure::not_verified(message) }
}

/// Reads a document, and no more of the file than a document can have.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| Failure::input(format!("cannot read {}: {error}", path.display()));
    let input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    input.take(limits::DOCUMENT as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > limits::DOCUMENT {
        let message =
            format!("{} is longer than any attestation document ({} bytes)", path.display(), limits::DOCUMENT);
        return Err(Failure::input(message));
    }
    Ok(bytes)
}

fn print(report: &Report<'_>, json: bool) -> Result<(), Failure> {
    if json { output::json(report) } else { output::line(report.to_string().trim_end()) }
}
