//! `cloister eif`: build, inspect, measure and compare enclave images.

mod build;
mod compare;
mod report;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use cloister_eif::{Image, limits};
use serde_json::{Value, json};

use self::report::Report;
use crate::failure::Failure;
use crate::{files, output};

/// The verbs of `cloister eif`.
#[derive(Subcommand)]
pub enum Command {
    /// Build an image from a kernel, a program and a configuration. The same parts give the same bytes.
    Build(Box<build::Build>),
    /// Say what an image holds, what of it is measured, and what is not.
    Inspect(One),
    /// Print what an image measures to, as nitro-cli does.
    Measure(One),
    /// Say where two images differ: exit code 0 when they are the same bytes, 1 when not.
    Compare(compare::Compare),
}

/// What the verbs for one image take.
#[derive(Args)]
pub struct One {
    /// The image.
    image: PathBuf,
    /// Print JSON on one line.
    #[arg(long)]
    json: bool,
}

/// Runs one verb.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Build(arguments) => build::run(&arguments),
        Command::Inspect(arguments) => inspect(&arguments),
        Command::Measure(arguments) => measure(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
    }
}

fn inspect(arguments: &One) -> Result<(), Failure> {
    let image = read(&arguments.image)?;
    let report = Report::of(&image, SystemTime::now());
    if arguments.json {
        output::json(&report)?
    } else {
        output::line(format_args!("{report}"))?
    }
    // An enclave refuses it too. That the certificate has ended is said, and is no failure: the image is what it was.
    let signature = image.signature().map(|signature| signature.verify(&image.measurements().pcr0));
    signature.transpose().map(drop).map_err(Failure::not_verified)
}

fn measure(arguments: &One) -> Result<(), Failure> {
    let measurements = measurements(&read(&arguments.image)?);
    if arguments.json { output::json(&measurements) } else { output::line(format_args!("{measurements:#}")) }
}

/// The measurements in nitro-cli's shape, and the sections that they come from.
fn measurements(image: &Image) -> Value {
    let sections: Vec<Value> = image
        .sections()
        .iter()
        .map(|section| {
            let kind = section.kind().to_string();
            json!({ "Kind": kind, "Bytes": section.data().len(), "Sha384": hex::encode(section.sha384()) })
        })
        .collect();
    json!({ "Measurements": image.measurements(), "Sections": sections })
}

/// Reads an image.
fn read(path: &Path) -> Result<Image, Failure> {
    let bytes = files::read_at_most(path, limits::IMAGE as u64)?;
    Image::read(&bytes).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}
