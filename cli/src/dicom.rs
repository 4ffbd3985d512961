//! `cloister dicom`: what is read of a DICOM file, without anything that tells whose it is.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cloister_dicom::{DecodeLimits, Finding, outline, read};
use serde::Serialize;

use crate::failure::Failure;
use crate::words::in_words;
use crate::{files, output};

/// The verbs of `cloister dicom`.
#[derive(Subcommand)]
pub enum Command {
    /// Say what an enclave would read of a file, or why it would refuse it. Nothing about the patient is shown.
    Show(Show),
}

/// What `cloister dicom show` takes.
#[derive(Args)]
pub struct Show {
    /// The DICOM file.
    file: PathBuf,
    /// One line of JSON in place of text.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    view: &'static str,
    rows: usize,
    columns: usize,
    bits: u16,
    transfer_syntax: &'static str,
    findings: Vec<&'static str>,
}

/// Runs one verb.
pub fn run(command: &Command) -> Result<(), Failure> {
    let Command::Show(show) = command;
    let bytes = files::read(&show.file)?;
    let refused = |error| Failure::input(format!("{}: refused: {error}", show.file.display()));
    let limits = DecodeLimits::default();
    let outline = outline(&bytes, &limits).map_err(refused)?;
    // The pixels may be a reason too.
    read(&bytes, &limits).map_err(refused)?;
    let shown = Shown {
        view: outline.view.as_str(),
        rows: outline.rows,
        columns: outline.columns,
        bits: outline.bits,
        transfer_syntax: outline.syntax,
        findings: outline.findings.into_iter().map(Finding::code).collect(),
    };
    if show.json {
        return output::json(&shown);
    }
    let Shown { view, rows, columns, bits, transfer_syntax, findings } = &shown;
    output::line(format_args!("view      {view}"))?;
    output::line(format_args!("size      {rows} rows, {columns} columns, {bits} bits"))?;
    output::line(format_args!("encoding  {transfer_syntax}"))?;
    if findings.is_empty() {
        return output::line("findings  none");
    }
    findings.iter().try_for_each(|code| output::line(format_args!("finding   {}", in_words(code))))
}
