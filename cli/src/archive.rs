//! `cloister archive score`: many images from a list, a share of them each time, so that several processes finish an archive together.

mod manifest;
mod results;
mod score;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use cloister_transport::Address;
use serde::Serialize;

use crate::access::CredentialFiles;
use crate::enclave::{Place, waiting};
use crate::failure::Failure;
use crate::output;

/// The verbs of `cloister archive`.
#[derive(Subcommand)]
pub enum Command {
    /// Verify an enclave, then score this process's share of the images in a manifest.
    Score(Box<Score>),
}

/// What `cloister archive score` takes.
#[derive(Args)]
pub struct Score {
    /// The parent's relay, such as tcp://enclaves.example.org:8443.
    #[arg(long)]
    server: Address,
    /// What the enclave must prove before anything is sent.
    #[arg(long)]
    policy: PathBuf,
    #[command(flatten)]
    credentials: CredentialFiles,
    /// The images: a line of JSON each, {"id": "a-1", "path": "2019/a-1.png", "view": "L-CC"}.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Where the manifest's paths begin, and out of which none leads; the manifest's own folder by default.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Which share is this process's, from 0: the lines whose number, from 0, leaves this remainder.
    #[arg(long, value_name = "N", env = "JOB_COMPLETION_INDEX", default_value_t = 0)]
    index: u32,
    /// How many shares there are. Results are kept by it: another number begins anew.
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    of: u32,
    /// The folder for the results and the receipts. What an earlier run left there is not scored again.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Crops to average; 1 is the noiseless one. Ten by default.
    #[arg(long)]
    crops: Option<u32>,
    /// Seconds to try again, for each image, while the enclave is busy, restarts or cannot be reached.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = waiting())]
    wait: u64,
    /// One line of JSON in place of text.
    #[arg(long)]
    json: bool,
}

/// What a run did.
#[derive(Default, Serialize)]
struct Summary {
    scored: usize,
    kept: usize,
    refused: usize,
    results: PathBuf,
}

/// Runs one verb.
pub fn run(command: &Command) -> Result<(), Failure> {
    let Command::Score(arguments) = command;
    crate::asynchronous(score(arguments))
}

async fn score(arguments: &Score) -> Result<(), Failure> {
    let &Score { index, of, .. } = arguments;
    if index >= of {
        return Err(Failure::usage(format!("there is no share {index} of {of}: they are numbered from 0")));
    }
    let share = manifest::read(&arguments.manifest, index, of)?;
    let root = match &arguments.root {
        Some(root) => root,
        None => arguments.manifest.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
    };
    let root = root.canonicalize().map_err(|e| Failure::input(format!("cannot read {}: {e}", root.display())))?;
    let place = Place::read(arguments.server.clone(), &arguments.policy, &arguments.credentials)?;
    // Nobody's images are read for an enclave that does not prove itself.
    let session = place.session(Duration::from_secs(arguments.wait)).await?;
    let results = results::Results::open(&arguments.out, index, of)?;
    let scorer = score::Scorer::new(place, session, root, arguments.crops, Duration::from_secs(arguments.wait));
    let summary = score::all(scorer, share, results).await?;
    if arguments.json {
        output::json(&summary)?;
    } else {
        let Summary { scored, kept, refused, results } = &summary;
        output::line(format_args!(
            "share {index} of {of}: {scored} scored, {kept} kept from before, {refused} refused; {}",
            results.display()
        ))?;
    }
    match summary.refused {
        0 => Ok(()),
        refused => Err(Failure::input(format!(
            "{refused} of the images got no score; the lines with \"error\" in {} say why",
            summary.results.display()
        ))),
    }
}
