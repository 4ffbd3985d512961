//! `cloister eif`: build, inspect, measure and compare enclave images.

mod build;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cloister_eif::{Image, limits};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::{files, output};

/// The verbs of `cloister eif`.
#[derive(Subcommand)]
pub enum Command {
    /// Build an image from a kernel, a program and a configuration. The same parts give the same bytes.
    Build(Box<build::Build>),
    /// Print what an image measures to, as nitro-cli does.
    Measure(Measure),
}

/// What `cloister eif measure` takes.
#[derive(Args)]
pub struct Measure {
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
        Command::Measure(arguments) => measure(&arguments),
    }
}

fn measure(arguments: &Measure) -> Result<(), Failure> {
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
