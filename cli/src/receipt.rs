//! `cloister receipt`: read, verify and reproduce what an enclave signed.

mod report;
mod reproduce;

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use clap::{Args, Subcommand};
use cloister_attest::Policy;
use cloister_client::receipt::{self, VerifiedReceipt};
use cloister_receipt::{Receipt, Unverified, View, pixels_sha256};
use ndarray::Array2;

use crate::failure::Failure;
use crate::picture::Picture;
use crate::{files, output, policy};
use report::Report;

/// The verbs of `cloister receipt`.
#[derive(Subcommand)]
pub enum Command {
    /// Show what a receipt says, without believing it.
    Show(Show),
    /// Verify a receipt as of its own time, offline: the document that vouches for its key, the enclave's measurements, the signature; and
    /// that it is about these images.
    Verify(Verify),
    /// Compute a receipt's scores again from the model package and the images, and compare them.
    Reproduce(reproduce::Reproduce),
}

/// What `cloister receipt show` takes.
#[derive(Args)]
pub struct Show {
    /// The receipt.
    file: PathBuf,
    /// Print JSON, as docs/receipts.md describes it.
    #[arg(long)]
    json: bool,
}

/// What `cloister receipt verify` takes.
#[derive(Args)]
pub struct Verify {
    /// The receipt.
    file: PathBuf,
    /// Which enclaves are trusted. An end date counts as of the receipt's time.
    #[arg(long)]
    policy: PathBuf,
    /// An image that the receipt must be about; may be given once for each view.
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,
    /// Print JSON, as docs/receipts.md describes it.
    #[arg(long)]
    json: bool,
}

/// Runs one verb.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => show(&arguments),
        Command::Verify(arguments) => verify(&arguments),
        Command::Reproduce(arguments) => reproduce::run(&arguments),
    }
}

fn show(arguments: &Show) -> Result<(), Failure> {
    let unverified = parse(&arguments.file, &files::read(&arguments.file)?)?;
    print(&Report::unverified(unverified.claims()), arguments.json)
}

fn verify(arguments: &Verify) -> Result<(), Failure> {
    let policy = policy::read(&arguments.policy)?;
    let verified = verified(&arguments.file, &policy)?;
    let simulated = !policy.root().is_amazon();
    let images = arguments.images.iter().map(|path| Image::read(path)).collect::<Result<Vec<_>, _>>()?;
    let images = images.iter().map(|image| image.matched(&verified.claims)).collect::<Result<Vec<_>, _>>()?;
    let images = images.into_iter().flatten().collect();
    print(&Report::verified(&verified, simulated, images), arguments.json)
}

fn print(report: &Report<'_>, json: bool) -> Result<(), Failure> {
    if json { output::json(report) } else { output::line(report.to_string().trim_end()) }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Unverified, Failure> {
    Unverified::parse(bytes).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}

/// Reads and verifies a receipt under a policy.
fn verified(path: &Path, policy: &Policy) -> Result<VerifiedReceipt, Failure> {
    receipt::verify(&files::read(path)?, policy).map_err(|error| {
        let message = format!("{}: {error}", path.display());
        if error.is_malformed() { Failure::input(message) } else { Failure::not_verified(message) }
    })
}

/// An image's file and what is in it.
struct Image<'a> {
    path: &'a Path,
    sha256: Vec<u8>,
    pixels: Array2<u16>,
    pixels_sha256: [u8; 32],
}

/// That an image is one of a receipt's.
struct Matched<'a> {
    path: &'a Path,
    view: String,
    /// Whether the file is the very one, or another with the same pixels.
    same_bytes: bool,
}

impl<'a> Image<'a> {
    fn read(path: &'a Path) -> Result<Self, Failure> {
        let refused = |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", path.display()));
        let bytes = files::read(path)?;
        let pixels = Picture::read(path, &bytes)?.pixels;
        let side = |pixels: usize| u32::try_from(pixels).map_err(|error| refused(&error));
        let (rows, columns) = (side(pixels.nrows())?, side(pixels.ncols())?);
        let greys = pixels.as_slice().ok_or_else(|| refused(&"its pixels are not row after row in memory"))?;
        let pixels_sha256 = pixels_sha256(rows, columns, [greys]);
        Ok(Self { path, sha256: digest(&SHA256, &bytes).as_ref().to_vec(), pixels, pixels_sha256 })
    }

    /// The views of the receipt that this image is: one, unless it was sent as several.
    fn matched(&self, receipt: &Receipt) -> Result<Vec<Matched<'a>>, Failure> {
        let is = |view: &&View| view.bytes_sha256 == *self.sha256 || view.pixels_sha256 == self.pixels_sha256;
        let matched = receipt.views.iter().filter(is).map(|view| Matched {
            path: self.path,
            view: view.view.clone(),
            same_bytes: view.bytes_sha256 == *self.sha256,
        });
        let matched: Vec<_> = matched.collect();
        if matched.is_empty() {
            let message = format!("{}: the receipt is about another image", self.path.display());
            return Err(Failure::not_verified(message));
        }
        Ok(matched)
    }
}

/// The views of a receipt that are not among these.
fn without<'r>(receipt: &'r Receipt, views: &[impl AsRef<str>]) -> Vec<&'r str> {
    let names = receipt.views.iter().map(|view| view.view.as_str());
    names.filter(|name| !views.iter().any(|view| view.as_ref() == *name)).collect()
}
